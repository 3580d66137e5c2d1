"""`sam3i compare`: routes over a dataset, and the report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)

from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.cli.language import language_choice
from sam3i_agent.cli.progress import progress_bar
from sam3i_agent.core.contracts import DEFAULT_BUDGETS, RouteChoice
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.registry import open_dataset
from sam3i_agent.evaluation.compare.cases import Prediction, Shard, read_all_predictions, read_cases
from sam3i_agent.evaluation.compare.coco_export import write_coco_files
from sam3i_agent.evaluation.compare.comparison import Answerer, Task, run_comparison
from sam3i_agent.evaluation.compare.report import compare, reading, write_report


@dataclass(frozen=True)
class CompareCommand:
    """The options of `sam3i compare`."""

    dataset: Path
    images: Path | None
    out: Path
    routes: tuple[RouteChoice, ...]
    levels: tuple[InstructionLevel, ...]
    limit: int | None
    shard: str
    workers: int | None
    model: str
    device: str
    mllm_url: str | None
    mllm_model: str | None

    def run(self) -> str:
        """Run what is left to run, write the report, and return its reading."""
        language = language_factory(language_choice(self.mllm_url, self.mllm_model))
        shard = Shard.parse(self.shard)
        dataset = open_dataset(self.dataset, self.images)
        cases = read_cases(dataset, self.levels, self.limit)
        path = self.dataset.resolve()
        settings = {
            "dataset": f"{path.parent.name}/{path.name}",
            "model": self.model,
            "language": self.mllm_model or "offline planner",
        }

        def answer_all(tasks: Sequence[Task]) -> Iterator[Prediction]:
            if self.workers is None:
                from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

                segmenter = load_segmenter(self.model, device=self.device)
                answerer = Answerer(segmenter, dataset.images, DEFAULT_BUDGETS, language)
                yield from answerer.answer(tasks)
                return
            from sam3i_agent.evaluation.compare.ray_workers import WorkerSettings, answer_with_ray

            folder = dataset.images.resolve()
            each = WorkerSettings(self.model, self.device, folder, DEFAULT_BUDGETS, language)
            yield from answer_with_ray(tasks, each, self.workers)

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with progress_bar("answering", None, *columns) as (bar, task):
            run_comparison(
                answer_all,
                cases,
                self.routes,
                self.out,
                settings=settings,
                shard=shard,
                advance=lambda done, total: bar.update(task, completed=done, total=total),
            )
        predictions = list(read_all_predictions(self.out))
        comparison = compare(cases, predictions)
        write_coco_files(cases, predictions, self.out)
        report = write_report(comparison, settings, dataset.images, self.out)
        return "\n".join([*reading(comparison), f"report written to {report}"])
