"""`sam3i reproduce`: the papers' tables, measured here."""

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
)
from sam3i_agent.core.model_choice import ModelChoice, Tiling

reproduce_app = typer.Typer(
    help="Measure the papers' tables, with the published numbers beside.", no_args_is_help=True
)

AnnotationsOption = Annotated[
    Path, typer.Option(help="Folder with a folder per dataset.", show_default=False)
]
ImagesOption = Annotated[
    Path, typer.Option(help="Folder with the folders of photos.", show_default=False)
]
FoldersOption = Annotated[
    str,
    typer.Option(
        metavar="DATASET:FOLDER,...",
        help="Folders of photos that have another name than their dataset.",
    ),
]
OutOption = Annotated[Path, typer.Option(help="Folder for answers, predictions and the table.")]
LimitOption = Annotated[
    int | None, typer.Option(help="At most so many cases of each dataset.", min=1)
]
ShardOption = Annotated[
    str, typer.Option(metavar="I/N", help="Part of the cases, for several machines.")
]
WorkersOption = Annotated[int | None, typer.Option(help="Answer with so many Ray workers.", min=1)]


@reproduce_app.command("sam3i")
def sam3i(
    annotations: AnnotationsOption,
    images: ImagesOption,
    out: OutOption,
    image_folders: FoldersOption = "",
    limit: LimitOption = None,
    shard: ShardOption = "1/1",
    workers: WorkersOption = None,
    store: JobStoreOption = None,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    verbose: VerboseOption = False,
) -> None:
    """SAM3-I's table: HMPL-Instruct, RefCOCO and Ref-ZOM, `ANNOTATIONS/DATASET/sam3i_val.json`.

    Run again after an interruption, it goes on behind the last answer.
    """
    log_to_stderr(verbose)
    choice = ModelChoice(model, device, Tiling.OFF)
    _run("sam3i", annotations, images, image_folders, out, limit, shard, workers, store, choice)


@reproduce_app.command("sam3-agent")
@with_language
def sam3_agent(
    annotations: AnnotationsOption,
    images: ImagesOption,
    out: OutOption,
    image_folders: FoldersOption = "refcoco+:coco2014,refcocog:coco2014",
    limit: LimitOption = None,
    shard: ShardOption = "1/1",
    workers: WorkersOption = None,
    store: JobStoreOption = None,
    model: ModelOption = "facebook/sam3",
    device: DeviceOption = "auto",
    language: LanguageChoice | None = None,
    verbose: VerboseOption = False,
) -> None:
    """SAM 3 Agent's table: ReasonSeg (`val/`, `test/`), RefCOCO+ and RefCOCOg (pickles).

    It needs a language model; without one, the offline planner answers what it can read.
    """
    log_to_stderr(verbose)
    choice = ModelChoice(model, device, Tiling.OFF)
    _run(
        "sam3-agent", annotations, images, image_folders, out, limit, shard, workers, store,
        choice, language,
    )  # fmt: skip


def _run(
    paper: str,
    annotations: Path,
    images: Path,
    image_folders: str,
    out: Path,
    limit: int | None,
    shard: str,
    workers: int | None,
    store: str | None,
    model: ModelChoice,
    language: LanguageChoice | None = None,
) -> None:
    from sam3i_agent.agent.language.factory import language_factory
    from sam3i_agent.cli.progress import kept_progress
    from sam3i_agent.evaluation.compare.cases import Shard
    from sam3i_agent.evaluation.reproduce.reproducing import (
        Roots,
        markdown_table,
        parse_image_folders,
        reproduce,
    )
    from sam3i_agent.evaluation.reproduce.tables import Paper

    with kept_progress("reading", store, out) as advance:
        results = reproduce(
            Paper(paper),
            Roots(annotations, images, parse_image_folders(image_folders)),
            model,
            out,
            language=language_factory(language),
            language_name="" if language is None else str(language),
            limit=limit,
            shard=Shard.parse(shard),
            workers=workers,
            advance=lambda name, done, total: advance(done, total, name),
        )
    typer.echo(markdown_table(results), nl=False)
    typer.echo(f"table, answers and predictions written to {out}")
