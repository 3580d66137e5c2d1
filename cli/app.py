"""The command line put together: every command, in the order of its help."""

import inspect
from importlib.metadata import version
from typing import Annotated

import typer

from sam3i_agent.cli.bench_speed import bench_app
from sam3i_agent.cli.commands.compare import compare
from sam3i_agent.cli.commands.convert import convert_app
from sam3i_agent.cli.commands.dataset import dataset_app
from sam3i_agent.cli.commands.evaluate import evaluate_app
from sam3i_agent.cli.commands.mcp import mcp_app
from sam3i_agent.cli.commands.models import models_app
from sam3i_agent.cli.commands.reproduce import reproduce_app
from sam3i_agent.cli.commands.results import edit, show
from sam3i_agent.cli.commands.runs import runs_app
from sam3i_agent.cli.commands.segment import EXAMPLES, segment
from sam3i_agent.cli.commands.serve import serve
from sam3i_agent.cli.commands.tools import tools_app
from sam3i_agent.cli.commands.track import track
from sam3i_agent.cli.commands.train import train

_SEGMENT = "Segment"
_SERVE = "Serve to other programs"
_MEASURE = "Measure"
_MODELS = "Data and models"

app = typer.Typer(
    help="Segment pictures by instruction.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_first_lines(group: typer.Typer) -> None:
    """Let lists of commands show the whole first line of each, where 45 characters are usual."""
    for command in group.registered_commands:
        command.short_help = (inspect.getdoc(command.callback) or "").partition("\n")[0]
    for one in group.registered_groups:
        if one.typer_instance is not None:
            _show_first_lines(one.typer_instance)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sam3i {version('sam3i-agent')}")
        raise typer.Exit


@app.callback()
def sam3i(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Segment pictures by instruction."""


app.command(rich_help_panel=_SEGMENT, epilog=EXAMPLES)(segment)
app.command(rich_help_panel=_SEGMENT)(track)
app.command(rich_help_panel=_SEGMENT)(edit)
app.command(rich_help_panel=_SEGMENT)(show)
app.add_typer(runs_app, name="runs", rich_help_panel=_SEGMENT)
app.command(rich_help_panel=_SERVE)(serve)
app.add_typer(mcp_app, name="mcp", rich_help_panel=_SERVE)
app.add_typer(tools_app, name="tools", rich_help_panel=_SERVE)
app.command(rich_help_panel=_MEASURE)(compare)
app.add_typer(evaluate_app, name="evaluate", rich_help_panel=_MEASURE)
app.add_typer(reproduce_app, name="reproduce", rich_help_panel=_MEASURE)
app.add_typer(bench_app, name="bench", rich_help_panel=_MEASURE)
app.add_typer(models_app, name="models", rich_help_panel=_MODELS)
app.add_typer(dataset_app, name="dataset", rich_help_panel=_MODELS)
app.command(rich_help_panel=_MODELS)(train)
app.add_typer(convert_app, name="convert", rich_help_panel=_MODELS)
_show_first_lines(app)
