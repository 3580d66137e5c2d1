"""`sam3i mcp`: the programs that start the server, their configuration, and its faults."""

from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.options import FAILURE, RootOption

mcp_app = typer.Typer(help="MCP clients.", no_args_is_help=True)

ClientArgument = Annotated[
    str,
    typer.Argument(
        help="claude-desktop, claude-code, cline, codex, cursor, gemini-cli, goose, lm-studio, "
        "vscode, windsurf, zed."
    ),
]
FileOption = Annotated[
    Path | None, typer.Option(help="The client's file, where it is not the usual one.")
]


@mcp_app.command("config")
def mcp_config(
    client: ClientArgument,
    root: RootOption = None,
    write: Annotated[
        bool, typer.Option("--write", help="Merge it into the client's file, with a backup.")
    ] = False,
    file: FileOption = None,
) -> None:
    """Print, or write, what an MCP client needs to start this server."""
    from sam3i_agent.tools.mcp.hosts.clients import find_client, merge, snippet

    known = find_client(client)
    if not write:
        typer.echo(snippet(known, _arguments(root)))
        return
    path = file or known.path()
    backup = merge(known, path, _arguments(root))
    typer.echo(f"written to {path}" + (f"; the old file is {backup}" if backup else ""))


@mcp_app.command("link")
def mcp_link(
    client: Annotated[str, typer.Argument(help="cursor, goose, lm-studio, vscode.")],
    root: RootOption = None,
) -> None:
    """Print a link that adds this server to a client when it is opened."""
    from sam3i_agent.tools.mcp.hosts.links import install_link

    typer.echo(install_link(client, _arguments(root)))


@mcp_app.command("bundle")
def mcp_bundle(
    out: Annotated[Path, typer.Argument(metavar="FILE.mcpb", help="The bundle to write.")],
    wheel: Annotated[
        Path | None,
        typer.Option(help="This version's wheel, to carry along; else the host fetches it."),
    ] = None,
) -> None:
    """Write a bundle that hosts install by a click."""
    from sam3i_agent.tools.mcp.hosts.bundle import write_bundle

    write_bundle(out, wheel)
    typer.echo(f"written to {out}")


@mcp_app.command("doctor")
def mcp_doctor(client: ClientArgument, file: FileOption = None) -> None:
    """Start the server as a client's entry says, and tell what is wrong with it."""
    import asyncio

    from sam3i_agent.tools.mcp.hosts.clients import find_client
    from sam3i_agent.tools.mcp.hosts.doctor import examine

    known = find_client(client)
    findings = asyncio.run(examine(known, file or known.path()))
    for one in findings:
        typer.echo(f"{'well' if one.is_well else 'WRONG'}: {one.text}")
    if not all(one.is_well for one in findings):
        raise typer.Exit(FAILURE)


def _arguments(root: list[Path] | None) -> list[str]:
    return [part for one in root or () for part in ("--root", str(one.resolve()))]
