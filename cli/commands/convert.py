"""`sam3i convert`: official files to ours, and ours to theirs."""

from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.options import VerboseOption, log_to_stderr
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.evaluation.forms.form import PredictionForm

convert_app = typer.Typer(
    help="Convert checkpoints and predictions of the official tools.", no_args_is_help=True
)


@convert_app.command()
def checkpoint(
    checkpoint: Annotated[
        str,
        typer.Argument(help="Official SAM 3 or SAM3-I file; with --to-official, as --model."),
    ],
    out: Annotated[
        Path,
        typer.Argument(help="New folder; with --to-official, a new .pt or .safetensors file."),
    ],
    to_official: Annotated[
        bool, typer.Option("--to-official", help="Write a file that the official code loads.")
    ] = False,
    keep_from: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --to-official: the official file that the model came from, whose weights "
            "that have no place here go along.",
        ),
    ] = None,
    base_layout: Annotated[
        bool,
        typer.Option(help="With --to-official: keys as base SAM 3 files have them (detector.*)."),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="config.json of a model of another size than the published one."),
    ] = None,
    adapters_only: Annotated[
        bool, typer.Option(help="Write the instruction head alone, to go on top of a base model.")
    ] = False,
) -> None:
    """Convert an official checkpoint to a folder that --model takes, or a model to an official one.

    Weights that have no place in the folder are listed with the reason.
    """
    from sam3i_agent.segmodel.checkpoints.conversion import (
        convert_checkpoint,
        export_checkpoint,
        without_a_place,
    )

    if to_official:
        if config is not None or adapters_only:
            raise InputError("--config and --adapters-only do not go with --to-official")
        export_checkpoint(checkpoint, out, keep_from, detector_prefix=base_layout)
        typer.echo(f"official checkpoint written to {out}")
        return
    if keep_from is not None or base_layout:
        raise InputError("--keep-from and --base-layout go with --to-official")
    source = Path(checkpoint)
    with_tracker = convert_checkpoint(source, out, config, adapters_only=adapters_only)
    if with_tracker:
        typer.echo("with the tracker: it takes clicks and remembers clips")
    for reason, count in without_a_place(source, with_tracker=with_tracker).items():
        typer.echo(f"{count} weights left out: {reason}")
    typer.echo(f"model written to {out}")


@convert_app.command()
def predictions(
    source: Annotated[
        Path,
        typer.Argument(
            help="COCO results, SAM3-I's predictions, or the .jsonl of a comparison or a folder."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    gt: Annotated[
        Path, typer.Option(metavar="FILE", help="The dataset that the predictions are about.")
    ],
    to: Annotated[PredictionForm, typer.Option(help="The form to write.", show_default=False)],
    route: Annotated[
        str | None, typer.Option(help="Which answers of a .jsonl; or what to call them in one.")
    ] = None,
    level: Annotated[
        InstructionLevel | None,
        typer.Option(help="To which texts; or what the answers are to, if the file does not say."),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Convert predictions between the forms of SAM3-I, COCO and `sam3i compare`."""
    from sam3i_agent.evaluation.forms.answers import Selection
    from sam3i_agent.evaluation.forms.files import LINES_SUFFIX, read_answers, write_answers
    from sam3i_agent.evaluation.metrics.truth import read_ground_truth

    log_to_stderr(verbose)
    truth = read_ground_truth(gt)
    selected = Selection(route=route if source.suffix == LINES_SUFFIX else None, level=level)
    file = read_answers(source, truth, selected)
    write_answers(file.answers, truth, to, out, route=route or "", level=level)
    typer.echo(f"{len(file.answers)} answers ({file.form} to {to}) written to {out}")
