"""`sam3i compare`: routes over a dataset, and the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.cli.language import with_language
from sam3i_agent.cli.options import (
    DeviceOption,
    JobStoreOption,
    ModelOption,
    VerboseOption,
    log_to_stderr,
    parse_list,
)
from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice, Tiling


@with_language
def compare(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="JSON of SAM3-I, SA-Co, MMR or RefCOCO in COCO form; or a folder of ReasonSeg, "
            "gRefCOCO, RefCOCO, Ref-ZOM, or with images/ and instructions.csv."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for predictions and report.")],
    images: Annotated[
        Path | None, typer.Option(help="Where the photos are, if not beside the dataset.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Of a dataset that holds several, such as RefCOCO's testA.")
    ] = "",
    routes: Annotated[
        str, typer.Option(help="Which routes, separated by commas; empty for --predictions alone.")
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
    store: JobStoreOption = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Predictions from elsewhere as a further route: COCO results, SAM3-I's, or a "
            "comparison's .jsonl; may be repeated.",
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option(help="Cases of the report that have pictures, some 0.1 MB each.", min=0)
    ] = 24,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    languages: tuple[LanguageChoice, ...] = (),
    verbose: VerboseOption = False,
) -> None:
    """Answer a dataset by several routes and report which is better, where, at what cost.

    Run again after an interruption, it goes on behind the last answer.
    """
    log_to_stderr(verbose)
    command = CompareCommand(
        dataset=dataset,
        images=images,
        split=split,
        out=out,
        routes=parse_list(RouteChoice, routes, "--routes") if routes else (),
        levels=parse_list(InstructionLevel, levels, "--levels"),
        limit=limit,
        shard=shard,
        workers=workers,
        store=store,
        predictions=tuple(predictions or ()),
        pictures=pictures,
        model=ModelChoice(model, device, Tiling.OFF),
        languages=languages,
    )
    typer.echo(command.run())


@dataclass(frozen=True)
class CompareCommand:
    """The options of `sam3i compare`."""

    dataset: Path
    images: Path | None
    split: str
    out: Path
    routes: tuple[RouteChoice, ...]
    levels: tuple[InstructionLevel, ...]
    limit: int | None
    shard: str
    workers: int | None
    store: str | None
    predictions: tuple[str, ...]
    pictures: int
    model: ModelChoice
    languages: tuple[LanguageChoice, ...]

    def run(self) -> str:
        """Run what is left to run, write the report, and return its reading."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        from sam3i_agent.agent.instructions import classify_level
        from sam3i_agent.agent.language.factory import language_factory, named_choices
        from sam3i_agent.cli.progress import kept_progress
        from sam3i_agent.data.formats.registry import open_dataset
        from sam3i_agent.evaluation.compare.cases import Shard
        from sam3i_agent.evaluation.compare.comparison import compare_routes
        from sam3i_agent.evaluation.compare.elsewhere import parse_prediction_files
        from sam3i_agent.evaluation.compare.provenance import language_settings
        from sam3i_agent.evaluation.compare.report import HTML_NAME, reading

        first = self.languages[0] if self.languages else None
        several = named_choices(self.languages) if len(self.languages) > 1 else {}
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        dataset = open_dataset(self.dataset, self.images, level_of=classify_level)
        if self.split:
            dataset = dataset.of_split(self.split)
        with kept_progress("answering", self.store, self.out, *columns) as advance:
            comparison = compare_routes(
                dataset,
                self.routes,
                self.model,
                self.out,
                language=language_factory(first),
                languages={name: language_factory(one) for name, one in several.items()},
                language_name=", ".join(map(str, self.languages)),
                language_settings={
                    key: value
                    for name, one in (several or {"": first}).items()
                    for key, value in language_settings(one, name).items()
                },
                levels=self.levels,
                limit=self.limit,
                shard=Shard.parse(self.shard),
                workers=self.workers,
                elsewhere=parse_prediction_files(self.predictions),
                pictures=self.pictures,
                advance=advance,
            )
        return "\n".join([*reading(comparison), f"report written to {self.out / HTML_NAME}"])
