"""Tracked clips that resources refer to, in folders of the server's own, bounded in number."""

import secrets
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from pathlib import Path

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.results.kept import KeptFiles
from sam3i_agent.tools.users import current_owner

MAX_CLIPS = 20
_KIND = "clips"


class ClipStore:
    """Keeps the results of the latest clips; the oldest go first, all go with the process.

    Args:
        files: finished clips are kept there, for other front ends; None keeps them here.
        max_clips: how many here.
    """

    def __init__(self, files: KeptFiles | None = None, max_clips: int = MAX_CLIPS) -> None:
        self._files = files
        self._max_clips = max_clips
        self._folders: OrderedDict[tuple[str, str], Path] = OrderedDict()
        self._lock = threading.Lock()
        self._root: Path | None = None

    def create(self) -> tuple[str, Path]:
        """Return a new id that cannot be guessed, and its empty folder."""
        with self._lock:
            if self._root is None:
                self._root = Path(tempfile.mkdtemp(prefix="sam3i-clips-"))
                weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
            id_ = secrets.token_hex(8)
            folder = self._folders[current_owner(), id_] = self._root / id_
            folder.mkdir()
            while len(self._folders) > self._max_clips:
                _, oldest = self._folders.popitem(last=False)
                shutil.rmtree(oldest, ignore_errors=True)
        return id_, folder

    def finish(self, clip_id: str, folder: Path) -> None:
        """Keep what a clip's folder holds where all front ends find it.

        Raises:
            StorageError: the store refuses.
            TryAgainError: the user keeps as much as is allowed, or the store does not answer.
        """
        if self._files is None:
            return
        for path in sorted(folder.iterdir()):
            self._files.put(_KIND, f"{clip_id}/{path.name}", path.read_bytes())

    def read(self, clip_id: str, name: str) -> bytes:
        """Return a file of a clip of the current user.

        Raises:
            InputError: there is no such clip, or it has no such file.
        """
        with self._lock:
            folder = self._folders.get((current_owner(), clip_id))
        path = None if folder is None else folder / name
        if path is not None and path.is_file():
            return path.read_bytes()
        data = None if self._files is None else self._files.get(_KIND, f"{clip_id}/{name}")
        if data is None:
            raise InputError(f"there is no {name} of a clip {clip_id[:40]!r}", "call track again")
        return data
