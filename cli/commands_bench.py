"""Commands that measure speed, each as ratios or differences within one run."""

import asyncio
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
    from rich.console import Console
    from rich.progress import Progress

    from sam3i_agent.benchmarks.mcp_overhead import measure_mcp_overhead

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("calling", total=calls)
        outcome = asyncio.run(
            measure_mcp_overhead(
                image, instruction, model, device, calls, lambda: bar.advance(task)
            )
        )
    typer.echo(outcome.model_dump_json())
