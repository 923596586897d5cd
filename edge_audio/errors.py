"""The one exception that callers need to catch, and what it says."""


class EdgeAudioError(Exception):
    """Something the caller can mend. The message is one line: what, where; what to do.

    What cannot be printed is shown as U+FFFD: names from a stranger's file reach terminals and
    pages.
    """

    def __init__(self, message: str = ""):
        line = " ".join(message.splitlines())
        super().__init__(
            "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        )


class UsageError(EdgeAudioError):
    """A request that no model could serve (unknown sampler, steps 0, cfg nan): the command line
    exits with 2.
    """


class EdgeAudioWarning(UserWarning):
    """Settings that run but that this model cannot use well; the message says what the manifest
    recommends.
    """


def first_line(error: BaseException) -> str:
    """What a library's exception says, on one line; its type where it says nothing."""
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    )
