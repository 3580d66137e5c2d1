"""`sam3i convert`: official files to ours, and ours to theirs."""

from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.options import VerboseOption, log_to_stderr
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.evaluation.forms.form import PredictionForm

convert_app = typer.Typer(
    help="Convert checkpoints and predictions of the official tools.", no_args_is_help=True
)


@convert_app.command()
def checkpoint(
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


@convert_app.command()
def predictions(
    source: Annotated[
        Path,
        typer.Argument(help="COCO results, SAM3-I's predictions, or a comparison's .jsonl."),
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
