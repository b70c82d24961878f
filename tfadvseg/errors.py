"""The errors that a user can mend. The command line shows each as one line."""


class InputError(ValueError):
    """Wrong input: the message says what, what was expected, what was received and the mend.

    The command line prints it and exits with status 2.
    """


class TrainingError(RuntimeError):
    """Training cannot go on, and what was saved before is safe (exit status 1)."""


class ExportError(RuntimeError):
    """An exported model is not what the run is, and was not left behind (exit status 1)."""


class DataWarning(UserWarning):
    """Something in the data that is allowed, but that a careful user wants to know."""
