"""`sam3i serve`: the tools over MCP."""

from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.cli.language import with_language
from sam3i_agent.cli.options import (
    DeviceOption,
    ModelOption,
    RootOption,
    TilingOption,
    VerboseOption,
    log_to_stderr,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.core.storage.blobs import STORE_VARIABLE
from sam3i_agent.tools.results.limits import DEFAULT_PICTURE_KB


@with_language
def serve(
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve streamable HTTP there, not stdio."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST[:PORT]", help="A further name under which clients reach it."),
    ] = None,
    playground: Annotated[
        bool, typer.Option("--playground", help="Show the view to browsers, at http://HOST:PORT/.")
    ] = False,
    root: RootOption = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch pictures from public https URLs.")
    ] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A web page's origin that may call it over HTTP."),
    ] = None,
    tools: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Offer these only, such as segment,refine.")
    ] = None,
    max_picture_kb: Annotated[
        int, typer.Option(help="Of a picture in an answer, in base64; 1,000 bytes each.")
    ] = DEFAULT_PICTURE_KB,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    tiling: TilingOption = Tiling.AUTO,
    language: LanguageChoice | None = None,
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
    store: Annotated[
        str,
        typer.Option(
            metavar="URL",
            envvar=STORE_VARIABLE,
            help="Where results are kept: memory:, a folder, s3://BUCKET/PREFIX (extra store).",
        ),
    ] = "memory:",
    store_hours: Annotated[float, typer.Option(help="That a store keeps a result.", min=0.01)] = 24,
    store_gb: Annotated[
        float, typer.Option(help="Of all results in a store; then the oldest go.", min=0.01)
    ] = 20,
    verbose: VerboseOption = False,
) -> None:
    """Serve the tools over MCP, on standard input and output or over HTTP."""
    log_to_stderr(verbose)
    if max_replicas is not None and replicas is None:
        raise InputError("--max-replicas goes with --replicas")
    if playground and http is None:
        raise InputError("--playground goes with --http", "for example --http 127.0.0.1:8765")
    from sam3i_agent.cli.toolbox import build_toolbox, files_in, service_of

    address = None
    if http is not None:
        from sam3i_agent.tools.serving.http import parse_address

        address = parse_address(http)
        root = root or [Path.cwd()]
    service = service_of(ModelChoice(model, device, tiling), replicas, max_replicas)
    files = files_in(store, store_hours, store_gb)
    toolbox = build_toolbox(root or [], allow_urls, service, language, client_model, files)
    from sam3i_agent.tools.mcp.server import ServerOptions, build_server

    names = tuple(part.strip() for part in tools.split(",")) if tools else ()
    options = ServerOptions(max_picture_kb, names, tuple(allow_origin or ()), playground)
    if address is not None:
        from sam3i_agent.tools.serving.http import serve_http

        serve_http(toolbox, *address, allow_host or (), options)
    else:
        build_server(toolbox, options).run("stdio")
