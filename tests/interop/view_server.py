"""A server whose model finds discs, takes boxes and clicks, for the view to show.

python -m tests.interop.view_server ORIGIN --http HOST:PORT
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt
from sam3i_agent.core.rle import tight_box
from sam3i_agent.segmodel.segmenter import Box
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.access.access import Access
from sam3i_agent.tools.serving.http import parse_address, serve_http
from sam3i_agent.tools.serving.settings import ServeSettings
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox
from tests.conftest import KnowingImage, KnowingSegmenter

COUNTS = {"anvil": 0, "coin": 1, "star": 3, "dot": 100, "bead": 200}
"""Discs of each word, in rows that fill the photo."""
_READINGS = (1.0, 1.5, 0.6)
"""Sizes of what a click may mean."""


@dataclass
class DiscSegmenter(KnowingSegmenter):
    name: str = "discs"
    takes_exemplars: bool = True
    takes_clicks: bool = True

    def encode(self, photo: Photo, *, keep: bool = True) -> "_DiscImage":
        return _DiscImage(self, photo.size_hw)

    def click(
        self,
        photo: Photo,
        clicks: Sequence[Click] = (),
        box_xyxy: Box | None = None,
        mask: NDArray[np.bool_] | None = None,
        *,
        several: bool = True,
    ) -> ClickMasks:
        last = clicks[-1]
        x, y = last.point_xy
        side = 0.06 * max(photo.size_hw)
        discs = [disc(photo.size_hw, x, y, side * share) for share in _READINGS]
        before = np.zeros(photo.size_hw, bool) if mask is None else mask
        found = [before | one if last.positive else before & ~one for one in discs]
        scores = np.array([0.9, 0.8, 0.7], np.float32)
        return ClickMasks(Masks.encode(found, photo.size_hw), scores, presence=0.9)


class _DiscImage(KnowingImage):
    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        return [self._found(one) for one in prompts]

    def _found(self, prompt: Prompt) -> Instances:
        masks = list(grid(self.size_hw, COUNTS.get(prompt.text.rstrip("s"), 0)))
        for one in prompt.exemplars:
            x0, y0, x1, y1 = one.box_xyxy
            here = np.zeros(self.size_hw, bool)
            here[int(y0) : int(y1), int(x0) : int(x1)] = True
            masks = [mask for mask in masks if not (mask & here).any()]
            if one.positive:
                radius = min(x1 - x0, y1 - y0) / 2
                masks.append(disc(self.size_hw, (x0 + x1) / 2, (y0 + y1) / 2, radius))
        boxes = [tight_box(mask) for mask in masks]
        return Instances(
            masks=Masks.encode(masks, self.size_hw),
            boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            scores=np.linspace(0.97, 0.55, len(masks), dtype=np.float32),
            presence=0.95 if masks else 0.05,
        )


def disc(size_hw: tuple[int, int], x: float, y: float, radius: float) -> NDArray[np.bool_]:
    """A disc with a wavy edge and a hole."""
    rows, columns = np.ogrid[: size_hw[0], : size_hw[1]]
    far = np.hypot(rows - y, columns - x)
    angle = np.arctan2(rows - y, columns - x)
    return (far < radius * (0.92 + 0.07 * np.sin(9 * angle))) & (far > radius * 0.2)


@cache
def grid(size_hw: tuple[int, int], count: int) -> tuple[NDArray[np.bool_], ...]:
    """So many discs in rows."""
    height, width = size_hw
    across = max(1, round(np.sqrt(count * width / height)))
    down = max(1, -(-count // across))
    radius = 0.4 * min(width / across, height / down)
    places = [divmod(number, across) for number in range(count)]
    return tuple(
        disc(size_hw, (column + 0.5) * width / across, (row + 0.5) * height / down, radius)
        for row, column in places
    )


def main() -> None:
    """Serve."""
    origin = sys.argv[1]
    host, port = parse_address(sys.argv[sys.argv.index("--http") + 1])
    service = SegmentationService(ModelChoice("discs", device="cpu"))
    model = DiscSegmenter()
    service.segmenter = lambda: model
    toolbox = Toolbox(service, ImageSource(ResultStore()))
    settings = ServeSettings(host=host, port=port, allow_origins=(origin,))
    serve_http(toolbox, settings, Access())


if __name__ == "__main__":
    main()
