"""Who answers a comparison's cases: the model in this process, for one photo after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sam3i_agent.agent.language.factory import LanguageFactory, offline_planner
from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.contracts import Budgets, LevelChoice, RouteChoice, SegmentationResult
from sam3i_agent.core.photo import Photo
from sam3i_agent.data.photos import read_dataset_photo
from sam3i_agent.evaluation.compare.cases import Case, Prediction
from sam3i_agent.segmodel.segmenter import Segmenter


@dataclass(frozen=True)
class Task:
    """One case and one route; all that a worker needs to know of it."""

    case: str
    file_name: str
    size_hw: tuple[int, int]
    """That the dataset says."""
    text: str
    route: RouteChoice
    read_as: LevelChoice = LevelChoice.AUTO
    """How the direct route reads the text."""
    language: str = ""
    """Name of the language model that is asked; empty where there is one for all."""

    @property
    def row(self) -> str:
        """What the answers are called in a comparison: the route, and the model of several."""
        return f"{self.route}@{self.language}" if self.language else str(self.route)


def tasks_of(
    cases: Sequence[Case],
    routes: Sequence[RouteChoice],
    read_as: LevelChoice | None = LevelChoice.AUTO,
    languages: Sequence[str] = ("",),
) -> list[Task]:
    """Return a task per case, route and language model, in the cases' order.

    Args:
        cases: what to ask.
        routes: by which routes.
        read_as: how the direct route reads the texts; None reads each at the level that the
            dataset says.
        languages: names of the language models; the direct route asks none.
    """
    return [
        Task(
            case=case.id,
            file_name=case.record.file_name,
            size_hw=(case.record.height, case.record.width),
            text=case.text,
            route=route,
            read_as=LevelChoice(case.level) if read_as is None else read_as,
            language=language,
        )
        for case in cases
        for route in routes
        for language in (languages if route is not RouteChoice.DIRECT else ("",))
    ]


AnswerAll = Callable[[Sequence[Task]], Iterator[Prediction]]
"""Answers tasks, here or on other machines, in any order."""


@dataclass(frozen=True)
class Answerer:
    """Answers tasks.

    Args:
        segmenter: a loaded model.
        images: folder of the photos.
        budgets: of each agent run.
        language: the agent's language side.
        languages: by name, those of tasks that name theirs.
    """

    segmenter: Segmenter
    images: Path
    budgets: Budgets
    language: LanguageFactory = offline_planner
    languages: Mapping[str, LanguageFactory] = field(default_factory=dict)

    def answer(self, tasks: Sequence[Task]) -> Iterator[Prediction]:
        """Answer tasks in their order; those about one photo should follow each other.

        Raises:
            InputError: a photo cannot be read, or has another size than the dataset says; or the
                model lacks a level that texts are to be read at.
        """
        photo: Photo | None = None
        read: tuple[str, tuple[int, int]] | None = None
        for task in tasks:
            wanted = task.file_name, task.size_hw
            if photo is None or read != wanted:
                photo, read = read_dataset_photo(self.images, *wanted), wanted
            result = segment_photo_sync(
                self.segmenter,
                photo,
                task.text,
                route=task.route,
                level=task.read_as,
                budgets=self.budgets,
                language=self.languages[task.language] if task.language else self.language,
            )
            yield _prediction(task, result)


def _prediction(task: Task, result: SegmentationResult) -> Prediction:
    return Prediction(
        case=task.case,
        route=task.row,
        status=result.status,
        answered_by=result.route,
        presence=result.presence,
        scores=[one.score for one in result.instances],
        masks=[one.mask for one in result.instances],
        usage=result.usage,
        trace=list(result.trace),
        warnings=list(result.warnings),
    )
