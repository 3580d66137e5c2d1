"""`sam3i bench cold-start`, `peers`, `gpu`, `guard`: beside what else there is; where time goes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam3i_agent.benchmarks.speed.parts import GuardPart
from sam3i_agent.cli.bench_language import bench_app
from sam3i_agent.cli.options import DeviceOption
from sam3i_agent.core.errors import InputError

if TYPE_CHECKING:
    from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

_SideOption = Annotated[
    int, typer.Option(help="Of the input of a random model of full size; a multiple of 336.")
]
_OtherModelOption = Annotated[
    str | None, typer.Option("--model", help="A model instead, as --model of other commands.")
]
_TypeOption = Annotated[
    str | None,
    typer.Option(help="bfloat16, float32 or float16; on CUDA bfloat16, else float32 by default."),
]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")]


@bench_app.command("cold-start")
def cold_start(
    image: Annotated[Path, typer.Argument(help="A photo.")],
    instruction: Annotated[str, typer.Argument(help="What to segment.")],
    runs: Annotated[int, typer.Option(help="Of each command, in turn.", min=1)] = 5,
    as_json: _JsonOption = False,
) -> None:
    """Measure sam3i segment from a cold shell, beside importing transformers' Sam3Model."""
    from sam3i_agent.benchmarks.speed.cold_start import measure_cold_start
    from sam3i_agent.cli.progress import progress_bar

    with progress_bar("starting", runs + 1) as (bar, task):
        outcome = measure_cold_start(image, instruction, runs, lambda: bar.advance(task))
    if as_json:
        typer.echo(outcome.model_dump_json())
        return
    for one in (outcome.library, outcome.command, outcome.server):
        typer.echo(
            f"{one.what:24} {one.least_s:7.2f} s least {one.median_s:7.2f} s median "
            f"{one.cpu_s:7.2f} s of processor {one.peak_mib:7.0f} MiB"
        )
    typer.echo(f"sam3i segment to the library: {outcome.ratio} ({outcome.cpu_ratio} of processor)")


@bench_app.command()
def peers(
    case: Annotated[
        list[str] | None,
        typer.Option(help="one, eight, absent, photos, many, agent; may be repeated."),
    ] = None,
    side: _SideOption = 1008,
    repeats: Annotated[int, typer.Option(help="Turns of each.", min=1)] = 3,
    megapixels: Annotated[
        float | None, typer.Option(help="Of the large photo of `many`; 24 by default.", min=0.1)
    ] = None,
    dtype: _TypeOption = None,
    model: _OtherModelOption = None,
    device: DeviceOption = "auto",
    on_processor: Annotated[
        bool,
        typer.Option(
            "--processor-time",
            help="Count the processor's time on one thread, not the clock's: for a busy machine.",
        ),
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw a PNG (extra bench).")] = None,
    as_json: _JsonOption = False,
) -> None:
    """Measure answers beside those of transformers' Sam3Model with the same weights, in one run."""
    from contextlib import nullcontext

    from sam3i_agent.benchmarks.speed.peers import CASES, measure_peers, one_thread, processor_time
    from sam3i_agent.cli.progress import progress_bar

    cases = case or list(CASES)
    with (
        progress_bar("measuring", len(cases)) as (bar, task),
        one_thread() if on_processor else nullcontext(),
    ):
        outcome = measure_peers(
            _segmenter(model, side, device, dtype),
            cases,
            repeats,
            lambda: bar.advance(task),
            megapixels,
            processor_time if on_processor else None,
        )
    if plot is not None:
        from sam3i_agent.benchmarks.plots import plot_peers

        plot_peers(outcome, plot)
    if as_json:
        typer.echo(outcome.model_dump_json())
        return
    typer.echo(f"{outcome.model}, {outcome.dtype}, {outcome.device}, {outcome.threads} threads")
    for one in outcome.cases:
        anew = "" if one.anew_s is None else f", anew {one.anew_s:.2f} s: {one.to_anew:.2f}"
        typer.echo(
            f"{one.case}: {one.ours_s:.2f} s, stock with features kept {one.kept_s:.2f} s: "
            f"{one.to_kept:.2f}{anew}; {one.ours_mib:.0f} and {one.kept_mib:.0f} MiB"
        )


@bench_app.command()
def gpu(
    photos: Annotated[list[int] | None, typer.Option(help="Encoded at a time.")] = None,
    phrases: Annotated[list[int] | None, typer.Option(help="About one photo.")] = None,
    side: _SideOption = 1008,
    repeats: Annotated[int, typer.Option(help="Of each measurement.", min=1)] = 20,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile encoder, fusion layers and decoder.")
    ] = False,
    dtype: _TypeOption = None,
    model: _OtherModelOption = None,
    device: DeviceOption = "auto",
    as_json: _JsonOption = False,
) -> None:
    """Measure milliseconds by stage beside the floor of the hardware, on any device."""
    from sam3i_agent.benchmarks.speed.stages import STAGES_OF_PHRASES, measure_stages
    from sam3i_agent.cli.progress import progress_bar

    batches, numbers = photos or [1, 4, 16], phrases or [1, 8, 32]
    steps = 1 + len(batches) + STAGES_OF_PHRASES * len(numbers)
    with progress_bar("measuring", steps) as (bar, task):
        outcome = measure_stages(
            _segmenter(model, side, device, dtype),
            batches,
            numbers,
            repeats,
            compiled=compiled,
            advance=lambda: bar.advance(task),
        )
    if as_json:
        typer.echo(outcome.model_dump_json())
        return
    typer.echo(
        f"{outcome.model}, {outcome.dtype}, {outcome.device}, {outcome.threads} threads: "
        f"{outcome.tflops} TFLOP/s, {outcome.gbytes_per_s} GB/s"
    )
    for one in outcome.stages:
        typer.echo(
            f"{one.name:34} {one.batch:3} {one.ms:10.2f} ms, floor {one.floor_ms:10.2f} ms, "
            f"{one.gflop:10.1f} GFLOP"
        )


@bench_app.command()
def guard(
    only: Annotated[
        list[GuardPart] | None, typer.Option(help="A part alone; may be repeated.")
    ] = None,
    expected: Annotated[
        Path | None, typer.Option(help="Ratios to compare with, instead of the repository's.")
    ] = None,
    update: Annotated[
        Path | None, typer.Option(help="Write the ratios here as those to expect from now on.")
    ] = None,
    as_json: _JsonOption = False,
) -> None:
    """Measure the ratios of speed in about two minutes; exit code 1 where one got worse.

    For before a release, on a machine with nothing else to do; small models on the CPU.
    """
    from sam3i_agent.benchmarks.speed.guard import (
        as_expected,
        measure_guard,
        read_expected,
        table_of,
    )
    from sam3i_agent.cli.progress import progress_bar

    known = read_expected(expected)
    parts = only or list(GuardPart)
    with progress_bar("measuring", len(parts)) as (bar, task):
        outcome = measure_guard(parts, known, lambda: bar.advance(task))
    if update is not None:
        update.write_text(as_expected(outcome, known), "utf-8")
    typer.echo(outcome.model_dump_json() if as_json else table_of(outcome))
    if outcome.regressions and update is None:
        raise typer.Exit(1)


def _segmenter(model: str | None, side: int, device: str, dtype: str | None) -> "Sam3Segmenter":
    import torch

    from sam3i_agent.benchmarks.random_models import full_size_segmenter
    from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

    known = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}
    if dtype is not None and dtype not in known:
        raise InputError(f"--dtype takes {', '.join(known)}, not {dtype!r}")
    kind = None if dtype is None else known[dtype]
    if model is None:
        return full_size_segmenter(side, device, kind)
    return load_segmenter(model, device=device, dtype=kind)
