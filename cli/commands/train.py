"""`sam3i train`: a model, or its instruction head."""

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from sam3i_agent.cli.options import (
    VerboseOption,
    log_to_stderr,
)
from sam3i_agent.core.errors import InputError


def train(
    config: Annotated[
        Path,
        typer.Argument(help="YAML file, see training/configs/ and, of several stages, plans/."),
    ],
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting; may be repeated. Of a plan: output, STAGE.KEY=VALUE.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Load everything, try one batch, write nothing.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a model or its instruction head; run again to resume after an interruption.

    A plan runs several stages, each from the model of the one before; --dry-run tries its first.

    On many GPUs or machines: accelerate launch -m sam3i_agent.cli train CONFIG.
    """
    log_to_stderr(verbose)
    from sam3i_agent.agent.instructions import classify_level
    from sam3i_agent.training.plan import read_stages

    stages = read_stages(config, change or ())
    trainer = import_trainer()
    if dry_run:
        tried = trainer.dry_run(stages[0], level_of=classify_level)
        typer.echo(json.dumps(asdict(tried), indent=2))
        return
    for settings in stages:
        folder = trainer.train(settings, progress=sys.stderr.isatty(), level_of=classify_level)
        typer.echo(f"model written to {folder}")


def import_trainer() -> ModuleType:
    """Return the training loop's module.

    Raises:
        InputError: the extra `train` is not installed.
    """
    try:
        return import_module("sam3i_agent.training.loop")
    except ModuleNotFoundError as error:
        raise InputError(
            f"training needs the package {error.name!r}", "pip install 'sam3i-agent[train]'"
        ) from error
