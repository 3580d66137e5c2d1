"""Running routes over a dataset, one prediction per case and route, resumable at any of them.

`DIR/predictions.jsonl` gets a line as soon as an answer is there; a killed run goes on behind the
last whole line. Photos are encoded once for all routes and texts about them.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from sam3i_agent.agent.language.factory import LanguageFactory, offline_planner
from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.agent.state import SegmenterLike
from sam3i_agent.core.contracts import Budgets, LevelChoice, RouteChoice, SegmentationResult
from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.evaluation.compare.cases import Case, Prediction, Shard, read_predictions

SETTINGS_NAME = "settings.json"


@dataclass(frozen=True)
class Task:
    """One case and one route; all that a worker needs to know of it."""

    case: str
    file_name: str
    size_hw: tuple[int, int]
    """That the dataset says."""
    text: str
    route: RouteChoice


@dataclass(frozen=True)
class Answerer:
    """Answers tasks.

    Args:
        segmenter: a loaded model.
        images: folder of the photos.
        budgets: of each agent run.
        language: the agent's language side.
    """

    segmenter: SegmenterLike
    images: Path
    budgets: Budgets
    language: LanguageFactory = offline_planner

    def answer(self, tasks: Sequence[Task]) -> Iterator[Prediction]:
        """Answer tasks in their order; those about one photo should follow each other.

        Raises:
            InputError: a photo cannot be read, or has another size than the dataset says.
        """
        photo: Photo | None = None
        name = ""
        for task in tasks:
            if photo is None or name != task.file_name:
                photo, name = read_photo(self.images / task.file_name), task.file_name
            if photo.size_hw != task.size_hw:
                raise InputError(
                    f"the photo {name!r} is {photo.size_hw[1]}x{photo.size_hw[0]} pixels, the "
                    f"dataset says {task.size_hw[1]}x{task.size_hw[0]}"
                )
            result = segment_photo_sync(
                self.segmenter,
                photo,
                task.text,
                route=task.route,
                level=LevelChoice.AUTO,
                budgets=self.budgets,
                language=self.language,
            )
            yield _prediction(task, result)


AnswerAll = Callable[[Sequence[Task]], Iterator[Prediction]]
"""Answers tasks, here or on other machines, in any order."""


def run_comparison(
    answer_all: AnswerAll,
    cases: Sequence[Case],
    routes: Sequence[RouteChoice],
    out: Path,
    *,
    settings: dict[str, str],
    shard: Shard = Shard(),  # noqa: B008 (frozen)
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Answer every case by every route and return the predictions file, in the cases' order.

    Args:
        answer_all: answers what no earlier run has answered; not called where nothing is left.
        cases: what to ask.
        routes: by which routes.
        out: folder of the comparison; an earlier run of the same settings there goes on.
        settings: what was compared (model, language model, dataset), so that runs do not mix.
        shard: which part of the cases.
        advance: called with answers done and in all.

    Raises:
        InputError: the folder holds a comparison of other settings.
        StorageError: it cannot be written.
    """
    tasks = [
        Task(
            case=case.id,
            file_name=case.record.file_name,
            size_hw=(case.record.height, case.record.width),
            text=case.text,
            route=route,
        )
        for case in cases
        if shard.holds(case.record.file_name)
        for route in routes
    ]
    path = out / shard.file_name
    try:
        out.mkdir(parents=True, exist_ok=True)
        _check_settings(out / SETTINGS_NAME, settings)
        done = {(one.case, one.route) for one in read_predictions(path, repair=True)}
        left = [task for task in tasks if (task.case, task.route) not in done]
        count = len(tasks) - len(left)
        advance(count, len(tasks))
        if left:
            with path.open("a", encoding="utf-8") as lines:
                for prediction in answer_all(left):
                    _append(lines, prediction)
                    count += 1
                    advance(count, len(tasks))
            _sort(path, tasks)
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
    return path


def _append(lines: TextIO, prediction: Prediction) -> None:
    """Write a line that a crash of the machine will not take back."""
    lines.write(prediction.model_dump_json() + "\n")
    lines.flush()
    os.fsync(lines.fileno())


def _sort(path: Path, tasks: Sequence[Task]) -> None:
    """Put lines that came from several workers into the cases' order."""
    place = {(task.case, task.route): index for index, task in enumerate(tasks)}
    found = [(place.get((one.case, one.route), len(place)), one) for one in read_predictions(path)]
    if any(before[0] > after[0] for before, after in pairwise(found)):
        found.sort(key=lambda pair: pair[0])
        write_whole(path, "".join(one.model_dump_json() + "\n" for _, one in found))


def _prediction(task: Task, result: SegmentationResult) -> Prediction:
    return Prediction(
        case=task.case,
        route=task.route,
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
