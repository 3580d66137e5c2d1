"""`sam3i runs`: what has been recorded of earlier runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sam3i_agent.agent.runs import RecordedRun
    from sam3i_agent.core.contracts import SegmentationResult

runs_app = typer.Typer(help="Recorded runs.", no_args_is_help=True)


@runs_app.command("list")
def list_runs() -> None:
    """List recorded runs, the latest first."""
    from sam3i_agent.agent.runs import RunStore

    for run in RunStore().list():
        typer.echo(_describe(run))


@runs_app.command("show")
def show_run(run_id: Annotated[str, typer.Argument(help="As sam3i runs list names it.")]) -> None:
    """Print a recorded run: what was asked, each step, the answer and its pictures."""
    from sam3i_agent.agent.runs import RunStore

    run = RunStore().open(run_id)
    typer.echo(_describe(run))
    typer.echo("\n".join(_details(run)))


def _describe(run: "RecordedRun") -> str:
    """Return a run in one line."""
    info = run.info
    result = _result_of(run)
    state = "unfinished" if result is None else f"{result.status}, {result.count} found"
    return f"{info.run_id}  {state:<24}  {Path(info.image).name}: {info.request.instruction!r}"


def _details(run: "RecordedRun") -> list[str]:
    """Return the steps, the answer and the pictures of a run, line by line."""
    from sam3i_agent.tools.service import summarise

    result = _result_of(run)
    lines: list[str] = []
    if result is None:
        lines.append(f"not finished; go on with: sam3i segment --resume {run.info.run_id}")
    else:
        usage = result.usage
        lines += [f"  {line}" for line in result.trace]
        lines.append(summarise(result))
        lines.append(
            f"{usage.seconds:.2f} s, {usage.image_encodings} image encodings, {usage.prompts} "
            f"prompts, {usage.rounds} rounds, {usage.mllm_calls} model calls, {usage.tokens} tokens"
        )
    pictures = [*run.pictures, *sorted(run.result_folder.glob("*.png"))]
    return [*lines, *(f"picture: {path}" for path in pictures)]


def _result_of(run: "RecordedRun") -> "SegmentationResult | None":
    from sam3i_agent.core.contracts import SegmentationResult
    from sam3i_agent.tools.results.export import RESULT_NAME

    path = run.result_folder / RESULT_NAME
    return SegmentationResult.model_validate_json(path.read_bytes()) if path.exists() else None
