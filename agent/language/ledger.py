"""The record of a run's requests to a language model: counted when begun, kept when finished.

A resumed run asks the ledger before the server, so no finished request is sent twice and the counts
stay those of the server's own log.
"""

import json
import sqlite3
from pathlib import Path
from typing import Protocol

from pydantic import Field, JsonValue

from sam3i_agent.core.contracts import Frozen


class Ledger(Protocol):
    """Requests of one run."""

    @property
    def calls(self) -> int:
        """Requests begun, finished or not."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens of the finished requests."""
        ...

    @property
    def pictures(self) -> int:
        """Pictures of the requests begun."""
        ...

    def find(self, key: str) -> str | None:
        """Return the reply that a finished request with this key got."""
        ...

    def begin(self, pictures: int) -> None:
        """Count a request that is about to be sent.

        Args:
            pictures: that go with it.
        """
        ...

    def finish(self, key: str, reply: str, tokens: int, question: str) -> None:
        """Keep the reply of a request.

        Args:
            key: names the question and its content.
            reply: the message, as JSON.
            tokens: that it took.
            question: an `AskedQuestion` as JSON, for a record that people read.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class AskedQuestion(Frozen):
    """A question as a ledger keeps it."""

    label: str
    """Names it within its run."""
    function: str = ""
    asked_at: float = 0.0
    """Seconds since 1970. Questions are answered side by side, in any order."""
    messages: tuple[dict[str, JsonValue], ...] = ()
    """Pictures are named by the SHA-256 of their data URLs."""


class Answer(Frozen):
    """An answered question."""

    key: str
    question: AskedQuestion
    reply: dict[str, JsonValue]
    """The model's message."""
    tokens: int


class Entries(Frozen):
    """What a ledger holds."""

    calls: int = 0
    tokens: int = 0
    pictures: int = 0
    replies: dict[str, str] = Field(default_factory=dict)
    """By key."""


class MemoryLedger:
    """A ledger that ends with the process.

    Args:
        entries: what an earlier one held.
    """

    def __init__(self, entries: Entries | None = None) -> None:
        entries = entries or Entries()
        self.calls = entries.calls
        self.tokens = entries.tokens
        self.pictures = entries.pictures
        self._replies = dict(entries.replies)

    @property
    def entries(self) -> Entries:
        """What it holds now."""
        return Entries(
            calls=self.calls, tokens=self.tokens, pictures=self.pictures, replies=self._replies
        )

    def find(self, key: str) -> str | None:
        """Return the reply that a finished request with this key got."""
        return self._replies.get(key)

    def begin(self, pictures: int) -> None:
        """Count a request that is about to be sent."""
        self.calls += 1
        self.pictures += pictures

    def finish(self, key: str, reply: str, tokens: int, question: str) -> None:
        """Keep the reply of a request, not the question."""
        self._replies[key] = reply
        self.tokens += tokens

    def close(self) -> None:
        """Nothing is held."""


class SqliteLedger:
    """A ledger in a SQLite file; each change is on disk before the call returns.

    Args:
        path: the file; made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS begun (at REAL, pictures INTEGER DEFAULT 0)"
        )
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS finished "
            "(key TEXT PRIMARY KEY, reply TEXT, tokens INTEGER, question TEXT)"
        )
        # Written by earlier versions:
        self._add_missing("finished", "question", "TEXT")
        self._add_missing("begun", "pictures", "INTEGER DEFAULT 0")

    def _add_missing(self, table: str, column: str, kind: str) -> None:
        columns = self._connection.execute(f"PRAGMA table_info({table})").fetchall()
        if all(name != column for _, name, *_ in columns):
            self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    @property
    def calls(self) -> int:
        """Requests begun, finished or not."""
        return self._connection.execute("SELECT COUNT(*) FROM begun").fetchone()[0]

    @property
    def tokens(self) -> int:
        """Tokens of the finished requests."""
        query = "SELECT COALESCE(SUM(tokens), 0) FROM finished"
        return self._connection.execute(query).fetchone()[0]

    @property
    def pictures(self) -> int:
        """Pictures of the requests begun."""
        query = "SELECT COALESCE(SUM(pictures), 0) FROM begun"
        return self._connection.execute(query).fetchone()[0]

    def find(self, key: str) -> str | None:
        """Return the reply that a finished request with this key got."""
        row = self._connection.execute(
            "SELECT reply FROM finished WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else row[0]

    def begin(self, pictures: int) -> None:
        """Count a request that is about to be sent."""
        self._connection.execute("INSERT INTO begun VALUES (julianday('now'), ?)", (pictures,))

    def finish(self, key: str, reply: str, tokens: int, question: str) -> None:
        """Keep a question and its reply."""
        self._connection.execute(
            "INSERT OR REPLACE INTO finished (key, reply, tokens, question) VALUES (?, ?, ?, ?)",
            (key, reply, tokens, question),
        )

    def answers(self) -> list[Answer]:
        """Return all that is kept, in the order in which it was asked."""
        rows = self._connection.execute(
            "SELECT key, reply, tokens, question FROM finished ORDER BY rowid"
        ).fetchall()
        answers = [answer_of(key, reply, tokens, asked) for key, reply, tokens, asked in rows]
        return sorted(answers, key=lambda one: one.question.asked_at)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def answer_of(key: str, reply: str, tokens: int, question: str | None) -> Answer:
    """Return what a ledger keeps as a value; see `Ledger.finish`."""
    asked = _question(key, question)
    return Answer(key=key, reply=json.loads(reply), tokens=tokens, question=asked)


def _question(key: str, kept: str | None) -> AskedQuestion:
    """Read a kept question; of the earliest ledgers the key alone is known."""
    if kept is None:
        return AskedQuestion(label=key.rpartition(":")[0])
    return AskedQuestion.model_validate_json(kept)
