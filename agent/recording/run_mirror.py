"""Recorded runs in a store, from where another machine shows them and goes on with them."""

import hashlib
import json
import logging
import os
import re
from pathlib import Path

from sam3i_agent.agent.language.ledger import Answer, SqliteLedger, answer_of
from sam3i_agent.core.errors import Sam3iError
from sam3i_agent.core.storage.blobs import MEMORY, STORE_VARIABLE, Blobs

logger = logging.getLogger(__name__)

_TOP = "runs"
_CALLS = "calls"
_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*")
_ENDING = re.compile(r"\.[a-z0-9]+")
_NAME_CHARACTERS = 32


class RunMirror:
    """The files of one run in a store; a store that is away only costs the other machines.

    Args:
        blobs: the store.
        run_id: of the run.
    """

    def __init__(self, blobs: Blobs, run_id: str) -> None:
        self._blobs = blobs
        self._top = f"{_TOP}/{run_id}"

    def push(self, name: str, data: bytes) -> None:
        """Keep a file of the run there, too."""
        try:
            self._blobs.put(f"{self._top}/{name}", data)
        except Sam3iError as error:
            logger.warning("%s; other machines cannot go on with this run", error)

    def push_photo(self, name: str, photo: Path) -> None:
        """Keep the photo there, under a name with its own ending."""
        ending = photo.suffix.lower()
        self.push(name + (ending if _ENDING.fullmatch(ending) else ""), photo.read_bytes())

    def push_answer(self, answer: Answer) -> None:
        """Keep a reply of the language model there, too."""
        name = hashlib.sha256(answer.key.encode()).hexdigest()[:_NAME_CHARACTERS]
        self.push(f"{_CALLS}/{name}.json", answer.model_dump_json().encode())

    def pull(self, folder: Path, calls: Path) -> bool:
        """Fetch the run; return whether there is one.

        Args:
            folder: of the run, which is made.
            calls: file of its ledger.

        Raises:
            StorageError: the store refuses.
            TryAgainError: it does not answer.
        """
        names = [one.key.removeprefix(f"{self._top}/") for one in self._blobs.list(self._top)]
        for name in sorted(names):
            data = self._blobs.get(f"{self._top}/{name}")
            if data is None or name.startswith(f"{_CALLS}/"):
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        if not names:
            return False
        ledger = SqliteLedger(calls)
        for name in names:
            data = self._blobs.get(f"{self._top}/{name}") if name.startswith(_CALLS) else None
            if data is not None:
                one = Answer.model_validate_json(data)
                ledger.begin(_pictures_in(one))
                ledger.finish(
                    one.key, json.dumps(one.reply), one.tokens, one.question.model_dump_json()
                )
        ledger.close()
        return True


class MirroredLedger(SqliteLedger):
    """A ledger whose replies are in a store as well.

    Args:
        path: of the file.
        mirror: of its run.
    """

    def __init__(self, path: Path, mirror: RunMirror) -> None:
        super().__init__(path)
        self._mirror = mirror

    def finish(self, key: str, reply: str, tokens: int, question: str) -> None:
        """Keep a question and its reply, here and there."""
        super().finish(key, reply, tokens, question)
        self._mirror.push_answer(answer_of(key, reply, tokens, question))


def store_of_runs() -> Blobs | None:
    """Open the store that `SAM3I_STORE` names; None where it names none.

    Raises:
        InputError: it is no such URL.
        StorageError: it cannot be opened.
    """
    url = os.environ.get(STORE_VARIABLE, MEMORY)
    return None if url == MEMORY else Blobs(url)


def mirror_of(blobs: Blobs | None, run_id: str) -> RunMirror | None:
    """Return where a run is kept beside its folder; None where there is no store, or no such id."""
    return RunMirror(blobs, run_id) if blobs is not None and _RUN_ID.fullmatch(run_id) else None


def ids_in(blobs: Blobs | None) -> set[str]:
    """Return the ids of all runs in a store.

    Raises:
        StorageError: the store refuses.
        TryAgainError: it does not answer.
    """
    return set() if blobs is None else {one.key.split("/")[1] for one in blobs.list(_TOP)}


def _pictures_in(answer: Answer) -> int:
    """Return how many pictures the question of an answer had."""
    contents = (message.get("content") for message in answer.question.messages)
    parts = [part for one in contents if isinstance(one, list) for part in one]
    return sum(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)
