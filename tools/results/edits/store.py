"""Edits that resources refer to: what was asked, not the pictures, which are made when read."""

import secrets
import threading
from collections import OrderedDict

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.results.edits.actions import Edit

MAX_EDITS = 1_000


class EditStore:
    """Keeps the latest edits; the oldest go first."""

    def __init__(self, max_edits: int = MAX_EDITS) -> None:
        self._max_edits = max_edits
        self._edits: OrderedDict[str, Edit] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, edit: Edit) -> str:
        """Keep an edit, and return its new id."""
        id_ = secrets.token_hex(4)
        with self._lock:
            self._edits[id_] = edit
            while len(self._edits) > self._max_edits:
                self._edits.popitem(last=False)
        return id_

    def get(self, edit_id: str) -> Edit:
        """Return an edit by its id.

        Raises:
            InputError: there is none.
        """
        with self._lock:
            edit = self._edits.get(edit_id)
        if edit is None:
            raise InputError(f"there is no edit {edit_id[:40]!r}", "call edit again")
        return edit
