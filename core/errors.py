"""What can go wrong, by who can act on it."""


class Sam3iError(Exception):
    """Base of all expected failures.

    Args:
        message: what is wrong, in one line for people: what was wanted, what was found.
        hint: what to do about it, in one line; empty when the message says it all.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Message and hint on one line."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(Sam3iError):
    """The caller's image, instruction or option cannot be used."""


class ModelError(Sam3iError):
    """A model or checkpoint is missing, damaged or of another kind."""


class LanguageError(Sam3iError):
    """The language side cannot do what is asked of it."""


class LanguageReplyError(LanguageError):
    """One reply of a language model is unusable; another try may do better."""


class BudgetError(Sam3iError):
    """A run has used up one of its budgets."""


class StorageError(Sam3iError):
    """A result cannot be written or read back."""
