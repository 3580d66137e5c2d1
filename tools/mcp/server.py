"""The MCP server, put together: each tool is a module beside this one.

Standard output belongs to the protocol; logs go to standard error.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from mcp.server import MCPServer
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import RequestStateSecurity
from mcp.server.mcpserver.tools import Tool

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.mcp.answers import AnswerStyle
from sam3i_agent.tools.mcp.browsing import (
    DISTRIBUTION,
    BrowsableServer,
    add_prompts,
    icon,
    website,
)
from sam3i_agent.tools.mcp.call_ids import name_calls
from sam3i_agent.tools.mcp.calls.describe_capabilities import describe_capabilities_tool
from sam3i_agent.tools.mcp.calls.edit import edit_tool
from sam3i_agent.tools.mcp.calls.measure import measure_tool
from sam3i_agent.tools.mcp.calls.refine import refine_tool
from sam3i_agent.tools.mcp.calls.segment import segment_tool
from sam3i_agent.tools.mcp.calls.segment_concepts import segment_concepts_tool
from sam3i_agent.tools.mcp.calls.track import track_tool
from sam3i_agent.tools.mcp.calls.view import view_tool
from sam3i_agent.tools.mcp.client_log import ClientLog
from sam3i_agent.tools.mcp.resources import add_resources
from sam3i_agent.tools.mcp.view.extension import add_view_data, view_extension
from sam3i_agent.tools.results.limits import DEFAULT_PICTURE_KB, MAX_PICTURE_KB, MIN_PICTURE_KB
from sam3i_agent.tools.serving.playground import add_playground
from sam3i_agent.tools.toolbox import Toolbox

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerOptions:
    """What a server offers."""

    picture_kb: int = DEFAULT_PICTURE_KB
    """Of a picture in an answer, in base64, at most; 1,000 bytes each."""
    tools: tuple[str, ...] = ()
    """Names of those to offer; none means all."""
    playground: bool = False
    """Show the view over HTTP at `/`."""


DEFAULT_OPTIONS = ServerOptions()


def build_server(
    toolbox: Toolbox,
    options: ServerOptions = DEFAULT_OPTIONS,
    *,
    auth: AuthSettings | None = None,
    token_verifier: TokenVerifier | None = None,
    request_state_security: RequestStateSecurity | None = None,
) -> MCPServer[Any]:
    """Return a server over `toolbox`, whose model begins to load when the server starts.

    Args:
        toolbox: the tools.
        options: what of them to offer, and how they answer.
        auth: settings of HTTP authorisation, together with
        token_verifier: which tells good tokens from bad ones.
        request_state_security: seals what a client carries between the rounds of a call; None
            takes a key of this process.

    Raises:
        InputError: a tool is not known, or the pictures' size is out of range.
    """

    @asynccontextmanager
    async def lifespan(server: MCPServer[Any]) -> AsyncIterator[None]:
        # Clients may list tools meanwhile; a call waits for the model.
        loading = asyncio.create_task(asyncio.to_thread(toolbox.service.segmenter))
        loading.add_done_callback(_log_failure)
        yield
        loading.cancel()

    log = ClientLog()
    offered = _offered(toolbox, log, options)
    server = BrowsableServer(
        toolbox.results,
        name="sam3i",
        version=version(DISTRIBUTION),
        icons=[icon()],
        website_url=website(),
        title="Segment by instruction",
        instructions="segment finds and outlines objects in a picture by a sentence, "
        "segment_concepts several kinds of things at once. Their answers hold a result_id, for "
        "view, refine, measure and edit.",
        tools=offered,
        extensions=[view_extension()],
        lifespan=lifespan,
        log_level="WARNING",
        auth=auth,
        token_verifier=token_verifier,
        request_state_security=request_state_security,
    )
    server.middleware.append(name_calls)
    log.offer(server)
    add_resources(server, toolbox)
    add_view_data(server, toolbox)
    if options.playground:
        add_playground(server)
    add_prompts(server)
    return server


def _offered(toolbox: Toolbox, log: ClientLog, options: ServerOptions) -> list[Tool]:
    """Return the tools that are asked for."""
    kb, names = options.picture_kb, options.tools
    if not MIN_PICTURE_KB <= kb <= MAX_PICTURE_KB:
        raise InputError(f"a picture has {MIN_PICTURE_KB} to {MAX_PICTURE_KB} kB, not {kb}")
    style = AnswerStyle(kb, names) if names else AnswerStyle(kb)
    tools = [
        segment_tool(toolbox, style, log),
        segment_concepts_tool(toolbox, style),
        refine_tool(toolbox, style),
        view_tool(toolbox, style),
        edit_tool(toolbox, style),
        measure_tool(toolbox),
        track_tool(toolbox),
        describe_capabilities_tool(toolbox),
    ]
    known = [one.name for one in tools]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"there is no tool {unknown[0]!r}", f"the tools are {', '.join(known)}")
    return [one for one in tools if not names or one.name in names]


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("the model cannot be loaded: %s", task.exception())
