"""Files: written whole or not at all, and JSON read with one clear error."""

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step: a reader sees the old text or the new, never a part.

    So it is after a crash of the machine, and where several processes write the same file.

    Raises:
        OSError: the folder is missing or cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path, encodings: Sequence[str] = ("utf-8",)) -> Any:
    """Return the value of a JSON file.

    Args:
        path: the file.
        encodings: that it may have, tried in this order.

    Raises:
        InputError: it cannot be read or is no JSON.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    problem = "it is empty"
    for encoding in encodings if data else ():
        try:
            return json.loads(data.decode(encoding))
        except ValueError as error:  # a wrong encoding is one too
            problem = str(error)
    raise InputError(f"{path.name!r} is no JSON: {problem}")
