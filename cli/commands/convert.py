"""`sam3i convert`: official checkpoints to folders."""

from pathlib import Path
from typing import Annotated

import typer


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
