"""`sam3i mcp`: the configuration of MCP clients."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.options import RootOption

mcp_app = typer.Typer(help="MCP clients.", no_args_is_help=True)


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
    from sam3i_agent.tools.mcp.hosts.clients import find_client, merge, snippet

    known = find_client(client)
    arguments = [part for one in root or () for part in ("--root", str(one.resolve()))]
    if not write:
        typer.echo(json.dumps(snippet(known, arguments), indent=2))
        return
    path = file or known.path()
    backup = merge(known, path, arguments)
    typer.echo(f"written to {path}" + (f"; the old file is {backup}" if backup else ""))
