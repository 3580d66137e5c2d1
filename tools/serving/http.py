"""The MCP server over streamable HTTP: loopback by default, a bearer token anywhere else."""

import ipaddress
import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from sam3i_agent.agent.telemetry import REQUEST_ID_HEADER
from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.mcp.server import ServerOptions, build_server
from sam3i_agent.tools.serving.access.access import Access
from sam3i_agent.tools.serving.access.gate import Gate
from sam3i_agent.tools.serving.addresses import PATH, TOKEN_VARIABLE
from sam3i_agent.tools.serving.calls import Calls
from sam3i_agent.tools.serving.health import Health, dependencies_of, run_database
from sam3i_agent.tools.serving.late_answers import LateAnswers
from sam3i_agent.tools.serving.probes import DRAIN_S, DrainingServer, add_probes
from sam3i_agent.tools.serving.settings import ServeSettings
from sam3i_agent.tools.serving.tracing import IncomingCalls
from sam3i_agent.tools.toolbox import Toolbox

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A picture of 48 MB as base64."""
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?|https?://\[[0-9a-fA-F:]+\](:\d+)?")


def parse_address(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`.

    Raises:
        InputError: it is not of that form, or the port is out of range.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise InputError(f"--http takes HOST:PORT, not {text!r}", "for example 127.0.0.1:8765")
    return host, int(port)


def serve_http(toolbox: Toolbox, settings: ServeSettings, access: Access) -> None:
    """Serve until stopped; calls under way are finished first.

    `/healthz` says that the process lives, `/readyz` whether calls can be answered, `/health` how
    each thing is that it depends on, `/metrics` what it has done (with the extra `serve`; with the
    token, where one is set).

    Args:
        toolbox: the tools.
        settings: among them the address to listen on.
        access: who may call; an address but loopback must not be open to everybody.

    What joins a cluster opens its address when it has reached the model: a proxy sends calls as
    soon as it can.

    Raises:
        InputError: the address needs a token or an issuer, or is taken.
        ModelError: there is no model to join.
    """
    host, port = settings.host, settings.port
    check_access(host, access)
    if settings.join:
        with ThreadPoolExecutor(1) as aside:  # where Ray leaves signals alone
            aside.submit(toolbox.service.segmenter).result()
    calls = Calls()
    config = server_config(protected_app(toolbox, settings, access, calls))
    DrainingServer(config, calls, toolbox.service).run(sockets=[listen(host, port)])


def check_access(host: str, access: Access) -> None:
    """Refuse to be open to other machines.

    Raises:
        InputError: the address needs a token or an issuer.
    """
    if access.is_open and not _is_loopback(host):
        raise InputError(
            f"{host} can be reached from other machines, so clients must show a token",
            f"set {TOKEN_VARIABLE}, say --auth-issuer, or serve on 127.0.0.1",
        )


def protected_app(
    toolbox: Toolbox,
    settings: ServeSettings,
    access: Access,
    calls: Calls,
    *,
    stateless: bool = False,
) -> Starlette:
    """Return the ASGI application with all that stands around the tools; see `serve_http`.

    Args:
        toolbox: the tools.
        settings: of the server.
        access: who may call.
        calls: under way, counted here.
        stateless: keep no sessions, so that every request may go to another process; so does what
            joins a cluster, where a proxy stands before it and others like it.
    """
    host, port = settings.host, settings.port
    address = f"http://{_bracketed(host)}:{port}{PATH}"
    options = ServerOptions(settings.max_picture_kb, settings.tools, settings.playground)
    server = build_server(toolbox, options, **access.options_of(address))
    health = Health([*dependencies_of(toolbox), *access.dependencies(), *run_database()])
    add_probes(server, toolbox.service, calls, access, health, on_ray=stateless)
    server.middleware.append(Gate(toolbox.limiter, settings.call_seconds).middleware)
    app = http_app(
        server,
        host,
        port,
        settings.allow_hosts,
        settings.allow_origins,
        stateless=stateless or settings.join,
    )
    app.router.routes[:0] = access.routes_of(address)
    app.add_middleware(IncomingCalls, answers=not stateless)  # stateless is behind Ray's proxy
    if settings.join:
        app.add_middleware(LateAnswers)
    return app


def http_app(
    server: MCPServer[Any],
    host: str,
    port: int,
    names: Sequence[str] = (),
    origins: Sequence[str] = (),
    *,
    stateless: bool = False,
) -> Starlette:
    """Return the ASGI application of a server that is reached at these addresses only.

    Args:
        server: to serve.
        host: address that it listens on.
        port: likewise.
        names: further `HOST:PORT` of it.
        origins: of web pages that may call it, each as https://HOST or http://HOST:PORT.
        stateless: keep no sessions.

    Raises:
        InputError: an origin is none.
    """
    for one in origins:
        if not _ORIGIN.fullmatch(one):
            raise InputError(f"{one!r} is no origin", "for example https://chat.example.com")
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=MAX_BODY_BYTES,
        stateless_http=stateless,
        transport_security=_security(host, port, names, origins),
        host=host,
    )
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=[MCP_SESSION_ID_HEADER, REQUEST_ID_HEADER],
        )
    return app


def server_config(app: Starlette) -> uvicorn.Config:
    """Return how an application is served.

    By h11, also where httptools is installed: that one leaves white space in header values, which
    the protocol wants trimmed.
    """
    return uvicorn.Config(
        app,
        http="h11",
        log_config=None,  # its lines look like ours
        log_level="warning",
        timeout_graceful_shutdown=DRAIN_S,
    )


def listen(host: str, port: int) -> socket.socket:
    """Open the address.

    Raises:
        InputError: it is taken or not ours.
    """
    try:
        return socket.create_server((host, port), family=_family(host))
    except OSError as error:
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _security(
    host: str, port: int, more: Sequence[str], pages: Sequence[str]
) -> TransportSecuritySettings:
    """Only requests to these very addresses, and from pages of them: no DNS rebinding."""
    names = {_bracketed(host)} | ({"localhost", "127.0.0.1"} if _is_loopback(host) else set())
    hosts = [*(f"{name}:{port}" for name in sorted(names)), *more]
    origins = [f"http://{one}" for one in hosts] + [f"https://{one}" for one in more]
    origins += pages
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
