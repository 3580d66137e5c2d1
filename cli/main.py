"""The command `sam3i`: parse, call, print."""

import atexit
import os
import sys

from sam3i_agent.tools.importing import quick_end, quick_imports


def main() -> None:
    """Run the command line; expected failures end in one line and a non-zero exit."""
    # torch reads it once, when it is imported: large pages for large tensors, measured 10 to 20 %
    # faster for prompts of a full-size model on a CPU.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    atexit.register(quick_end)
    with quick_imports():
        import typer

        from sam3i_agent.cli.app import app
        from sam3i_agent.cli.options import FAILURE, USAGE_ERROR
        from sam3i_agent.cli.renamed import new_name
        from sam3i_agent.core.errors import InputError, Sam3iError

    try:
        if (name := new_name(sys.argv[1:])) is not None:
            raise InputError(f"`sam3i {sys.argv[1]}` is now `sam3i {name}`")
        app()
    except Sam3iError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(USAGE_ERROR if isinstance(error, InputError) else FAILURE) from error
