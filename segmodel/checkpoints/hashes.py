"""Hashes of the files of weights that run, computed beside other work and once for each file."""

import hashlib
import logging
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from sam3i_agent.core.contracts import WeightsFile
from sam3i_agent.segmodel.checkpoints.catalogue import WEIGHTS, parts_of
from sam3i_agent.segmodel.checkpoints.hub import folder_of
from sam3i_agent.segmodel.checkpoints.repository import base_model_of, hub_name, path_of

logger = logging.getLogger(__name__)

_FILES_KEPT = 256
_turn = threading.Lock()
"""Whoever asks for a file that is being hashed waits for that."""


def sha256_of(file: Path) -> str:
    """Return the sha256 of a file, from before where it has not changed since.

    Raises:
        OSError: it cannot be read.
    """
    whole = file.resolve()
    about = whole.stat()
    with _turn:
        return _sha256(whole, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=_FILES_KEPT)
def _sha256(file: Path, nbytes: int, mtime_ns: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


class RunningWeights:
    """The files of weights of a model that was just loaded; hashing begins at once.

    Args:
        name: under which it was loaded; one that means no files has none.
    """

    def __init__(self, name: str) -> None:
        self._found: tuple[WeightsFile, ...] = ()
        files = list(_files_of(name))
        self._hashing = threading.Thread(target=self._hash, args=(files,), daemon=True)
        self._hashing.start()

    def files(self) -> tuple[WeightsFile, ...]:
        """Return them with their hashes, which may have to be waited for."""
        self._hashing.join()
        return self._found

    def _hash(self, files: list[tuple[str, Path]]) -> None:
        try:
            self._found = tuple(
                WeightsFile(model=model, name=file.name, sha256=sha256_of(file))
                for model, file in files
            )
        except OSError as error:
            logger.warning("results will not say which weights ran: %s", error)


def _files_of(name: str) -> Iterator[tuple[str, Path]]:
    """Yield what each file of weights belongs to, without folders of this machine, and the file."""
    for part in parts_of(name):
        path = path_of(part)
        folder = path if path.exists() else folder_of(part)
        shown = part if hub_name(part) else path.name
        if path.is_file():
            yield shown, path
        elif folder is not None:
            for file in sorted(folder.glob(WEIGHTS)):
                yield shown, file
        base = base_model_of(part)
        if base not in (part, str(path.resolve())):
            yield from _files_of(base)
