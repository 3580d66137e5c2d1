"""What can be done to a photo by a result's masks: cut out, crop, hide, and leave the rest out."""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageFilter
from pydantic import Field

from sam3i_agent.core.contracts import Frozen, SegmentationResult
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.rle import tight_box
from sam3i_agent.tools.results.pictures import check_numbers

_STRENGTH_SHARE = 1 / 8
"""Of the longer side of what is hidden: how coarse blur and pixels are, unless said."""
_LEAST_STRENGTH = 4
_DIMMED = 0.25
"""Of the brightness that is left of the rest."""
MAX_STRENGTH = 500


class EditAction(StrEnum):
    """What to do."""

    CUT_OUT = "cut_out"
    """The instances alone on a transparent ground, cropped to them."""
    CROP = "crop"
    """The rectangle around them."""
    BLUR = "blur"
    PIXELATE = "pixelate"
    FILL = "fill"
    """Cover them with one colour."""
    REMOVE_BACKGROUND = "remove_background"
    """The instances on a transparent ground, at the photo's size."""
    DIM = "dim"
    """Darken all else."""

    @property
    def has_alpha(self) -> bool:
        """Whether the outcome is transparent in parts."""
        return self in (EditAction.CUT_OUT, EditAction.REMOVE_BACKGROUND)


class Edit(Frozen):
    """One edit."""

    action: EditAction
    instances: tuple[int, ...] = ()
    """Numbers, from 1; none means all."""
    margin: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Around a crop or cut-out, as a share of its longer side."""
    strength: Annotated[int, Field(ge=1, le=MAX_STRENGTH)] | None = None
    """Pixels of blur, or of each block; None goes by the size of what is hidden."""
    colour: str = "black"
    """To fill with: a name or #rrggbb."""


def edit_photo(photo: Photo, result: SegmentationResult, edit: Edit) -> Image.Image:
    """Return the edited photo, RGB or RGBA, upright.

    Raises:
        InputError: there is no such instance, none at all, or no such colour.
    """
    numbers = check_numbers(result, edit.instances)
    if not numbers:
        raise InputError("the result has no instances to edit", "segment something that is there")
    mask = result.masks()[[number - 1 for number in numbers]].union()
    box = tight_box(mask)
    if box is None:
        raise InputError("the instances are empty")
    match edit.action:
        case EditAction.CUT_OUT:
            window = _with_margin(box, edit.margin, mask.shape)
            return _transparent(photo.pixels[window], mask[window])
        case EditAction.CROP:
            return _image(photo.pixels[_with_margin(box, edit.margin, mask.shape)])
        case EditAction.REMOVE_BACKGROUND:
            return _transparent(photo.pixels, mask)
        case EditAction.DIM:
            dimmed = (photo.pixels * _DIMMED).astype(np.uint8)
            return _image(np.where(mask[..., None], photo.pixels, dimmed))
        case _:
            return _hidden(photo.pixels, mask, box, edit)


def _hidden(
    pixels: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    box: tuple[int, int, int, int],
    edit: Edit,
) -> Image.Image:
    """Change what is under the mask; only its surroundings are computed."""
    x0, y0, x1, y1 = box
    size = max(_LEAST_STRENGTH, round(_STRENGTH_SHARE * max(x1 - x0, y1 - y0)))
    strength = edit.strength or min(size, MAX_STRENGTH)
    window = (slice(y0, y1), slice(x0, x1))
    part, inside = _image(pixels[window]), mask[window]
    if edit.action is EditAction.BLUR:
        changed = part.filter(ImageFilter.GaussianBlur(strength))
    elif edit.action is EditAction.PIXELATE:
        blocks = (math.ceil(part.width / strength), math.ceil(part.height / strength))
        changed = part.resize(blocks, Image.Resampling.BOX)
        changed = changed.resize(part.size, Image.Resampling.NEAREST)
    else:
        changed = Image.new("RGB", part.size, _colour(edit.colour))
    edited = pixels.copy()
    edited[window] = np.where(inside[..., None], np.asarray(changed), edited[window])
    return _image(edited)


def _colour(name: str) -> tuple[int, ...]:
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError as error:
        raise InputError(f"{name[:40]!r} is no colour", "say a name or #rrggbb") from error


def _transparent(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Image.Image:
    alpha = np.where(mask, 255, 0).astype(np.uint8)
    # What is not meant is not in the file either, under full transparency.
    return Image.fromarray(np.dstack([np.where(mask[..., None], pixels, 0), alpha]))


def _with_margin(
    box: tuple[int, int, int, int], margin: float, size_hw: Sequence[int]
) -> tuple[slice, slice]:
    x0, y0, x1, y1 = box
    extra = math.ceil(margin * max(x1 - x0, y1 - y0))
    rows = slice(max(0, y0 - extra), min(size_hw[0], y1 + extra))
    return rows, slice(max(0, x0 - extra), min(size_hw[1], x1 + extra))


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels))
