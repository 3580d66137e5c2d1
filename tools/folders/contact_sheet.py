"""All pictures of a folder on one page: what was found where, to filter and to look at.

The page is one file without network beside the thumbnails and overlays, which it shows as they come
into view.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from sam3i_agent.core.contracts import PictureAnswer, RunStatus, SegmentationResult
from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.tools.folders.pictures import OVERLAYS_FOLDER, THUMBNAILS_FOLDER, Picture
from sam3i_agent.tools.purpose import PHOTO_WARNING, photo_warning_of

SHEET_NAME = "contact-sheet.html"
_NAME_BYTES = 255
"""Of a file's name, at most."""
_HASH_DIGITS = 16
_STATES = {
    "found": "found",
    "nothing": "nothing found",
    "unfinished": "unfinished",
    "failed": "failed",
    "skipped": "could not be read",
}
"""State of a picture to its words."""


def picture_name(folder: str, file: str) -> str:
    """Return where the overlay or the thumbnail of a picture is, relative to the results.

    A name that would be longer than file systems take is cut, and made its own by a hash.
    """
    name = PurePosixPath(f"{file}.jpg")
    if len(os.fsencode(name.name)) > _NAME_BYTES:
        digest = hashlib.sha256(os.fsencode(name.name)).hexdigest()[:_HASH_DIGITS]
        kept = os.fsencode(name.name)[: _NAME_BYTES - len(f"-{digest}.jpg")]
        name = name.with_name(f"{kept.decode(errors='ignore')}-{digest}.jpg")
    return f"{folder}/{name}"


def write_contact_sheet(
    answers: Iterable[PictureAnswer],
    pictures: Sequence[Picture],
    out: Path,
    settings: Mapping[str, str],
) -> None:
    """Write `contact-sheet.html`.

    Args:
        answers: one per picture, in any order.
        pictures: in the order in which they are shown.
        out: folder of the results.
        settings: what the answers were made with, to be said.

    Raises:
        StorageError: it cannot be written.
    """
    cards = {one.file: _card(one) for one in answers}
    shown = [cards[one.file] for one in pictures if one.file in cards]
    counts = {state: sum(one["state"] == state for one in shown) for state in _STATES}
    texts = list(dict.fromkeys(text.instruction for one in pictures for text in one.texts))
    page = _template().render(
        title=texts[0] if len(texts) == 1 else f"{len(texts)} texts",
        one_text=len(texts) == 1,
        cards=shown,
        states={state: words for state, words in _STATES.items() if counts[state]},
        counts=counts,
        caution=photo_warning_of(sum(one["unlike"] for one in shown)),
        settings=settings,
    )
    try:
        write_whole(out / SHEET_NAME, page)
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error


def _template() -> Any:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("sam3i_agent.tools.folders") / "contact_sheet.html.j2"
    return environment.from_string(source.read_text("utf-8"))


def _card(answer: PictureAnswer) -> dict[str, Any]:
    results = answer.results
    warnings = dict.fromkeys(line for one in results for line in one.warnings)
    return {
        "file": answer.file,
        "state": _state(answer),
        "overlay": quote(picture_name(OVERLAYS_FOLDER, answer.file)),
        "thumbnail": quote(picture_name(THUMBNAILS_FOLDER, answer.file)),
        "count": sum(one.count for one in results),
        "lines": [_line(one) for one in results],
        "problem": answer.problem,
        "unlike": PHOTO_WARNING in warnings,
        "warnings": [one for one in warnings if one != PHOTO_WARNING],
    }


def _state(answer: PictureAnswer) -> str:
    if answer.problem:
        return "skipped"
    statuses = {one.status for one in answer.results}
    if RunStatus.FAILED in statuses:
        return "failed"
    if any(one.instances for one in answer.results):
        return "found"
    return "unfinished" if RunStatus.BUDGET_EXHAUSTED in statuses else "nothing"


def _line(result: SegmentationResult) -> dict[str, str]:
    said = f"none, presence {result.presence:.2f}"
    if result.instances:
        said = f"{result.count}, best {result.instances[0].score:.2f}"
    return {
        "text": result.instruction,
        "said": said,
        "route": str(result.route),
    }
