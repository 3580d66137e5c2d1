"""Tracked clips that resources refer to, in folders of the server's own, bounded in number."""

import secrets
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from pathlib import Path

from sam3i_agent.core.errors import InputError

MAX_CLIPS = 20


class ClipStore:
    """Keeps the results of the latest clips; the oldest go first, all go with the process.

    Args:
        max_clips: how many.
    """

    def __init__(self, max_clips: int = MAX_CLIPS) -> None:
        self._max_clips = max_clips
        self._folders: OrderedDict[str, Path] = OrderedDict()
        self._lock = threading.Lock()
        self._root: Path | None = None

    def create(self) -> tuple[str, Path]:
        """Return a new id that cannot be guessed, and its empty folder."""
        with self._lock:
            if self._root is None:
                self._root = Path(tempfile.mkdtemp(prefix="sam3i-clips-"))
                weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
            id_ = secrets.token_hex(8)
            folder = self._folders[id_] = self._root / id_
            folder.mkdir()
            while len(self._folders) > self._max_clips:
                _, oldest = self._folders.popitem(last=False)
                shutil.rmtree(oldest, ignore_errors=True)
        return id_, folder

    def file(self, clip_id: str, name: str) -> Path:
        """Return a file of a clip.

        Raises:
            InputError: there is no such clip, or it has no such file.
        """
        with self._lock:
            folder = self._folders.get(clip_id)
        path = None if folder is None else folder / name
        if path is None or not path.is_file():
            raise InputError(f"there is no {name} of a clip {clip_id[:40]!r}", "call track again")
        return path
