"""The command `sam3i`: parse, call, print."""

import asyncio
import json
import logging
import sys
from dataclasses import asdict
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from sam3i_agent.agent.contracts import (
    DEFAULT_BUDGETS,
    Budgets,
    LevelChoice,
    RouteChoice,
    RunStatus,
)
from sam3i_agent.evaluation.names import Protocol
from sam3i_agent.segmodel.errors import InputError, Sam3iError
from sam3i_agent.segmodel.levels import InstructionLevel

app = typer.Typer(
    help="Segment pictures by instruction.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

runs_app = typer.Typer(help="Recorded runs.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")
mcp_app = typer.Typer(help="MCP clients.", no_args_is_help=True)
app.add_typer(mcp_app, name="mcp")
tools_app = typer.Typer(help="The tools, for other protocols.", no_args_is_help=True)
app.add_typer(tools_app, name="tools")
USAGE_ERROR = 2
FAILURE = 1


ModelOption = Annotated[
    str,
    typer.Option("--model", help="tiny, a folder, an official .pt file, or a hub id."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
MllmUrlOption = Annotated[
    str | None,
    typer.Option(
        help="Base URL of an OpenAI-compatible server, whose model plans and judges for the agent; "
        "its key comes from SAM3I_MLLM_API_KEY or OPENAI_API_KEY."
    ),
]
MllmModelOption = Annotated[str | None, typer.Option(help="The model's name there.")]
RootOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder that image paths must be in; may be repeated. Without it: over HTTP the "
        "working directory, over stdio whatever the server's user can read."
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Log to standard error.")]


@app.command()
def segment(
    image: Annotated[Path | None, typer.Argument(help="Picture to segment.")] = None,
    instruction: Annotated[str | None, typer.Argument(help="What to find, in English.")] = None,
    route: Annotated[RouteChoice, typer.Option(help="Which pipeline answers.")] = RouteChoice.AUTO,
    level: Annotated[
        LevelChoice, typer.Option(help="How the direct route reads the words.")
    ] = LevelChoice.AUTO,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    mllm_url: MllmUrlOption = None,
    mllm_model: MllmModelOption = None,
    max_rounds: Annotated[
        int, typer.Option(help="Rounds of the agent.")
    ] = DEFAULT_BUDGETS.max_rounds,
    max_mllm_calls: Annotated[
        int, typer.Option(help="Requests to the language model, retries included.")
    ] = DEFAULT_BUDGETS.max_mllm_calls,
    max_tokens: Annotated[
        int, typer.Option(help="Tokens of the language model.")
    ] = DEFAULT_BUDGETS.max_tokens,
    max_seconds: Annotated[
        float, typer.Option(help="Wall time of the run.")
    ] = DEFAULT_BUDGETS.max_seconds,
    concurrency: Annotated[
        int, typer.Option(help="Requests to the language model at one time.")
    ] = DEFAULT_BUDGETS.concurrency,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN_ID", help="Go on with a run that was killed.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the result; outputs/IMAGE-NAME, or with --json none."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Segment IMAGE by INSTRUCTION: writes result.json, overlay.png and masks/."""
    _log_to_stderr(verbose)
    from sam3i_agent.cli.segmenting import SegmentCommand

    if resume is not None:
        if image is not None or instruction is not None:
            raise InputError("--resume takes image and instruction from the run's record")
        command = SegmentCommand.resumed(resume)
    else:
        if image is None or instruction is None:
            raise InputError("an image and an instruction are needed", "see sam3i segment --help")
        budgets = read_budgets(
            max_rounds=max_rounds,
            max_mllm_calls=max_mllm_calls,
            max_tokens=max_tokens,
            max_seconds=max_seconds,
            concurrency=concurrency,
        )
        command = SegmentCommand.new(
            image,
            instruction,
            route=route,
            level=level,
            budgets=budgets,
            model=model,
            device=device,
            mllm_url=mllm_url,
            mllm_model=mllm_model,
        )
    if out is None and not as_json:
        out = Path("outputs") / command.image.stem
    result = command.run(out, show_steps=verbose)
    if as_json:
        typer.echo(result.model_dump_json())
    else:
        from sam3i_agent.tools.service import summarise

        typer.echo(summarise(result))
        typer.echo(f"written to {out}")
    if result.status is RunStatus.FAILED:
        raise typer.Exit(FAILURE)


@runs_app.command("list")
def list_runs() -> None:
    """List recorded runs, the latest first."""
    from sam3i_agent.agent.runs import RunStore
    from sam3i_agent.cli.segmenting import describe_run

    for run in RunStore().list():
        typer.echo(describe_run(run))


@runs_app.command("show")
def show_run(run_id: Annotated[str, typer.Argument(help="As sam3i runs list names it.")]) -> None:
    """Print a recorded run: what was asked, each step, the answer and its pictures."""
    from sam3i_agent.agent.runs import RunStore
    from sam3i_agent.cli.segmenting import describe_run, run_details

    run = RunStore().open(run_id)
    typer.echo(describe_run(run))
    typer.echo("\n".join(run_details(run)))


@app.command()
def scenes(
    count: Annotated[int, typer.Argument(help="How many.")],
    out: Annotated[Path, typer.Argument(help="New or empty folder.")],
    seed: Annotated[
        int, typer.Option(help="Names the series; the same seed, the same scenes.")
    ] = 0,
    withheld: Annotated[
        bool, typer.Option(help="Show colour-shape pairs that training never shows.")
    ] = False,
) -> None:
    """Write generated scenes with instructions and masks, in the SAM3-I JSON format."""
    from rich.console import Console
    from rich.progress import track

    from sam3i_agent.training.dataset import write_scenes

    console = Console(stderr=True)
    bar = iter(track(range(count), "drawing", console=console, disable=not console.is_terminal))

    def advance() -> None:
        next(bar, None)

    path = write_scenes(
        count,
        out,
        seed=seed,
        combinations="withheld" if withheld else "trained",
        advance=advance,
    )
    typer.echo(f"{count} scenes written to {path}")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file, see training/configs/.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Load everything, try one batch, write nothing.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a model or its instruction head; run again to resume after an interruption.

    On many GPUs or machines: accelerate launch -m sam3i_agent.cli train CONFIG.
    """
    _log_to_stderr(verbose)
    from sam3i_agent.training.config import read_config

    settings = read_config(config, change or ())
    trainer = _import_trainer()
    if dry_run:
        typer.echo(json.dumps(asdict(trainer.dry_run(settings)), indent=2))
    else:
        folder = trainer.train(settings, progress=sys.stderr.isatty())
        typer.echo(f"model written to {folder}")


@app.command()
def validate(
    models: Annotated[list[str], typer.Argument(help="As --model takes them.")],
    levels: Annotated[str, typer.Option(help="Which, separated by commas.")] = "simple,complex",
    scenes: Annotated[int, typer.Option(help="Held-out scenes.", min=1)] = 200,
) -> None:
    """Compare trained models quickly on held-out scenes: gIoU and right refusals, in percent."""
    wanted = _parse_list(InstructionLevel, levels, "--levels")
    _import_trainer()
    from sam3i_agent.segmodel.loading import load_model
    from sam3i_agent.training.validation import validate as measure

    for name in models:
        model = load_model(name).float().eval()
        for level in wanted:
            one = measure(model, level, scenes)
            typer.echo(
                f"{name}  {level}: gIoU {one.giou:.1f}, right nothing {one.nothing_right:.1f} "
                f"({one.samples} texts)"
            )


@app.command()
def dataset(
    instances: Annotated[Path, typer.Argument(help="COCO JSON with the masks.")],
    instructions: Annotated[
        Path, typer.Argument(help="CSV: file_name, level, instruction, annotation_ids.")
    ],
    out: Annotated[Path, typer.Argument(help="SAM3-I JSON file to write.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; the COCO file's own by default.")
    ] = None,
) -> None:
    """Join your COCO instances and a table of instructions to a dataset for `sam3i train`."""
    from sam3i_agent.training.own_data import build_dataset

    count = build_dataset(instances, instructions, images or instances.parent, out)
    typer.echo(f"{count} records written to {out}")


def _import_trainer() -> ModuleType:
    try:
        return import_module("sam3i_agent.training.trainer")
    except ModuleNotFoundError as error:
        raise InputError(
            f"training needs the package {error.name!r}", "pip install 'sam3i-agent[train]'"
        ) from error


@app.command()
def convert(
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
    from sam3i_agent.segmodel.conversion import convert_checkpoint

    convert_checkpoint(checkpoint, out, config, adapters_only=adapters_only)
    typer.echo(f"model written to {out}")


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
    from rich.console import Console
    from rich.progress import Progress

    from sam3i_agent.evaluation.scenes_benchmark import run_benchmark
    from sam3i_agent.segmodel.loading import load_segmenter

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("scoring", total=None)
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
    annotations: Annotated[Path, typer.Argument(help="SAM3-I JSON, beside its images.")],
    out: Annotated[Path, typer.Option(help="Folder for predictions and report.")],
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
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    mllm_url: MllmUrlOption = None,
    mllm_model: MllmModelOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Answer a dataset by several routes and report which is better, where, at what cost.

    Run again after an interruption, it goes on behind the last answer.
    """
    _log_to_stderr(verbose)
    from sam3i_agent.cli.comparing import CompareCommand

    command = CompareCommand(
        annotations=annotations,
        out=out,
        routes=_parse_list(RouteChoice, routes, "--routes"),
        levels=_parse_list(InstructionLevel, levels, "--levels"),
        limit=limit,
        shard=shard,
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
    from sam3i_agent.evaluation.protocols import evaluate as score

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
    from rich.console import Console
    from rich.progress import Progress

    from sam3i_agent.evaluation.scorecard import measure_claims
    from sam3i_agent.segmodel.loading import base_model_of, load_segmenter

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("drawing scenes", total=None)

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


@app.command()
def verify(
    annotations: Annotated[Path, typer.Argument(help="SAM3-I JSON, beside its images.")],
    out: Annotated[Path, typer.Argument(help="JSON file to write, in the same folder.")],
    drop: Annotated[
        bool, typer.Option("--drop", help="Leave out failed records instead of flagging them.")
    ] = False,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    mllm_url: MllmUrlOption = None,
    mllm_model: MllmModelOption = None,
    max_mllm_calls: Annotated[
        int, typer.Option(help="Requests to the language model, retries included.")
    ] = 10_000,
) -> None:
    """Check a dataset's masks and their completeness by a language model, or by rules."""
    from sam3i_agent.cli.verifying import verify_with_progress

    report = verify_with_progress(
        annotations,
        out,
        drop=drop,
        model=model,
        device=device,
        mllm_url=mllm_url,
        mllm_model=mllm_model,
        budgets=read_budgets(max_mllm_calls=max_mllm_calls, max_seconds=7 * 24 * 3600.0),
    )
    typer.echo(json.dumps(report.as_dict()))


@app.command()
def serve(
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve streamable HTTP there, not stdio."),
    ] = None,
    root: RootOption = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch pictures from public https URLs.")
    ] = False,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    mllm_url: MllmUrlOption = None,
    mllm_model: MllmModelOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve the tools over MCP, on standard input and output or over HTTP."""
    _log_to_stderr(verbose)
    from sam3i_agent.cli.serving import build_toolbox

    address = None
    if http is not None:
        from sam3i_agent.tools.http import parse_address

        address = parse_address(http)
        root = root or [Path.cwd()]
    toolbox = build_toolbox(root or [], allow_urls, model, device, mllm_url, mllm_model)
    if address is not None:
        from sam3i_agent.tools.http import serve_http

        serve_http(toolbox, *address)
    else:
        from sam3i_agent.tools.server import build_server

        build_server(toolbox).run("stdio")


@mcp_app.command("config")
def mcp_config(
    client: Annotated[
        str, typer.Argument(help="claude-desktop, claude-code, cursor, vscode, windsurf.")
    ],
    root: RootOption = None,
    write: Annotated[
        bool, typer.Option("--write", help="Merge it into the client's file, with a backup.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option(help="The client's file, where it is not the usual one.")
    ] = None,
) -> None:
    """Print, or write, what an MCP client needs to start this server."""
    from sam3i_agent.tools.clients import find_client, merge, snippet

    known = find_client(client)
    arguments = [part for one in root or () for part in ("--root", str(one.resolve()))]
    if not write:
        typer.echo(json.dumps(snippet(known, arguments), indent=2))
        return
    path = file or known.path()
    backup = merge(known, path, arguments)
    typer.echo(f"written to {path}" + (f"; the old file is {backup}" if backup else ""))


@tools_app.command("openai")
def openai_tools() -> None:
    """Print the tools as OpenAI function schemas, for assistants without MCP."""
    from sam3i_agent.cli.serving import build_toolbox
    from sam3i_agent.tools.openai_schema import function_schemas
    from sam3i_agent.tools.server import build_server

    server = build_server(build_toolbox([], False, "tiny", "auto", None, None))
    typer.echo(json.dumps(asyncio.run(function_schemas(server)), indent=2))


E = TypeVar("E", bound=StrEnum)


def _parse_list(kind: type[E], text: str, flag: str) -> tuple[E, ...]:
    try:
        return tuple(dict.fromkeys(kind(part.strip()) for part in text.split(",")))
    except ValueError as error:
        known = ", ".join(kind)
        raise InputError(f"{flag} takes names separated by commas: {error}", known) from error


def read_budgets(**values: float) -> Budgets:
    """Return the budgets, or say which flag is out of range."""
    try:
        return Budgets.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        flag = f"--{first['loc'][0]}".replace("_", "-")
        raise InputError(f"{flag}: {first['msg'].lower()}, got {first['input']}") from error


def _log_to_stderr(verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )


def main() -> None:
    """Run the command line; expected failures end in one line and a non-zero exit."""
    try:
        app()
    except Sam3iError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(USAGE_ERROR if isinstance(error, InputError) else FAILURE) from error
