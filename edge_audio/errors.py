"""The one exception that callers need to catch, and what it says."""


def printable(text: str) -> str:
    """The text on one line, with U+FFFD for what cannot be printed: names from a stranger's file
    reach terminals and pages.
    """
    line = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


class EdgeAudioError(Exception):
    """Something the caller can mend. The message is one line that can be printed: what, where;
    what to do.
    """

    def __init__(self, message: str = ""):
        super().__init__(printable(message))


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
