"""`sam3i bench`: speed, each as ratios or differences within one run."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam3i_agent.cli.options import DeviceOption, ModelOption
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice

if TYPE_CHECKING:
    from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

bench_app = typer.Typer(help="Measure speed; every command prints JSON.", no_args_is_help=True)


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
                image, instruction, ModelChoice(model, device), calls, lambda: bar.advance(task)
            )
        )
    typer.echo(outcome.model_dump_json())


@bench_app.command()
def shown(
    out: Annotated[Path, typer.Argument(help="Folder for the pictures.")],
    masks: Annotated[list[int] | None, typer.Option(help="Numbers of masks.", min=1)] = None,
) -> None:
    """Write the pictures that a language model is shown, to be looked at."""
    from sam3i_agent.benchmarks.shown_pictures import write_shown_pictures

    for path in write_shown_pictures(out, masks or (1, 9, 40)):
        typer.echo(str(path))


@bench_app.command()
def answers(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
    before: Annotated[
        Path | None, typer.Option(help="JSON of an earlier version, to stand beside.")
    ] = None,
) -> None:
    """Measure characters, tokens and bytes of twelve answers of the MCP tools (extra bench)."""
    from sam3i_agent.benchmarks.answers import (
        ANSWERS,
        cost_table,
        measure_answers,
        read_costs,
        token_counter,
    )
    from sam3i_agent.cli.progress import progress_bar

    earlier = None if before is None else read_costs(before)
    with progress_bar("answering", ANSWERS) as (bar, task):
        outcome = asyncio.run(measure_answers(token_counter(), lambda: bar.advance(task)))
    typer.echo(outcome.model_dump_json() if as_json else cost_table(outcome, earlier))


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
    from sam3i_agent.segmodel.checkpoints.loading import load_by_choice

    with progress_bar("looking", photos + ordinary) as (bar, task):
        segmenter = load_by_choice(ModelChoice(model, device))
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
        outcome = measure_long_video(frames, Path(folder), ModelChoice(model, device))
    typer.echo(outcome.model_dump_json())


@bench_app.command("killed-clip")
def killed_clip(
    frames: Annotated[int, typer.Option(help="Of the clip.", min=10)] = 2_000,
    kills: Annotated[int, typer.Option(help="Of the replica that has it.", min=0)] = 2,
    model: ModelOption = "tiny",
) -> None:
    """Compare a clip's tracks on replicas that are killed with those of one process."""
    from sam3i_agent.benchmarks.serving.killed_clip import measure_killed_clip

    typer.echo(measure_killed_clip(model, frames, kills).model_dump_json())


@bench_app.command()
def scaling(
    clients: Annotated[int, typer.Option(help="At a time, each with its own picture.", min=1)] = 16,
    seconds: Annotated[float, typer.Option(help="Of load, for each number.", min=1)] = 30,
    replicas: Annotated[int, typer.Option(help="Copies of the model, at most.", min=1)] = 2,
    front_ends: Annotated[int, typer.Option(help="Behind nginx, at most.", min=1)] = 2,
    model: ModelOption = "tiny",
) -> None:
    """Measure answers a second over replicas and front ends (as `load --front-ends`)."""
    from sam3i_agent.benchmarks.serving.scaling import measure_scaling
    from sam3i_agent.cli.progress import progress_bar

    with (
        tempfile.TemporaryDirectory() as folder,
        progress_bar("asking", replicas * front_ends) as (bar, task),
    ):
        rows = measure_scaling(
            Path(folder), model, clients, seconds, replicas, front_ends, lambda: bar.advance(task)
        )
    typer.echo(json.dumps([one.model_dump() for one in rows]))


@bench_app.command()
def load(
    clients: Annotated[int, typer.Option(help="At a time, each with its own picture.", min=1)] = 64,
    seconds: Annotated[float, typer.Option(help="How long.", min=1)] = 120,
    replicas: Annotated[int, typer.Option(help="Copies of the model.", min=1)] = 2,
    front_ends: Annotated[
        int | None,
        typer.Option(
            help="Behind nginx, with PostgreSQL and moto's S3 server; without it, one server.",
            min=1,
        ),
    ] = None,
    nodes: Annotated[
        int, typer.Option(help="Of Ray, all on this machine; goes with --front-ends.", min=1)
    ] = 1,
    kill: Annotated[
        bool, typer.Option("--kill", help="Kill a replica half-way; or each part in turn.")
    ] = False,
    model: ModelOption = "tiny",
) -> None:
    """Measure servers under load, and check every answer (extra `serve`)."""
    if front_ends is not None:
        from sam3i_agent.benchmarks.serving.cluster_load import measure_cluster_load

        with tempfile.TemporaryDirectory() as folder:
            report = measure_cluster_load(
                Path(folder), model, clients, seconds, replicas, front_ends, nodes, kill=kill
            )
        typer.echo(report.model_dump_json())
        return
    if nodes != 1:
        raise InputError("--nodes goes with --front-ends")
    from sam3i_agent.benchmarks.serving.load import measure_load

    with tempfile.TemporaryDirectory() as folder:
        outcome = measure_load(Path(folder), model, clients, seconds, replicas, kill=kill)
    typer.echo(outcome.model_dump_json())


@bench_app.command()
def agent(
    side: Annotated[
        int, typer.Option(help="Of the input of a random model of full size; a multiple of 336.")
    ] = 672,
    phrases: Annotated[list[int] | None, typer.Option(help="Numbers of noun phrases.")] = None,
    masks: Annotated[list[int] | None, typer.Option(help="Numbers of masks to verify.")] = None,
    latency: Annotated[float, typer.Option(help="Of one verdict, in seconds.", min=0)] = 1.0,
    repeats: Annotated[int, typer.Option(help="Of each measurement.", min=1)] = 3,
    model: Annotated[
        str | None, typer.Option(help="A model instead, as --model of other commands.")
    ] = None,
    device: DeviceOption = "auto",
    plot: Annotated[Path | None, typer.Option(help="Draw a PNG (extra bench).")] = None,
) -> None:
    """Measure the official agent's access pattern against this project's, in one run."""
    from sam3i_agent.benchmarks.agent_pattern import measure_agent_pattern
    from sam3i_agent.benchmarks.plots import plot_agent_pattern
    from sam3i_agent.benchmarks.random_models import full_size_segmenter
    from sam3i_agent.cli.progress import progress_bar
    from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

    counts, verdicts = phrases or [1, 2, 4, 8], masks or [1, 4, 16, 64]
    segmenter = (
        full_size_segmenter(side, device) if model is None else load_segmenter(model, device=device)
    )
    with progress_bar("measuring", len(counts) + len(verdicts)) as (bar, task):
        outcome = measure_agent_pattern(
            segmenter, counts, verdicts, latency, repeats, lambda: bar.advance(task)
        )
    if plot is not None:
        plot_agent_pattern(outcome, plot)
    typer.echo(outcome.model_dump_json())


@bench_app.command()
def growth(
    instances: Annotated[list[int] | None, typer.Option(help="Numbers of masks.")] = None,
    megapixels: Annotated[list[float] | None, typer.Option(help="Sizes of photos.")] = None,
    clients: Annotated[list[int] | None, typer.Option(help="Threads that ask.")] = None,
    seconds: Annotated[float, typer.Option(help="Of load, for each number and way.")] = 10,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    plot: Annotated[Path | None, typer.Option(help="Draw a PNG (extra bench).")] = None,
) -> None:
    """Measure how cost grows with instances, pixels and clients; and what sharing passes gains."""
    from sam3i_agent.benchmarks.growth import measure_growth
    from sam3i_agent.benchmarks.plots import plot_growth
    from sam3i_agent.cli.progress import progress_bar
    from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

    many, sizes, threads = (
        instances or [1, 10, 100],
        megapixels or [1, 6, 24],
        clients or [1, 4, 16],
    )
    segmenter = load_segmenter(model, device=device)
    with progress_bar("measuring", len(many) + len(sizes) + len(threads)) as (bar, task):
        outcome = measure_growth(
            segmenter, many, sizes, threads, seconds, lambda: bar.advance(task)
        )
    if plot is not None:
        plot_growth(outcome, plot)
    typer.echo(outcome.model_dump_json())


@bench_app.command()
def encoder(
    side: Annotated[
        int, typer.Option(help="Of the input of a random model of full size; a multiple of 336.")
    ] = 1008,
    model: Annotated[
        str | None, typer.Option(help="A model instead, as --model of other commands.")
    ] = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="bfloat16, float32 or float16; may be repeated.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Also compile the encoder.")] = False,
    repeats: Annotated[int, typer.Option(help="Of each measurement.", min=1)] = 20,
    device: DeviceOption = "auto",
) -> None:
    """Measure milliseconds from a decoded photo to its answer, by type and memory format."""
    import torch

    from sam3i_agent.benchmarks.encoder import measure_encoder
    from sam3i_agent.benchmarks.random_models import full_size_segmenter
    from sam3i_agent.cli.progress import progress_bar
    from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

    known = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}
    names = dtype or ["bfloat16"]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"--dtype takes {', '.join(known)}, not {unknown[0]!r}")

    def make(kind: torch.dtype) -> "Sam3Segmenter":
        if model is None:
            return full_size_segmenter(side, device, kind)
        return load_segmenter(model, device=device, dtype=kind)

    ways = [False, True] if compiled else [False]
    with progress_bar("measuring", 2 * len(names) * len(ways)) as (bar, task):
        outcome = measure_encoder(
            make, [known[name] for name in names], ways, repeats, lambda: bar.advance(task)
        )
    typer.echo(outcome.model_dump_json())


@bench_app.command()
def backends(
    kinds: Annotated[
        str, typer.Option(help="Which, separated by commas.")
    ] = "sam3-litetext,owlv2+sam2",
    phrases: Annotated[int, typer.Option(help="Asked about a photo.", min=1)] = 8,
    repeats: Annotated[int, typer.Option(help="Of each measurement.", min=1)] = 1,
    reduced: Annotated[
        bool, typer.Option("--reduced", help="Inputs of a third to a half of the published side.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Measure other models beside transformers' own classes, phrase by phrase, in one run.

    Published sizes with random weights, on the CPU in fp32.
    """
    from sam3i_agent.benchmarks.backends import measure_backends, table_of
    from sam3i_agent.cli.progress import progress_bar

    chosen = [part.strip() for part in kinds.split(",")]
    with progress_bar("measuring", len(chosen)) as (bar, task):
        outcome = measure_backends(chosen, phrases, repeats, reduced, lambda: bar.advance(task))
    typer.echo(outcome.model_dump_json() if as_json else table_of(outcome))
