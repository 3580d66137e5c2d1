"""The command line's root; the modules beside it add their commands."""

import typer

app = typer.Typer(
    help="Segment pictures by instruction.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
