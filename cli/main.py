"""The command `sam3i`: parse, call, print."""

import asyncio
import json
import logging
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from sam3i_agent.agent.contracts import LevelChoice, RouteChoice, RunStatus
from sam3i_agent.segmodel.errors import InputError, Sam3iError
from sam3i_agent.segmodel.levels import InstructionLevel

app = typer.Typer(
    help="Segment pictures by instruction.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

USAGE_ERROR = 2
FAILURE = 1


ModelOption = Annotated[
    str,
    typer.Option("--model", help="tiny, a folder, an official .pt file, or a hub id."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Log to standard error.")]


@app.command()
def segment(
    image: Annotated[Path, typer.Argument(help="Picture to segment.")],
    instruction: Annotated[str, typer.Argument(help="What to find, in English.")],
    route: Annotated[RouteChoice, typer.Option(help="Which pipeline answers.")] = RouteChoice.AUTO,
    level: Annotated[
        LevelChoice, typer.Option(help="How the direct route reads the words.")
    ] = LevelChoice.AUTO,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the result; outputs/IMAGE-NAME, or with --json none."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Segment IMAGE by INSTRUCTION: writes result.json, overlay.png and masks/."""
    _log_to_stderr(verbose)
    from sam3i_agent.tools.export import check_writable, write_result
    from sam3i_agent.tools.images import read_photo
    from sam3i_agent.tools.service import SegmentationService, summarise

    if out is None and not as_json:
        out = Path("outputs") / image.stem
    if out is not None:
        check_writable(out)
    photo = read_photo(image)
    service = SegmentationService(model, device)
    result = asyncio.run(service.segment(photo, instruction, route=route, level=level))
    if out is not None:
        write_result(result, photo, out)
    if as_json:
        typer.echo(result.model_dump_json())
    else:
        typer.echo(summarise(result))
        if verbose:
            typer.echo("\n".join(result.trace), err=True)
        typer.echo(f"written to {out}")
    if result.status is RunStatus.FAILED:
        raise typer.Exit(FAILURE)


@app.command()
def scenes(
    count: Annotated[int, typer.Argument(help="How many.")],
    out: Annotated[Path, typer.Argument(help="New or empty folder.")],
    seed: Annotated[
        int, typer.Option(help="Names the series; the same seed, the same scenes.")
    ] = 0,
    withheld: Annotated[
        bool, typer.Option(help="Show colour-shape pairs that training never shows.")
    ] = False,
) -> None:
    """Write generated scenes with instructions and masks, in the SAM3-I JSON format."""
    from rich.console import Console
    from rich.progress import track

    from sam3i_agent.training.dataset import write_scenes

    console = Console(stderr=True)
    bar = iter(track(range(count), "drawing", console=console, disable=not console.is_terminal))

    def advance() -> None:
        next(bar, None)

    path = write_scenes(
        count,
        out,
        seed=seed,
        combinations="withheld" if withheld else "trained",
        advance=advance,
    )
    typer.echo(f"{count} scenes written to {path}")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file, see training/configs/.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Load everything, try one batch, write nothing.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a model or its instruction head; run again to resume after an interruption.

    On many GPUs or machines: accelerate launch -m sam3i_agent.cli train CONFIG.
    """
    _log_to_stderr(verbose)
    from sam3i_agent.training.config import read_config

    settings = read_config(config)
    trainer = _import_trainer()
    if dry_run:
        typer.echo(json.dumps(asdict(trainer.dry_run(settings)), indent=2))
    else:
        folder = trainer.train(settings, progress=sys.stderr.isatty())
        typer.echo(f"model written to {folder}")


def _import_trainer() -> ModuleType:
    try:
        return import_module("sam3i_agent.training.trainer")
    except ModuleNotFoundError as error:
        raise InputError(
            f"training needs the package {error.name!r}", "pip install 'sam3i-agent[train]'"
        ) from error


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Official SAM 3 or SAM3-I .pt file.")],
    out: Annotated[Path, typer.Argument(help="New folder for safetensors and config.json.")],
    config: Annotated[
        Path | None,
        typer.Option(help="config.json of a model of another size than the published one."),
    ] = None,
    adapters_only: Annotated[
        bool, typer.Option(help="Write the instruction head alone, to go on top of a base model.")
    ] = False,
) -> None:
    """Convert an official checkpoint to a folder that --model takes."""
    from sam3i_agent.segmodel.conversion import convert_checkpoint

    convert_checkpoint(checkpoint, out, config, adapters_only=adapters_only)
    typer.echo(f"model written to {out}")


@app.command()
def benchmark(
    annotations: Annotated[Path, typer.Argument(help="annotations.json of `sam3i scenes`.")],
    level: Annotated[
        InstructionLevel, typer.Option(help="Which texts to ask.")
    ] = InstructionLevel.CONCEPT,
    route: Annotated[RouteChoice, typer.Option(help="Which pipeline.")] = RouteChoice.DIRECT,
    read_as: Annotated[
        LevelChoice | None, typer.Option(help="How the direct route reads them; as --level.")
    ] = None,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
) -> None:
    """Score a route on a dataset of scenes: cgF1, gIoU and right refusals, as JSON."""
    from rich.console import Console
    from rich.progress import Progress

    from sam3i_agent.evaluation.scenes_benchmark import run_benchmark
    from sam3i_agent.segmodel.loading import load_segmenter

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("scoring", total=None)
        report = run_benchmark(
            load_segmenter(model, device=device),
            annotations,
            level,
            route,
            read_as or LevelChoice(level),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(json.dumps(report.as_dict()))


@app.command()
def serve(
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder that image paths must be in; may be repeated."),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve the tool `segment` over MCP on standard input and output."""
    _log_to_stderr(verbose)
    from sam3i_agent.tools.server import build_server
    from sam3i_agent.tools.service import SegmentationService

    for folder in root or ():
        if not folder.is_dir():
            raise InputError(f"--root {str(folder)!r} is no folder")
    build_server(SegmentationService(model, device), tuple(root or ())).run("stdio")


def _log_to_stderr(verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )


def main() -> None:
    """Run the command line; expected failures end in one line and a non-zero exit."""
    try:
        app()
    except Sam3iError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(USAGE_ERROR if isinstance(error, InputError) else FAILURE) from error
