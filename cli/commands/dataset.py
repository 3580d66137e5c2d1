"""`sam3i dataset`: make, join and check datasets."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.cli.language import with_language
from sam3i_agent.cli.options import (
    DeviceOption,
    ModelOption,
    StyleOption,
    read_budgets,
)
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.data.kinds import SceneStyle

dataset_app = typer.Typer(help="Make, join and check datasets.", no_args_is_help=True)


@dataset_app.command()
def scenes(
    count: Annotated[int, typer.Argument(help="How many.")],
    out: Annotated[Path, typer.Argument(help="New or empty folder.")],
    seed: Annotated[
        int, typer.Option(help="Names the series; the same seed, the same scenes.")
    ] = 0,
    withheld: Annotated[
        bool, typer.Option(help="Show colour-shape pairs that training never shows.")
    ] = False,
    style: StyleOption = SceneStyle.SHAPES,
) -> None:
    """Write generated scenes with instructions and masks, in the SAM3-I JSON format."""
    from rich.console import Console
    from rich.progress import track

    from sam3i_agent.data.scene_files import write_scenes

    console = Console(stderr=True)
    bar = iter(track(range(count), "drawing", console=console, disable=not console.is_terminal))

    def advance() -> None:
        next(bar, None)

    path = write_scenes(
        count,
        out,
        seed=seed,
        combinations="withheld" if withheld else "trained",
        style=style,
        advance=advance,
    )
    typer.echo(f"{count} scenes written to {path}")


@dataset_app.command()
def build(
    instances: Annotated[Path, typer.Argument(help="COCO JSON with the masks.")],
    instructions: Annotated[
        Path, typer.Argument(help="CSV: file_name, level, instruction, annotation_ids.")
    ],
    out: Annotated[Path, typer.Argument(help="SAM3-I JSON file to write.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; the COCO file's own by default.")
    ] = None,
) -> None:
    """Join your COCO instances and a table of instructions to a dataset for `sam3i train`."""
    from sam3i_agent.data.own_data import build_dataset

    count = build_dataset(instances, instructions, images or instances.parent, out)
    typer.echo(f"{count} records written to {out}")


@dataset_app.command()
@with_language
def verify(
    dataset: Annotated[Path, typer.Argument(help="A dataset, as `sam3i compare` takes it.")],
    out: Annotated[Path, typer.Argument(help="SAM3-I JSON file to write.")],
    images: Annotated[
        Path | None, typer.Option(help="Where the photos are, if not beside the dataset.")
    ] = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Leave out failed records instead of flagging them.")
    ] = False,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    language: LanguageChoice | None = None,
    max_mllm_calls: Annotated[
        int, typer.Option(help="Requests to the language model, retries included.")
    ] = 10_000,
) -> None:
    """Check a dataset's masks and their completeness by a language model, or by rules."""
    from sam3i_agent.cli.verification import verify_with_progress

    report = verify_with_progress(
        dataset,
        out,
        images=images,
        drop=drop,
        model=ModelChoice(model, device, Tiling.OFF),
        language=language,
        budgets=read_budgets(max_mllm_calls=max_mllm_calls, max_seconds=7 * 24 * 3600.0),
    )
    typer.echo(json.dumps(report.as_dict()))
