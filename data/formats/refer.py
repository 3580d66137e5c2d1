"""RefCOCO, RefCOCO+, RefCOCOg and Ref-ZOM in their own files: a pickle of references, and COCO's.

A folder with `refs(unc).p` (or umd, google, final) and `instances.json`. A reference names one
annotation, in Ref-ZOM also several or none; each of its sentences is a record.
"""

import io
import pickle
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError
from sam3i_agent.data.formats.dataset_format import DATA_ERRORS, DatasetFormat, DatasetSource
from sam3i_agent.data.formats.references import read_references
from sam3i_agent.data.records import Record

REFS_NAMES = ("refs(unc).p", "refs(umd).p", "refs(final).p", "Ref-ZOM(final).p", "refs(google).p")
"""In the order in which they are looked for."""
_NO_TARGET = "zero"
"""Ref-ZOM's `source` of references to nothing."""


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, dictionaries, numbers and texts, and nothing that could run code."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError(f"it holds {module_name}.{global_name}, not plain values")


def read_plain_pickle(path: Path) -> Any:
    """Return the value of a pickle of plain values, as Python 2 wrote it or later ones.

    Raises:
        InputError: it cannot be read, is no pickle, or holds more than plain values.
    """
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="utf-8").load()
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except (pickle.UnpicklingError, EOFError, *DATA_ERRORS) as error:
        raise InputError(f"{path.name!r} is no pickle of references: {error}") from error


def _refs_path(folder: Path) -> Path | None:
    paths = (folder / name for name in REFS_NAMES)
    return next((one for one in paths if one.is_file()), None)


def _read(source: DatasetSource) -> list[Record]:
    path = _refs_path(source.path)
    if path is None:
        raise InputError(f"{str(source.path)!r} has no references", f"one of {REFS_NAMES}")
    refs = read_plain_pickle(path)
    return read_references(
        refs, path.name, source.path, _targets, lambda ref: str(ref.get("split", ""))
    )


def _targets(ref: dict[str, Any]) -> tuple[int, ...]:
    if ref.get("source") == _NO_TARGET:
        return ()
    named = ref["ann_id"]
    return tuple(int(one) for one in (named if isinstance(named, list | tuple) else [named]))


REFER = DatasetFormat(
    name="refer",
    title="RefCOCO or Ref-ZOM",
    mark="refs(unc).p or the like",
    is_folder=True,
    recognises=lambda source: _refs_path(source.path) is not None,
    read=_read,
)
