"""`sam3i evaluate`: the quality of predictions, routes and models."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.commands.train import import_trainer
from sam3i_agent.cli.options import (
    FAILURE,
    DeviceOption,
    ModelOption,
    StyleOption,
    log_to_stderr,
    parse_list,
)
from sam3i_agent.core.contracts import (
    LevelChoice,
    RouteChoice,
)
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.evaluation.metrics.protocol import EvaluationProtocol

evaluate_app = typer.Typer(help="Measure the quality of answers and models.", no_args_is_help=True)


@evaluate_app.command()
def predictions(
    protocol: Annotated[EvaluationProtocol, typer.Option(help="The evaluation's rules.")],
    gt: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Ground truth: COCO, or what `sam3i compare` takes; saco takes several.",
        ),
    ],
    pred: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="COCO results, SAM3-I's predictions, or the .jsonl of `sam3i compare`.",
        ),
    ],
    route: Annotated[str | None, typer.Option(help="Which answers of a .jsonl.")] = None,
    level: Annotated[
        InstructionLevel | None, typer.Option(help="Answers to the texts of one level alone.")
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="Refuse files that repeat a mask, instead of a warning.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a predictions file with the field's metrics, as their official evaluators do."""
    from sam3i_agent.evaluation.forms.answers import Selection
    from sam3i_agent.evaluation.metrics.evaluators import evaluate

    log_to_stderr(False)
    chosen = Selection(route=route, level=level)
    report = evaluate(protocol, gt, pred, selection=chosen, strict=strict)
    if as_json:
        typer.echo(json.dumps(report))
        return
    for name, value in report.items():
        typer.echo(f"{name:<30} {value:.4f}" if isinstance(value, float) else f"{name:<30} {value}")


@evaluate_app.command()
def scenes(
    dataset: Annotated[Path, typer.Argument(help="A dataset, as `sam3i compare` takes it.")],
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
    from sam3i_agent.evaluation.benchmark import run_benchmark
    from sam3i_agent.segmodel.checkpoints.loading import load_by_choice

    with progress_bar("scoring") as (bar, task):
        report = run_benchmark(
            load_by_choice(ModelChoice(model, device)),
            dataset,
            level,
            route,
            read_as or LevelChoice(level),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(json.dumps(report.as_dict()))


@evaluate_app.command()
def scorecard(
    count: Annotated[int, typer.Option(help="Scenes of each of the two series.")] = 500,
    style: StyleOption = SceneStyle.SHAPES,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
) -> None:
    """Measure what is claimed of the shipped model, on scenes that no training has seen."""
    from sam3i_agent.cli.progress import progress_bar
    from sam3i_agent.evaluation.scorecard import measure_claims
    from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
    from sam3i_agent.segmodel.checkpoints.repository import base_model_of

    with progress_bar("drawing scenes") as (bar, task):

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        segmenter = load_segmenter(model, device=device)
        base = load_segmenter(base_model_of(model), device=device, with_head=False)
        claims = measure_claims(segmenter, base, count, advance, style=style)
    for one in claims:
        verdict = "reached" if one.holds else "missed"
        typer.echo(
            f"{one.name:<28} {one.metric:<14} {one.value:6.2f}  bar {one.bar:.0f} {verdict}  "
            f"({one.records} records)"
        )
    if not all(one.holds for one in claims):
        raise typer.Exit(FAILURE)


@evaluate_app.command()
def checkpoints(
    models: Annotated[list[str], typer.Argument(help="As --model takes them.")],
    levels: Annotated[str, typer.Option(help="Which, separated by commas.")] = "simple,complex",
    scenes: Annotated[int, typer.Option(help="Held-out scenes.", min=1)] = 200,
    style: StyleOption = SceneStyle.SHAPES,
) -> None:
    """Compare trained models quickly on held-out scenes: gIoU and right refusals, in percent."""
    wanted = parse_list(InstructionLevel, levels, "--levels")
    import_trainer()
    from sam3i_agent.segmodel.checkpoints.loading import load_model
    from sam3i_agent.training.validation import validate

    for name in models:
        model = load_model(name).float().eval()
        for level in wanted:
            one = validate(model, level, scenes, style)
            typer.echo(
                f"{name}  {level}: gIoU {one.giou:.1f}, right nothing {one.nothing_right:.1f} "
                f"({one.samples} texts)"
            )


@evaluate_app.command()
def curves(
    runs: Annotated[list[Path], typer.Argument(help="Folders that sam3i train has written to.")],
    plot: Annotated[Path, typer.Option(help="Where the PNG goes.")],
) -> None:
    """Draw how the losses of trainings fell, a line for each run (needs the extra bench)."""
    import_trainer()
    from sam3i_agent.benchmarks.plots import plot_training
    from sam3i_agent.training.log import read_log

    plot_training({str(run): read_log(run) for run in runs}, plot)
    typer.echo(f"plot written to {plot}")
