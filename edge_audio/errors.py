"""The one exception that callers need to catch."""


class EdgeAudioError(Exception):
    """Something the caller can mend. The message is one line: what, where; what to do."""


class UsageError(EdgeAudioError):
    """A request that no model could serve (unknown sampler, steps 0, cfg nan): the command line exits with 2."""


class EdgeAudioWarning(UserWarning):
    """Settings that run but that this model cannot use well; the message says what the manifest recommends."""
