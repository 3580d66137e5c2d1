"""`sam3i compare`: routes over a dataset, and the report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam3i_agent.cli.options import (
    DeviceOption,
    MllmModelOption,
    MllmUrlOption,
    ModelOption,
    VerboseOption,
    log_to_stderr,
    parse_list,
)
from sam3i_agent.core.contracts import DEFAULT_BUDGETS, RouteChoice
from sam3i_agent.core.levels import InstructionLevel

if TYPE_CHECKING:
    from sam3i_agent.evaluation.compare.cases import Prediction
    from sam3i_agent.evaluation.compare.comparison import Task


def compare(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="JSON of SAM3-I, SA-Co or RefCOCO in COCO form; or a folder of ReasonSeg, "
            "gRefCOCO, or with images/ and instructions.csv."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for predictions and report.")],
    images: Annotated[
        Path | None, typer.Option(help="Where the photos are, if not beside the dataset.")
    ] = None,
    routes: Annotated[
        str, typer.Option(help="Which routes, separated by commas.")
    ] = "direct,agent,auto",
    levels: Annotated[
        str, typer.Option(help="Texts of which levels, separated by commas.")
    ] = "concept,simple,complex",
    limit: Annotated[int | None, typer.Option(help="At most so many cases.", min=1)] = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Part of the cases, for several machines.")
    ] = "1/1",
    workers: Annotated[
        int | None,
        typer.Option(help="Answer with so many Ray workers, here or on a cluster.", min=1),
    ] = None,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    mllm_url: MllmUrlOption = None,
    mllm_model: MllmModelOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Answer a dataset by several routes and report which is better, where, at what cost.

    Run again after an interruption, it goes on behind the last answer.
    """
    log_to_stderr(verbose)
    command = CompareCommand(
        dataset=dataset,
        images=images,
        out=out,
        routes=parse_list(RouteChoice, routes, "--routes"),
        levels=parse_list(InstructionLevel, levels, "--levels"),
        limit=limit,
        shard=shard,
        workers=workers,
        model=model,
        device=device,
        mllm_url=mllm_url,
        mllm_model=mllm_model,
    )
    typer.echo(command.run())


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
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        from sam3i_agent.agent.language.factory import language_factory
        from sam3i_agent.cli.language import language_choice
        from sam3i_agent.cli.progress import progress_bar
        from sam3i_agent.data.formats.registry import open_dataset
        from sam3i_agent.evaluation.compare.cases import Shard, read_all_predictions, read_cases
        from sam3i_agent.evaluation.compare.coco_export import write_coco_files
        from sam3i_agent.evaluation.compare.comparison import Answerer, run_comparison
        from sam3i_agent.evaluation.compare.report import compare, reading, write_report

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

        def answer_all(tasks: Sequence["Task"]) -> Iterator["Prediction"]:
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
