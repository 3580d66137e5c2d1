"""Edits that resources refer to: what was asked, not the pictures, which are made when read."""

import secrets
import threading
from collections import OrderedDict

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.results.edits.actions import Edit
from sam3i_agent.tools.results.kept import KeptFiles
from sam3i_agent.tools.users import current_owner

MAX_EDITS = 1_000
_KIND = "edits"


class EditStore:
    """Keeps the latest edits; the oldest go first.

    Args:
        files: also keep them there, for other front ends; None keeps them in memory only.
        max_edits: in memory.
    """

    def __init__(self, files: KeptFiles | None = None, max_edits: int = MAX_EDITS) -> None:
        self._files = files
        self._max_edits = max_edits
        self._edits: OrderedDict[tuple[str, str], Edit] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, edit: Edit) -> str:
        """Keep an edit of the current user, and return its new id."""
        id_ = secrets.token_hex(4)
        if self._files is not None:
            self._files.put(_KIND, f"{id_}.json", edit.model_dump_json().encode())
        with self._lock:
            self._edits[current_owner(), id_] = edit
            while len(self._edits) > self._max_edits:
                self._edits.popitem(last=False)
        return id_

    def get(self, edit_id: str) -> Edit:
        """Return an edit of the current user by its id.

        Raises:
            InputError: there is none.
        """
        with self._lock:
            edit = self._edits.get((current_owner(), edit_id))
        if edit is None and self._files is not None:
            data = self._files.get(_KIND, f"{edit_id}.json")
            edit = None if data is None else Edit.model_validate_json(data)
        if edit is None:
            raise InputError(f"there is no edit {edit_id[:40]!r}", "call edit again")
        return edit
