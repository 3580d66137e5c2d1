"""Commands that serve the tools to other programs."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.app import app
from sam3i_agent.cli.options import (
    DeviceOption,
    MllmModelOption,
    MllmUrlOption,
    ModelOption,
    RootOption,
    TilingOption,
    VerboseOption,
    log_to_stderr,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import Tiling

mcp_app = typer.Typer(help="MCP clients.", no_args_is_help=True)
app.add_typer(mcp_app, name="mcp")
tools_app = typer.Typer(help="The tools, for other protocols.", no_args_is_help=True)
app.add_typer(tools_app, name="tools")


@app.command()
def serve(
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve streamable HTTP there, not stdio."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST[:PORT]", help="A further name under which clients reach it."),
    ] = None,
    root: RootOption = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch pictures from public https URLs.")
    ] = False,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    tiling: TilingOption = Tiling.AUTO,
    mllm_url: MllmUrlOption = None,
    mllm_model: MllmModelOption = None,
    client_model: Annotated[
        bool,
        typer.Option(
            "--client-model",
            help="Let the agent ask the model of the client that calls (sampling).",
        ),
    ] = False,
    replicas: Annotated[
        int | None,
        typer.Option(help="Copies of the model, run by Ray Serve (extra serve).", min=1),
    ] = None,
    max_replicas: Annotated[
        int | None, typer.Option(help="Copies under load, at most.", min=1)
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve the tools over MCP, on standard input and output or over HTTP."""
    log_to_stderr(verbose)
    if max_replicas is not None and replicas is None:
        raise InputError("--max-replicas goes with --replicas")
    from sam3i_agent.cli.toolbox import build_toolbox, service_of

    address = None
    if http is not None:
        from sam3i_agent.tools.serving.http import parse_address

        address = parse_address(http)
        root = root or [Path.cwd()]
    toolbox = build_toolbox(
        root or [], allow_urls, service_of(model, device, tiling, replicas, max_replicas),
        mllm_url, mllm_model, client_model,
    )  # fmt: skip
    if address is not None:
        from sam3i_agent.tools.serving.http import serve_http

        serve_http(toolbox, *address, allow_host or ())
    else:
        from sam3i_agent.tools.mcp.server import build_server

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
    from sam3i_agent.tools.mcp.clients import find_client, merge, snippet

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
    from sam3i_agent.cli.toolbox import build_toolbox, service_of
    from sam3i_agent.tools.mcp.openai_schema import function_schemas
    from sam3i_agent.tools.mcp.server import build_server

    server = build_server(build_toolbox([], False, service_of("tiny", "auto"), None, None))
    typer.echo(json.dumps(asyncio.run(function_schemas(server)), indent=2))
