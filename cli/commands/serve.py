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
from sam3i_agent.core.storage.blobs import MEMORY, STORE_VARIABLE
from sam3i_agent.tools.results.limits import DEFAULT_PICTURE_KB
from sam3i_agent.tools.serving.logs import LogFormat


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
    join: Annotated[
        bool,
        typer.Option("--join", help="Use the replicas on the cluster that RAY_ADDRESS names."),
    ] = False,
    front_ends: Annotated[
        int | None,
        typer.Option(help="Processes of the tools, run by Ray Serve beside --replicas.", min=1),
    ] = None,
    call_seconds: Annotated[
        float, typer.Option(help="After which a call over HTTP is given up.", min=1)
    ] = 900,
    store: Annotated[
        str,
        typer.Option(
            metavar="URL",
            envvar=STORE_VARIABLE,
            help="Where results are kept: memory:, a folder, s3://BUCKET/PREFIX (extra store).",
        ),
    ] = MEMORY,
    store_hours: Annotated[float, typer.Option(help="That a store keeps a result.", min=0.01)] = 24,
    store_gb: Annotated[
        float, typer.Option(help="Of all results in a store; then the oldest go.", min=0.01)
    ] = 20,
    auth_issuer: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Tell users apart by the tokens of this OAuth issuer."),
    ] = None,
    auth_audience: Annotated[
        str | None,
        typer.Option(metavar="URL", help="That its tokens must be for: where clients reach it."),
    ] = None,
    calls_per_minute: Annotated[
        int | None, typer.Option(help="Of each user, at most.", min=1)
    ] = None,
    concurrent_calls: Annotated[
        int | None, typer.Option(help="Of each user at a time, at most.", min=1)
    ] = None,
    megapixels_per_minute: Annotated[
        float | None, typer.Option(help="That each user may ask about.", min=0.01)
    ] = None,
    user_gb: Annotated[
        float | None, typer.Option(help="That a store keeps for each user, at most.", min=0.001)
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="Of the log on standard error; json has a line per call.")
    ] = LogFormat.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """Serve the tools over MCP, on standard input and output or over HTTP."""
    log_to_stderr(verbose)
    if max_replicas is not None and replicas is None:
        raise InputError("--max-replicas goes with --replicas")
    if playground and http is None:
        raise InputError("--playground goes with --http", "for example --http 127.0.0.1:8765")
    if http is None and (auth_issuer or auth_audience):
        raise InputError("--auth-issuer goes with --http")
    if front_ends is not None and (http is None or replicas is None):
        raise InputError("--front-ends goes with --http and --replicas")
    if join and replicas is not None:
        raise InputError("--join uses replicas that run already", "leave --replicas out")
    from sam3i_agent.tools.serving.access.limits import LocalLimiter, UserLimits
    from sam3i_agent.tools.serving.settings import ServeSettings

    host, port = "127.0.0.1", 0
    if http is not None:
        from sam3i_agent.tools.serving.http import parse_address

        host, port = parse_address(http)
        root = root or [Path.cwd()]
    settings = ServeSettings(
        model=ModelChoice(model, device, tiling),
        language=language,
        client_model=client_model,
        roots=tuple(root or ()),
        allow_urls=allow_urls,
        host=host,
        port=port,
        allow_hosts=tuple(allow_host or ()),
        allow_origins=tuple(allow_origin or ()),
        tools=tuple(part.strip() for part in tools.split(",")) if tools else (),
        max_picture_kb=max_picture_kb,
        playground=playground,
        store=store,
        store_hours=store_hours,
        store_gb=store_gb,
        user_gb=user_gb,
        auth_issuer=auth_issuer,
        auth_audience=auth_audience,
        limits=UserLimits(calls_per_minute, concurrent_calls, megapixels_per_minute),
        call_seconds=call_seconds,
        replicas=replicas,
        max_replicas=max_replicas,
        join=join,
        front_ends=front_ends,
        log_format=log_format,
        verbose=verbose,
    )
    settings.watch("server")
    if front_ends is not None:
        from sam3i_agent.tools.serving.cluster.front_end import serve_front_ends

        serve_front_ends(settings)
        return
    from sam3i_agent.tools.mcp.server import ServerOptions, build_server
    from sam3i_agent.tools.serving.building import build_toolbox, service_of

    limiter = LocalLimiter(settings.limits) if settings.limits.any else None
    toolbox = build_toolbox(settings, service_of(settings), limiter)
    if http is not None:
        from sam3i_agent.tools.serving.access.access import Access
        from sam3i_agent.tools.serving.http import serve_http

        access = Access.from_environment(auth_issuer, auth_audience)
        serve_http(toolbox, settings, access)
    else:
        build_server(toolbox, ServerOptions(max_picture_kb, settings.tools)).run("stdio")
