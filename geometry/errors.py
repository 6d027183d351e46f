"""What goes wrong, in one sentence, with the exit code the command line returns for it."""


class TailgeomError(Exception):
    """An error a person can act on; its text is one clear sentence.

    Attributes:
        exit_code: what the command line exits with (1: a check failed).
    """

    exit_code = 1


class UsageError(TailgeomError, ValueError):
    """A request that cannot be carried out as it was made (exit code 2)."""

    exit_code = 2


class DataError(TailgeomError, ValueError):
    """Data that are missing, broken or inconsistent (exit code 3)."""

    exit_code = 3
