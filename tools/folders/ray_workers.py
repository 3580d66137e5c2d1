"""Many pictures on several workers or machines, with Ray Data (extra `ray`).

Each worker loads the model once. Overlays come back with the answers: only this machine writes.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sam3i_agent.core.contracts import PictureAnswer, PictureText
from sam3i_agent.segmodel.sharing.ray_workers import map_with_ray
from sam3i_agent.tools.folders.answering import (
    AT_ONCE,
    AnswerPictures,
    DrawnAnswer,
    FolderSettings,
    PictureAnswerer,
)
from sam3i_agent.tools.folders.pictures import Picture
from sam3i_agent.tools.service import SegmentationService

_TEXTS = TypeAdapter(tuple[PictureText, ...])


class _Worker:
    """Loads the model once and answers a few pictures at a time."""

    def __init__(self, settings: FolderSettings) -> None:
        self._answerer = PictureAnswerer(SegmentationService(settings.model), settings)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        pictures = [
            Picture(Path(path), file, _TEXTS.validate_json(texts))
            for path, file, texts in zip(row["paths"], row["files"], row["texts"], strict=True)
        ]
        drawn = list(self._answerer.answer(pictures))
        return {
            "lines": [one.answer.model_dump_json() for one in drawn],
            "overlays": [one.overlay for one in drawn],
            "thumbnails": [one.thumbnail for one in drawn],
        }


def answer_with_ray(settings: FolderSettings, workers: int) -> AnswerPictures:
    """Return what answers on `workers` Ray workers.

    The pictures must be readable under their paths on every machine.
    """

    def answer(pictures: Iterable[Picture]) -> Iterator[DrawnAnswer]:
        left = iter(pictures)
        rows = [
            {
                "paths": [str(one.path) for one in group],
                "files": [one.file for one in group],
                "texts": [_TEXTS.dump_json(one.texts).decode() for one in group],
            }
            for group in iter(lambda: list(islice(left, AT_ONCE)), [])
        ]
        for row in map_with_ray(rows, _Worker, settings, settings.model, workers):
            for line, overlay, thumbnail in zip(
                row["lines"], row["overlays"], row["thumbnails"], strict=True
            ):
                yield DrawnAnswer(PictureAnswer.model_validate_json(line), overlay, thumbnail)

    return answer
