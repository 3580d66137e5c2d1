"""`sam3i bench language` and `routing`: what a language model of known quality is worth."""

from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.agent.language.choice import PromptsVersion
from sam3i_agent.cli.commands.bench import bench_app
from sam3i_agent.cli.language import choices_of
from sam3i_agent.cli.options import DeviceOption, ModelOption, parse_list
from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice


@bench_app.command()
def language(
    scenes: Annotated[int, typer.Option(help="How many are drawn.", min=1)] = 40,
    seed: Annotated[int, typer.Option(help="Series of the scenes, and of the errors.")] = 660417,
    errors: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help="Rates of the simulated model, 0 to 1: propose, plan, verify (false_accept, "
            "false_reject), select (missed, extra), absent, false_absent, malformed; latency_s; "
            "repeated (true: the same question gets the same answer). A list measures several; "
            "none by default. With --mllm the simulated model is left out where none are given.",
        ),
    ] = None,
    errors_set: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Sets of rates by name, separated by commas: none, verify, verify+select, mixed, "
            "heavy, coin; all for all of them.",
        ),
    ] = None,
    mllm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL,MODEL", help="A language model to measure; repeated, each is a row."
        ),
    ] = None,
    text_only: Annotated[
        bool,
        typer.Option("--text-only", help="No model sees: each is asked for a plan in words alone."),
    ] = False,
    sweep: Annotated[
        str | None,
        typer.Option(help="A rate to vary from 0 to 0.5, or `all` to scale those of --errors."),
    ] = None,
    routes: Annotated[
        str, typer.Option(help="Which routes, separated by commas; all for all.")
    ] = "direct,agent,auto",
    prompts: Annotated[PromptsVersion, typer.Option(help="Words.")] = PromptsVersion.V2,
    no_head: Annotated[
        bool, typer.Option("--no-head", help="Without the direct answer as a candidate.")
    ] = False,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    finished: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep each row here as soon as it is measured; a later call goes on from it.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a PNG: the sweep, or each way by set of errors.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Measure what the agent gains with a language model of known quality, and where it stops.

    A simulated model knows the truth of generated scenes and errs at the given rates. What the
    segmenter says of a photo is asked once for all rows.
    """
    from sam3i_agent.agent.language.factory import language_factory, named_choices
    from sam3i_agent.benchmarks.simulated.error_sets import named_sets, rates_to_measure
    from sam3i_agent.benchmarks.simulated.language import measure_language
    from sam3i_agent.benchmarks.simulated.questions import read_questions
    from sam3i_agent.benchmarks.simulated.rows import markdown_of, table_of
    from sam3i_agent.cli.progress import progress_bar
    from sam3i_agent.segmodel.checkpoints.loading import load_by_choice

    if errors_set is not None and (errors is not None or sweep is not None):
        raise InputError("--errors-set stands in place of --errors and --sweep")
    chosen = parse_list(
        RouteChoice, ",".join(RouteChoice) if routes == "all" else routes, "--routes"
    )
    choices = choices_of(mllm or [], prompts)
    if text_only:
        choices = tuple(one.model_copy(update={"text_only": True}) for one in choices)
    models = named_choices(choices)
    left_out = bool(models) and errors is None and errors_set is None and sweep is None
    rates = {} if left_out else rates_to_measure(errors or "{}", sweep)
    if errors_set is not None:
        rates = named_sets(errors_set)
    questions = read_questions(scenes, seed)
    runs = (len(rates) + len(models)) * sum(one is not RouteChoice.DIRECT for one in chosen)
    runs += RouteChoice.DIRECT in chosen
    with progress_bar("answering", runs * len(questions)) as (bar, task):
        outcome = measure_language(
            load_by_choice(ModelChoice(model, device)),
            questions,
            seed,
            chosen,
            rates,
            prompts=prompts,
            use_head=not no_head,
            text_only=text_only,
            languages={name: language_factory(one) for name, one in models.items()},
            finished=finished,
            advance=lambda: bar.advance(task),
        )
    if plot is not None:
        from sam3i_agent.benchmarks.plots import plot_language, plot_ways

        if sweep is None:
            plot_ways(outcome, plot)
        else:
            plot_language(outcome, sweep, plot)
    shown = markdown_of if markdown else table_of
    typer.echo(outcome.model_dump_json() if as_json else shown(outcome))


@bench_app.command()
def routing(
    scenes: Annotated[int, typer.Option(help="How many are drawn.", min=1)] = 40,
    seed: Annotated[int, typer.Option(help="Series of the scenes, and of the errors.")] = 771001,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Measure which route is best for which kind of text: the agent's kinds of `RoutingPolicy`."""
    from sam3i_agent.benchmarks.simulated.questions import read_questions
    from sam3i_agent.benchmarks.simulated.routing import (
        ROUTES,
        SETS,
        measure_routing,
        routing_table,
    )
    from sam3i_agent.cli.progress import progress_bar
    from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

    questions = read_questions(scenes, seed)
    runs = 1 + (len(ROUTES) - 1) * len(SETS)
    with progress_bar("answering", runs * len(questions)) as (bar, task):
        segmenter = load_segmenter(model, device=device)
        outcome = measure_routing(segmenter, questions, seed, lambda: bar.advance(task))
    typer.echo(outcome.model_dump_json() if as_json else routing_table(outcome))
