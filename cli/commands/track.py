"""`sam3i track`: follow something through a clip."""

from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.options import DeviceOption, ModelOption, VerboseOption, log_to_stderr
from sam3i_agent.core.model_choice import ModelChoice, Tiling


def track(
    video: Annotated[Path, typer.Argument(help="A video file, or a folder of frames.")],
    instruction: Annotated[str, typer.Argument(help="What to follow, in English.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; outputs/VIDEO-NAME.")
    ] = None,
    key_frame: Annotated[
        int | None,
        typer.Option(
            help="Frame on which the instruction selects what is followed, from 0.", min=0
        ),
    ] = None,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Follow INSTRUCTION through VIDEO: writes tracks.jsonl, summary.json and overlay.mp4.

    Run again after an interruption, it goes on behind the last frame.
    """
    log_to_stderr(verbose)
    from rich.console import Console

    from sam3i_agent.tools.service import SegmentationService
    from sam3i_agent.tools.track import TrackRun

    out = out or Path("outputs") / video.stem
    service = SegmentationService(ModelChoice(model, device, Tiling.OFF))
    run = TrackRun(service, video, instruction, out, key_frame)
    with Console(stderr=True).status("starting") as status:
        summary = run.run(lambda done: status.update(f"{done} frames"))
    if as_json:
        typer.echo(summary.model_dump_json())
        return
    typer.echo(f"{len(summary.tracks)} tracks of {summary.text!r} in {summary.frames} frames")
    for one in summary.tracks:
        typer.echo(
            f"  {one.track}: frames {one.first_frame} to {one.last_frame}, seen in {one.frames}, "
            f"score {one.mean_score:.2f}"
        )
    typer.echo(f"written to {out}")
