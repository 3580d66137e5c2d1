"""A folder that belongs to one run: whoever goes on in it must mean the same run.

The folder's `settings.json` says what its results were made with.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import read_json, write_whole

SETTINGS_NAME = "settings.json"
_SHOWN = 3
"""Differences that a message names."""
_VALUE_CHARACTERS = 60
"""Of a value in a message."""


def claim_folder(
    folder: Path, settings: Mapping[str, Any], hint: str = "give another --out"
) -> None:
    """Make the folder, and note what it is for; or check that it is for the same.

    A folder of another run is an `InputError`, wherever it is met: the storage is in order, and
    only the caller, who named the folder and the settings, can say which of the two is wrong. A
    `StorageError` is what no other argument would mend. A claim lapses where nothing came of it:
    who mistyped a model's name may try again.

    Args:
        folder: of the results; may be new, empty or of an earlier run.
        settings: JSON values that decide the results, and nothing that does not.
        hint: what to do where the folder holds another run.

    Raises:
        InputError: the folder holds another run; the message names what differs.
        StorageError: the folder cannot be written, or its settings are damaged.
    """
    path = folder / SETTINGS_NAME
    wanted = json.loads(json.dumps(settings))  # as they come back from the file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if all(one == path for one in folder.iterdir()) or not path.exists():
            write_whole(path, json.dumps(wanted, indent=2, sort_keys=True) + "\n")
            return
    except OSError as error:
        raise StorageError(f"{str(folder)!r} cannot be written: {error.strerror}") from error
    said = list(_differences(_read(path), wanted))
    if said:
        more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
        raise InputError(
            f"{str(folder)!r} holds another run: {'; '.join(said[:_SHOWN])}{more}", hint
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except InputError as error:
        raise StorageError(error.message) from error
    if not isinstance(found, dict):
        raise StorageError(f"{str(path)!r} holds no settings")
    return found


def _differences(
    found: Mapping[str, Any], wanted: Mapping[str, Any], within: str = ""
) -> Iterator[str]:
    """Say what differs, key by key, with dots between nested keys."""
    for key in sorted({*found, *wanted}):
        there, here = found.get(key), wanted.get(key)
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _differences(there, here, f"{within}{key}.")
        elif there != here:
            yield f"its {within}{key} is {_words(there)}, not {_words(here)}"


def _words(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}…"
