"""Commands that train and convert models."""

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from sam3i_agent.cli.app import app
from sam3i_agent.cli.options import (
    VerboseOption,
    log_to_stderr,
    parse_list,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file, see training/configs/.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Load everything, try one batch, write nothing.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a model or its instruction head; run again to resume after an interruption.

    On many GPUs or machines: accelerate launch -m sam3i_agent.cli train CONFIG.
    """
    log_to_stderr(verbose)
    from sam3i_agent.training.config import read_config

    settings = read_config(config, change or ())
    trainer = _import_trainer()
    if dry_run:
        typer.echo(json.dumps(asdict(trainer.dry_run(settings)), indent=2))
    else:
        folder = trainer.train(settings, progress=sys.stderr.isatty())
        typer.echo(f"model written to {folder}")


@app.command()
def validate(
    models: Annotated[list[str], typer.Argument(help="As --model takes them.")],
    levels: Annotated[str, typer.Option(help="Which, separated by commas.")] = "simple,complex",
    scenes: Annotated[int, typer.Option(help="Held-out scenes.", min=1)] = 200,
) -> None:
    """Compare trained models quickly on held-out scenes: gIoU and right refusals, in percent."""
    wanted = parse_list(InstructionLevel, levels, "--levels")
    _import_trainer()
    from sam3i_agent.segmodel.checkpoints.loading import load_model
    from sam3i_agent.training.validation import validate as measure

    for name in models:
        model = load_model(name).float().eval()
        for level in wanted:
            one = measure(model, level, scenes)
            typer.echo(
                f"{name}  {level}: gIoU {one.giou:.1f}, right nothing {one.nothing_right:.1f} "
                f"({one.samples} texts)"
            )


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
    from sam3i_agent.segmodel.checkpoints.conversion import convert_checkpoint

    convert_checkpoint(checkpoint, out, config, adapters_only=adapters_only)
    typer.echo(f"model written to {out}")


def _import_trainer() -> ModuleType:
    try:
        return import_module("sam3i_agent.training.loop")
    except ModuleNotFoundError as error:
        raise InputError(
            f"training needs the package {error.name!r}", "pip install 'sam3i-agent[train]'"
        ) from error
