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


class TryAgainError(Sam3iError):
    """Nothing is wrong with the request: too much is asked at the moment, or a part is away.

    Args:
        message: what is short.
        retry_after_s: when it is worth asking again, in seconds.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        self.retry_after_s = round(max(retry_after_s, 0.1), 1)
        super().__init__(message, f"try again in {self.retry_after_s:g} s")

    def __reduce__(self) -> tuple[type["TryAgainError"], tuple[str, float]]:
        """Travel between processes as what it was made of."""
        return type(self), (self.message, self.retry_after_s)
