"""Who is asking. What tools keep belongs to somebody, and nobody else finds it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

EVERYBODY = "everybody"
"""Owns what is made where nobody is told apart: over stdio, and with one token for all."""
_owner: ContextVar[str] = ContextVar("sam3i_owner", default=EVERYBODY)
_OWNER_CHARACTERS = 32


def current_owner() -> str:
    """Return the name, safe in paths, under which the current caller's things are kept."""
    return _owner.get()


def owner_of(issuer: str, subject: str) -> str:
    """Return the name for a subject, which is unique only to its issuer."""
    whole = f"{len(issuer)} {issuer} {subject}".encode()
    return hashlib.sha256(whole).hexdigest()[:_OWNER_CHARACTERS]


@contextmanager
def acting_for(owner: str) -> Iterator[None]:
    """Let everything inside happen for an owner, in threads that it starts, too."""
    token = _owner.set(owner)
    try:
        yield
    finally:
        _owner.reset(token)
