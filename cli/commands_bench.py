"""Commands that measure speed, each as ratios or differences within one run."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.app import app
from sam3i_agent.cli.options import DeviceOption, ModelOption

bench_app = typer.Typer(help="Measure speed; every command prints JSON.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")


@bench_app.command()
def mcp(
    image: Annotated[Path, typer.Argument(help="A photo.")],
    instruction: Annotated[str, typer.Argument(help="What to segment.")],
    calls: Annotated[int, typer.Option(help="Calls of each kind.", min=1)] = 100,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
) -> None:
    """Measure what MCP over stdio adds to a call about a photo that is already encoded."""
    from sam3i_agent.benchmarks.mcp_overhead import measure_mcp_overhead
    from sam3i_agent.cli.progress import progress_bar

    with progress_bar("calling", calls) as (bar, task):
        outcome = asyncio.run(
            measure_mcp_overhead(
                image, instruction, model, device, calls, lambda: bar.advance(task)
            )
        )
    typer.echo(outcome.model_dump_json())


@bench_app.command()
def report(
    cases: Annotated[
        int, typer.Option(help="Texts, each answered by three routes.", min=1)
    ] = 10_000,
) -> None:
    """Measure seconds and memory of a report on stored predictions, on made-up data."""
    from sam3i_agent.benchmarks.stored_predictions import (
        CASES_PER_SCENE,
        measure_stored_predictions,
    )
    from sam3i_agent.cli.progress import progress_bar

    scenes = -(-cases // CASES_PER_SCENE)
    with (
        tempfile.TemporaryDirectory() as folder,
        progress_bar("drawing scenes", scenes) as (bar, task),
    ):
        outcome = measure_stored_predictions(cases, Path(folder), lambda: bar.advance(task))
    typer.echo(outcome.model_dump_json())


@bench_app.command("large-photos")
def large_photos(
    photos: Annotated[int, typer.Option(help="Of 4,000 x 3,000 pixels.", min=1)] = 1,
    objects: Annotated[int, typer.Option(help="Small ones, in each.", min=1)] = 300,
    ordinary: Annotated[int, typer.Option(help="Photos of objects of ordinary size.", min=1)] = 30,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
) -> None:
    """Measure the recall of small objects in large photos, in one pass and in tiles."""
    from sam3i_agent.benchmarks.large_photos import measure_large_photos
    from sam3i_agent.cli.progress import progress_bar
    from sam3i_agent.segmodel.loading import load_segmenter

    with progress_bar("looking", photos + ordinary) as (bar, task):
        segmenter = load_segmenter(model, device=device)
        outcome = measure_large_photos(
            segmenter, photos, objects, ordinary, lambda: bar.advance(task)
        )
    typer.echo(outcome.model_dump_json())


@bench_app.command()
def video(
    frames: Annotated[int, typer.Option(help="Of the clip.", min=10)] = 10_000,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
) -> None:
    """Measure the memory and time of tracking through a long clip (Linux)."""
    from sam3i_agent.benchmarks.long_video import measure_long_video

    with tempfile.TemporaryDirectory() as folder:
        outcome = measure_long_video(frames, Path(folder), model, device)
    typer.echo(outcome.model_dump_json())


@bench_app.command()
def load(
    clients: Annotated[int, typer.Option(help="At a time, each with its own picture.", min=1)] = 64,
    seconds: Annotated[float, typer.Option(help="How long.", min=1)] = 120,
    replicas: Annotated[int, typer.Option(help="Copies of the model.", min=1)] = 2,
    kill: Annotated[bool, typer.Option("--kill", help="Kill a replica half-way.")] = False,
    model: ModelOption = "tiny",
) -> None:
    """Measure a server on replicas under load, and check every answer (extra `serve`)."""
    from sam3i_agent.benchmarks.load import measure_load

    with tempfile.TemporaryDirectory() as folder:
        outcome = measure_load(Path(folder), model, clients, seconds, replicas, kill=kill)
    typer.echo(outcome.model_dump_json())
