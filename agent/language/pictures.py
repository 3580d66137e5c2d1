"""The pictures that a model is shown, as data URLs: the photo, the marked photo, cut-outs."""

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.agent.language.side import View
from sam3i_agent.core.drawing import crop_around, data_url, draw_marks, draw_sheet, fit, scale_mask
from sam3i_agent.core.masks import Masks

PHOTO_SIDE = 1024
"""Longest side of the pictures a model is shown, in pixels, where nobody chooses."""
VERDICT_SHARE = 0.75
"""Of that side, for the verdict on one mask, which has a cut-out for the detail."""
SHEET_SHARE = 1.5
"""Of that side, for a sheet of cut-outs."""


class ShownPictures:
    """Draws the pictures of one run's questions; the photo is scaled and encoded once.

    Args:
        side: longest side of the pictures, in pixels.
    """

    def __init__(self, side: int = PHOTO_SIDE) -> None:
        self._side = side
        self._photos: dict[tuple[str, int], _ScaledPhoto] = {}
        """Of the photo in work, by its hash and longest side."""

    async def photo(self, view: View) -> str:
        """Return the photo without marks."""
        return (await asyncio.to_thread(self._photo, view, self._side)).url

    async def small_photo(self, view: View) -> str:
        """Return the photo without marks, in the size that goes with a cut-out."""
        return (await asyncio.to_thread(self._photo, view, self._small_side)).url

    def _photo(self, view: View, side: int) -> "_ScaledPhoto":
        key = (view.photo.sha256, side)
        if key not in self._photos:
            for other in [one for one in self._photos if one[0] != view.photo.sha256]:
                del self._photos[other]
            picture = fit(view.photo.pixels, side)
            self._photos[key] = _ScaledPhoto(np.asarray(picture), data_url(picture))
        return self._photos[key]

    async def marked(self, view: View) -> str:
        """Return the photo with numbered masks, doubted ones with a question mark."""
        doubted = {i for i, one in enumerate(view.known, start=1) if one.doubt}
        picture = await asyncio.to_thread(
            draw_marks, view.photo.pixels, _masks_of(view), max_side=self._side, doubted=doubted
        )
        return data_url(picture)

    async def sheet(self, view: View) -> str:
        """Return an enlarged cut-out of each mask under its number."""
        side = round(self._side * SHEET_SHARE)
        picture = await asyncio.to_thread(
            draw_sheet, view.photo.pixels, _masks_of(view), max_side=side
        )
        return data_url(picture)

    async def one_marked(self, view: View) -> str:
        """Return the photo with the one candidate, in the size that goes with a cut-out."""
        return await asyncio.to_thread(self._one_marked, view)

    async def cut_out(self, view: View) -> str:
        """Return an enlarged cut-out around the one candidate."""
        (candidate,) = view.candidates
        picture = await asyncio.to_thread(crop_around, view.photo.pixels, candidate.mask)
        return data_url(picture)

    @property
    def _small_side(self) -> int:
        return round(self._side * VERDICT_SHARE)

    def _one_marked(self, view: View) -> str:
        (candidate,) = view.candidates
        photo = self._photo(view, self._small_side)
        height, width = photo.pixels.shape[:2]
        mask = scale_mask(candidate.mask, (width, height))
        return data_url(draw_marks(photo.pixels, [mask], max_side=self._small_side))


@dataclass(frozen=True)
class _ScaledPhoto:
    """A photo as a model is shown it."""

    pixels: NDArray[np.uint8]
    url: str


def _masks_of(view: View) -> Masks:
    return Masks(view.photo.size_hw, (one.counts for one in view.candidates))
