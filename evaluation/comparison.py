"""Running routes over a dataset, one prediction per record and route, resumable at any record.

`DIR/predictions.jsonl` gets a line as soon as an answer is there; a killed run goes on behind the
last whole line. Photos are encoded once for all routes and texts about them.
"""

import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError

from sam3i_agent.agent.contracts import (
    Budgets,
    CompressedMask,
    Frozen,
    LevelChoice,
    RouteChoice,
    RunStatus,
    SegmentationResult,
    Usage,
)
from sam3i_agent.agent.run import LanguageFactory, offline_planner, segment_photo_sync
from sam3i_agent.agent.state import SegmenterLike
from sam3i_agent.segmodel.errors import InputError, StorageError
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.photo import Photo
from sam3i_agent.segmodel.rle import decode_mask
from sam3i_agent.tools.images import read_photo
from sam3i_agent.training.dataset import Record, read_records

logger = logging.getLogger(__name__)

PREDICTIONS_NAME = "predictions.jsonl"
SETTINGS_NAME = "settings.json"


@dataclass(frozen=True)
class Case:
    """One text about one photo."""

    id: str
    """`RECORD/LEVEL`."""
    record: Record
    level: InstructionLevel
    text: str


class Prediction(Frozen):
    """What a route answered."""

    case: str
    route: RouteChoice
    status: RunStatus
    answered_by: str
    presence: float
    scores: list[float]
    masks: list[CompressedMask]
    usage: Usage
    trace: list[str]
    warnings: list[str]

    def decode(self, height: int, width: int) -> np.ndarray:
        """Return the (N, height, width) bool masks."""
        masks = [decode_mask(one.size, one.counts) for one in self.masks]
        return np.array(masks, dtype=bool).reshape(-1, height, width)


class Shard(Frozen):
    """A part of the cases: number `index` (from 1) of `count`."""

    index: Annotated[int, Field(ge=1)] = 1
    count: Annotated[int, Field(ge=1)] = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `i/n`.

        Raises:
            InputError: it is not of that form, or i is not 1 to n.
        """
        first, slash, second = text.partition("/")
        try:
            shard = cls(index=int(first), count=int(second))
        except (ValueError, ValidationError) as error:
            raise InputError(f"--shard takes i/n, such as 1/4, not {text!r}") from error
        if not slash or shard.index > shard.count:
            raise InputError(f"--shard takes i/n, such as 1/4, not {text!r}")
        return shard

    def holds(self, image: str) -> bool:
        """Whether the photo's cases are in this part; all cases of a photo are in one."""
        return zlib.crc32(image.encode()) % self.count == self.index - 1


def read_cases(
    annotations: Path, levels: Sequence[InstructionLevel], limit: int | None = None
) -> list[Case]:
    """Return a case per record and level that has a text, photo by photo.

    Raises:
        InputError: the dataset cannot be read or has no text of the levels.
    """
    cases = [
        Case(f"{record.id}/{level}", record, level, record.texts[level][0])
        for record in read_records(annotations)
        for level in levels
        if level in record.texts
    ]
    if not cases:
        raise InputError(f"{annotations.name!r} has no text of the levels {', '.join(levels)}")
    return cases[:limit]


def run_comparison(
    segmenter: SegmenterLike,
    annotations: Path,
    cases: Sequence[Case],
    routes: Sequence[RouteChoice],
    out: Path,
    *,
    settings: dict[str, str],
    budgets: Budgets,
    language: LanguageFactory = offline_planner,
    shard: Shard = Shard(),  # noqa: B008 (frozen)
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Answer every case by every route and return the predictions file.

    Args:
        segmenter: a loaded model.
        annotations: the dataset, beside its images.
        cases: what to ask.
        routes: by which routes.
        out: folder of the comparison; an earlier run of the same settings there goes on.
        settings: what was compared (model, language model, dataset), so that runs do not mix.
        budgets: of each agent run.
        language: the agent's language side.
        shard: which part of the cases.
        advance: called with answers done and in all.

    Raises:
        InputError: the folder holds a comparison of other settings.
        StorageError: it cannot be written.
    """
    mine = [case for case in cases if shard.holds(case.record.file_name)]
    path = out / PREDICTIONS_NAME
    try:
        out.mkdir(parents=True, exist_ok=True)
        _check_settings(out / SETTINGS_NAME, settings)
        done = {(one.case, one.route) for one in read_predictions(path, repair=True)}
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
    total = len(mine) * len(routes)
    advance(len(done), total)
    photos = _Photos(annotations.parent)
    with path.open("a", encoding="utf-8") as lines:
        for case in mine:
            for route in routes:
                if (case.id, route) in done:
                    continue
                result = segment_photo_sync(
                    segmenter,
                    photos.read(case.record.file_name),
                    case.text,
                    route=route,
                    level=LevelChoice.AUTO,
                    budgets=budgets,
                    language=language,
                )
                lines.write(_prediction(case, route, result).model_dump_json() + "\n")
                lines.flush()
                os.fsync(lines.fileno())
                done.add((case.id, route))
                advance(len(done), total)
    return path


def read_predictions(path: Path, *, repair: bool = False) -> Iterator[Prediction]:
    """Read predictions one by one.

    Args:
        path: the file; none means no predictions.
        repair: cut off what a killed run left of its last line, so that it can be appended to.

    Raises:
        StorageError: a whole line is no prediction.
    """
    if not path.exists():
        return
    good = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                prediction = Prediction.model_validate_json(line)
            except ValidationError as error:
                raise StorageError(f"line {number} of {path.name!r} is damaged") from error
            good += len(line)
            yield prediction
    if repair and good < path.stat().st_size:
        os.truncate(path, good)


class _Photos:
    """Keeps the last photo: its cases follow each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: tuple[str, Photo] | None = None

    def read(self, name: str) -> Photo:
        if self._last is None or self._last[0] != name:
            self._last = (name, read_photo(self._folder / name))
        return self._last[1]


def _prediction(case: Case, route: RouteChoice, result: SegmentationResult) -> Prediction:
    return Prediction(
        case=case.id,
        route=route,
        status=result.status,
        answered_by=result.route,
        presence=result.presence,
        scores=[one.score for one in result.instances],
        masks=[one.mask for one in result.instances],
        usage=result.usage,
        trace=list(result.trace),
        warnings=list(result.warnings),
    )


def _check_settings(path: Path, settings: dict[str, str]) -> None:
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    if path.exists() and path.read_text("utf-8") != text:
        raise InputError(
            f"{str(path.parent)!r} holds a comparison of other settings", "give another --out"
        )
    path.write_text(text, "utf-8")
