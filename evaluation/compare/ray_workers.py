"""The comparison on several workers or machines, with Ray Data (extra `ray`).

Tasks are grouped by photo, so that each photo is read and encoded once; each worker loads the model
once. The driver writes predictions as they come.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from sam3i_agent.agent.language.factory import LanguageFactory
from sam3i_agent.core.contracts import Budgets, LevelChoice, RouteChoice
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.evaluation.compare.answering import Answerer, Task
from sam3i_agent.evaluation.compare.cases import Prediction
from sam3i_agent.segmodel.sharing.ray_workers import map_with_ray


@dataclass(frozen=True)
class WorkerSettings:
    """What each worker is made of."""

    model: ModelChoice
    images: Path
    """Must be readable under this name on every machine."""
    budgets: Budgets
    language: LanguageFactory
    languages: Mapping[str, LanguageFactory] = field(default_factory=dict)


class _Worker:
    """Loads the model once and answers the tasks of one photo at a time."""

    def __init__(self, settings: WorkerSettings) -> None:
        from sam3i_agent.segmodel.checkpoints.loading import open_segmenter

        self._answerer = Answerer(
            open_segmenter(settings.model),
            settings.images,
            settings.budgets,
            settings.language,
            settings.languages,
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        tasks = [
            Task(
                case=case,
                file_name=row["file_name"],
                size_hw=(row["height"], row["width"]),
                text=text,
                route=RouteChoice(route),
                read_as=LevelChoice(read_as),
                language=language,
            )
            for case, text, route, read_as, language in zip(
                *(row[name] for name in ("cases", "texts", "routes", "read_as", "languages")),
                strict=True,
            )
        ]
        return {"lines": [one.model_dump_json() for one in self._answerer.answer(tasks)]}


def answer_with_ray(
    tasks: Sequence[Task], settings: WorkerSettings, workers: int
) -> Iterator[Prediction]:
    """Answer tasks on `workers` Ray workers, in the order in which they are done.

    Raises:
        ModelError: Ray is not installed.
    """
    rows = []
    for (name, (height, width)), some in groupby(
        tasks, key=lambda one: (one.file_name, one.size_hw)
    ):
        group = list(some)
        rows.append(
            {
                "file_name": name,
                "height": height,
                "width": width,
                "cases": [one.case for one in group],
                "texts": [one.text for one in group],
                "routes": [str(one.route) for one in group],
                "read_as": [str(one.read_as) for one in group],
                "languages": [one.language for one in group],
            }
        )
    for row in map_with_ray(rows, _Worker, settings, settings.model, workers):
        for line in row["lines"]:
            yield Prediction.model_validate_json(line)
