"""`sam3i runs`: what has been recorded of earlier runs."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam3i_agent.cli.options import FAILURE, DeviceOption
from sam3i_agent.core.contracts import RunStatus
from sam3i_agent.core.errors import StorageError

if TYPE_CHECKING:
    from sam3i_agent.agent.recording.runs import RecordedRun
    from sam3i_agent.core.contracts import SegmentationResult

runs_app = typer.Typer(help="Recorded runs.", no_args_is_help=True)


@runs_app.command("list")
def list_runs() -> None:
    """List recorded runs, the latest first."""
    from sam3i_agent.agent.recording.runs import RunStore

    for run in RunStore().list():
        typer.echo(_describe(run))


@runs_app.command("show")
def show_run(run_id: Annotated[str, typer.Argument(help="As sam3i runs list names it.")]) -> None:
    """Print a recorded run: what was asked, each step, the answer and its pictures."""
    from sam3i_agent.agent.recording.runs import RunStore

    run = RunStore().open(run_id)
    typer.echo(_describe(run))
    typer.echo("\n".join(_details(run)))


@runs_app.command("export")
def export_run(
    run_id: Annotated[str, typer.Argument(help="As sam3i runs list names it.")],
    file: Annotated[Path, typer.Argument(help="JSON file to write.")],
) -> None:
    """Write a recorded run to one file: photo, request, settings, questions and answers.

    It holds no keys. It is all that `sam3i runs replay` needs, here or elsewhere.
    """
    from sam3i_agent.agent.recording.runs import RunStore
    from sam3i_agent.core.files import write_whole

    exported = RunStore().open(run_id).export()
    try:
        write_whole(file, exported.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise StorageError(f"{str(file)!r} cannot be written: {error.strerror}") from error
    typer.echo(f"{len(exported.answers)} answers written to {file}")


@runs_app.command("replay")
def replay_run(
    source: Annotated[
        str, typer.Argument(metavar="FILE.json|RUN_ID", help="An exported or a recorded run.")
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Another segmentation model than the recorded one."),
    ] = None,
    device: DeviceOption = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for the result; none.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
) -> None:
    """Run again with the recorded answers in place of the language model.

    Standard error says which questions were asked otherwise than recorded, or had no answer.
    """
    from sam3i_agent.agent.language.replay import Replay
    from sam3i_agent.agent.recording.records import ExportedRun
    from sam3i_agent.agent.recording.runs import RunStore
    from sam3i_agent.tools.results.export import check_writable, write_result
    from sam3i_agent.tools.results.wording import summarise
    from sam3i_agent.tools.service import SegmentationService

    if Path(source).is_file():
        run = ExportedRun.read(Path(source))
    else:
        run = RunStore().open(source).export()
    if out is not None:
        check_writable(out)
    photo, replay = run.photo(), Replay(run.language, run.answers)
    service = SegmentationService(replace(run.model, name=model or run.model.name, device=device))
    result = asyncio.run(service.answer(photo, run.request, language=replay.language))
    for note in replay.notes:
        typer.echo(note, err=True)
    if out is not None:
        write_result(result, photo, out)
    if as_json:
        typer.echo(result.model_dump_json())
    else:
        typer.echo(summarise(result))
        if out is not None:
            typer.echo(f"written to {out}")
    if result.status is RunStatus.FAILED:
        raise typer.Exit(FAILURE)


def _describe(run: "RecordedRun") -> str:
    """Return a run in one line."""
    info = run.info
    result = _result_of(run)
    state = "unfinished" if result is None else f"{result.status}, {result.count} found"
    return f"{info.run_id}  {state:<24}  {Path(info.image).name}: {info.request.instruction!r}"


def _details(run: "RecordedRun") -> list[str]:
    """Return the steps, the answer and the pictures of a run, line by line."""
    from sam3i_agent.tools.results.wording import summarise

    result = _result_of(run)
    language = run.info.language
    lines = [f"language: {'offline planner' if language is None else language}"]
    if result is None:
        lines.append(f"not finished; go on with: sam3i segment --resume {run.info.run_id}")
    else:
        usage = result.usage
        lines += [f"  {line}" for line in result.trace]
        lines.append(summarise(result))
        lines.append(
            f"{usage.seconds:.2f} s, {usage.image_encodings} image encodings, {usage.prompts} "
            f"prompts, {usage.rounds} rounds, {usage.mllm_calls} model calls, {usage.tokens} "
            f"tokens, {usage.pictures} pictures"
        )
    pictures = [*run.pictures, *sorted(run.result_folder.glob("*.png"))]
    return [*lines, *(f"picture: {path}" for path in pictures)]


def _result_of(run: "RecordedRun") -> "SegmentationResult | None":
    from sam3i_agent.core.contracts import SegmentationResult
    from sam3i_agent.tools.results.export import RESULT_NAME

    path = run.result_folder / RESULT_NAME
    return SegmentationResult.model_validate_json(path.read_bytes()) if path.exists() else None
