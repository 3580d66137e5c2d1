"""What the loaded model is for, and whether a picture is of that kind."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from sam3i_agent.core.contracts import SegmentationResult
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.results import with_warning

CARD_NAME = "MODEL_CARD.md"
SCENES_ONLY = "tiny"
"""The model that knows generated scenes alone."""
_CAUTION = (
    f"and the model {SCENES_ONLY} knows drawn pictures alone: do not trust the answer; photographs "
    "need another --model"
)
PHOTO_WARNING = f"this looks like a photograph, {_CAUTION}"
MAX_DETAIL = 0.10
"""Of a scene's pixels. Of 400 scenes of plain shapes none has more, with or without JPEG, of 400 of
everyday things 11; of 19 photographs of everyday things 17 have, and 2 of 4 from science."""
_SIDE = 128
_STEPS = (20, 40)
"""Differences to a neighbour, of 255: larger than noise and shading, smaller than most edges."""
_PURPOSE = re.compile(r"^\*\*For\*\*:.*?(?=\n\s*\n|\Z)", re.DOTALL | re.MULTILINE)


def purpose_of(model: ModelChoice) -> str:
    """Return what a model's card says that it is for and not for; empty where it has none."""
    folder = Path(model.name)
    card = files("sam3i_agent.segmodel") / SCENES_ONLY if model.name == SCENES_ONLY else folder
    try:
        text = (card / CARD_NAME).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    found = _PURPOSE.search(text)
    return " ".join(found[0].replace("**", "").split()) if found else ""


def photo_warning_of(count: int) -> str:
    """Return `PHOTO_WARNING` about so many of the pictures; empty about none."""
    if not count:
        return ""
    are = "picture looks like a photograph" if count == 1 else "pictures look like photographs"
    return f"{count} {are}, {_CAUTION}"


def unlike_what_it_knows(model: ModelChoice, photo: Photo) -> str:
    """Return a warning where a photograph is given to the model of scenes; empty otherwise."""
    looks_alike = model.name != SCENES_ONLY or detail_of(photo) <= MAX_DETAIL
    return "" if looks_alike else PHOTO_WARNING


def with_caution(
    results: Sequence[SegmentationResult], model: ModelChoice, photo: Photo
) -> list[SegmentationResult]:
    """Return results that warn, once, where their photo is not of the kind that the model knows."""
    said = unlike_what_it_knows(model, photo)
    return [
        with_warning(one, said) if said and said not in one.warnings else one for one in results
    ]


def detail_of(photo: Photo) -> float:
    """Return the share, 0 to 1, of a picture's pixels with fine detail of middling contrast.

    Photographs are full of it; what is drawn has flat areas, soft shading and sharp edges. Measured
    on the picture at 128 by 128 pixels; takes milliseconds.
    """
    small = Image.fromarray(photo.pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.int16)
    across = np.abs(np.diff(pixels, axis=1)).max(axis=2)[:-1]
    down = np.abs(np.diff(pixels, axis=0)).max(axis=2)[:, :-1]
    step = np.maximum(across, down)
    least, most = _STEPS
    return float(((step >= least) & (step <= most)).mean())
