"""A toolbox whose model knows what is where, so that answers can be checked without a model."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mcp import Client
from PIL import Image

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.tools.mcp.server import DEFAULT_OPTIONS, ServerOptions, build_server
from sam3i_agent.tools.results.kept import KeptFiles
from sam3i_agent.tools.results.shared import SharedResultStore
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.access.limits import Limiter
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox
from tests.conftest import KnowingImage, KnowingSegmenter, block

COUNTS = {"anvil": 0, "star": 1, "circle": 5, "dot": 100}
"""Instances of each word on the picture of `picture_uri`."""
SIDE = 100


@dataclass
class _Obliging(KnowingSegmenter):
    """Takes example boxes, and finds what it finds without them."""

    takes_exemplars: bool = True

    def encode(self, photo: Photo) -> "_ObligingImage":
        self.encodings += 1
        return _ObligingImage(self, photo.size_hw)


class _ObligingImage(KnowingImage):
    def segment(self, prompts: list[Prompt]) -> list[Instances]:
        return super().segment([replace(one, exemplars=()) for one in prompts])


def toolbox_of(
    segmenter: KnowingSegmenter | None = None,
    files: KeptFiles | None = None,
    limiter: Limiter | None = None,
    **source: Any,
) -> Toolbox:
    """Return a toolbox over a model that knows `COUNTS`, or over another.

    Args:
        segmenter: the other one.
        files: where results are kept; None keeps them in memory.
        limiter: of what users may ask.
        **source: what pictures may be opened.
    """
    model = segmenter or _Obliging({word: _grid(count) for word, count in COUNTS.items()})
    service = SegmentationService(ModelChoice("knowing"))
    service.segmenter = lambda: model
    results = ResultStore() if files is None else SharedResultStore(files)
    return Toolbox(service, ImageSource(results, **source), files=files, limiter=limiter)


def client_of(toolbox: Toolbox | None = None, options: ServerOptions = DEFAULT_OPTIONS) -> Client:
    """Return a client of a server in this process."""
    return Client(build_server(toolbox or toolbox_of(), options))


def picture_uri(side: int = SIDE) -> str:
    """Return a picture of noise, as a data URI."""
    noise = np.random.default_rng(side).integers(0, 255, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def text_of(answer: Any) -> str:
    return "\n".join(one.text for one in answer.content if one.type == "text")


def pictures_of(answer: Any) -> list[Image.Image]:
    found = [one for one in answer.content if one.type == "image"]
    assert all(one.mime_type == "image/jpeg" for one in found)
    return [Image.open(io.BytesIO(base64.b64decode(one.data))) for one in found]


def _grid(count: int) -> Sequence[tuple[np.ndarray, float]]:
    places = [(10 * (i % 10), 10 * (i // 10)) for i in range(count)]
    return [(block(x, y, x + 8, y + 8), 0.9 - i / 1000) for i, (x, y) in enumerate(places)]
