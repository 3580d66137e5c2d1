"""Commands that measure."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.app import app
from sam3i_agent.cli.options import (
    FAILURE,
    DeviceOption,
    MllmModelOption,
    MllmUrlOption,
    ModelOption,
    VerboseOption,
    log_to_stderr,
    parse_list,
)
from sam3i_agent.core.contracts import (
    LevelChoice,
    RouteChoice,
)
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.evaluation.metrics.protocol import Protocol


@app.command()
def benchmark(
    annotations: Annotated[Path, typer.Argument(help="annotations.json of `sam3i scenes`.")],
    level: Annotated[
        InstructionLevel, typer.Option(help="Which texts to ask.")
    ] = InstructionLevel.CONCEPT,
    route: Annotated[RouteChoice, typer.Option(help="Which pipeline.")] = RouteChoice.DIRECT,
    read_as: Annotated[
        LevelChoice | None, typer.Option(help="How the direct route reads them; as --level.")
    ] = None,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
) -> None:
    """Score a route on a dataset of scenes: cgF1, gIoU and right refusals, as JSON."""
    from sam3i_agent.cli.progress import progress_bar
    from sam3i_agent.evaluation.scenes_benchmark import run_benchmark
    from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

    with progress_bar("scoring") as (bar, task):
        report = run_benchmark(
            load_segmenter(model, device=device),
            annotations,
            level,
            route,
            read_as or LevelChoice(level),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(json.dumps(report.as_dict()))


@app.command()
def compare(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="JSON of SAM3-I, SA-Co or RefCOCO in COCO form; or a folder of ReasonSeg, "
            "gRefCOCO, or with images/ and instructions.csv."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for predictions and report.")],
    images: Annotated[
        Path | None, typer.Option(help="Where the photos are, if not beside the dataset.")
    ] = None,
    routes: Annotated[
        str, typer.Option(help="Which routes, separated by commas.")
    ] = "direct,agent,auto",
    levels: Annotated[
        str, typer.Option(help="Texts of which levels, separated by commas.")
    ] = "concept,simple,complex",
    limit: Annotated[int | None, typer.Option(help="At most so many cases.", min=1)] = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Part of the cases, for several machines.")
    ] = "1/1",
    workers: Annotated[
        int | None,
        typer.Option(help="Answer with so many Ray workers, here or on a cluster.", min=1),
    ] = None,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    mllm_url: MllmUrlOption = None,
    mllm_model: MllmModelOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Answer a dataset by several routes and report which is better, where, at what cost.

    Run again after an interruption, it goes on behind the last answer.
    """
    log_to_stderr(verbose)
    from sam3i_agent.cli.commands.compare import CompareCommand

    command = CompareCommand(
        dataset=dataset,
        images=images,
        out=out,
        routes=parse_list(RouteChoice, routes, "--routes"),
        levels=parse_list(InstructionLevel, levels, "--levels"),
        limit=limit,
        shard=shard,
        workers=workers,
        model=model,
        device=device,
        mllm_url=mllm_url,
        mllm_model=mllm_model,
    )
    typer.echo(command.run())


@app.command()
def evaluate(
    protocol: Annotated[Protocol, typer.Option(help="The evaluation's rules.")],
    gt: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Ground truth in COCO form; saco takes several."),
    ],
    pred: Annotated[Path, typer.Option(metavar="FILE", help="COCO results.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a predictions file with the field's metrics, as their official evaluators do."""
    from sam3i_agent.evaluation.metrics.protocols import evaluate as score

    report = score(protocol, gt, pred)
    if as_json:
        typer.echo(json.dumps(report))
        return
    for name, value in report.items():
        typer.echo(f"{name:<24} {value:.4f}" if isinstance(value, float) else f"{name:<24} {value}")


@app.command()
def scorecard(
    count: Annotated[int, typer.Option(help="Scenes of each of the two series.")] = 500,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
) -> None:
    """Measure what is claimed of the shipped model, on scenes that no training has seen."""
    from sam3i_agent.cli.progress import progress_bar
    from sam3i_agent.evaluation.scorecard import measure_claims
    from sam3i_agent.segmodel.checkpoints.loading import base_model_of, load_segmenter

    with progress_bar("drawing scenes") as (bar, task):

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        segmenter = load_segmenter(model, device=device)
        base = load_segmenter(base_model_of(model), device=device, with_head=False)
        claims = measure_claims(segmenter, base, count, advance)
    for one in claims:
        verdict = "reached" if one.holds else "missed"
        typer.echo(
            f"{one.name:<28} {one.metric:<14} {one.value:6.2f}  bar {one.bar:.0f} {verdict}  "
            f"({one.records} records)"
        )
    if not all(one.holds for one in claims):
        raise typer.Exit(FAILURE)
