"""The MCP server, put together: each tool is a module beside this one.

Standard output belongs to the protocol; logs go to standard error.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import MCPServer
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import RequestStateSecurity

from sam3i_agent.tools.mcp.calls.describe_capabilities import describe_capabilities_tool
from sam3i_agent.tools.mcp.calls.measure import measure_tool
from sam3i_agent.tools.mcp.calls.refine import refine_tool
from sam3i_agent.tools.mcp.calls.segment import segment_tool
from sam3i_agent.tools.mcp.calls.segment_concepts import segment_concepts_tool
from sam3i_agent.tools.mcp.calls.track import track_tool
from sam3i_agent.tools.mcp.client_log import ClientLog
from sam3i_agent.tools.mcp.resources import add_resources
from sam3i_agent.tools.toolbox import Toolbox

logger = logging.getLogger(__name__)


def build_server(
    toolbox: Toolbox,
    *,
    auth: AuthSettings | None = None,
    token_verifier: TokenVerifier | None = None,
    request_state_security: RequestStateSecurity | None = None,
) -> MCPServer[Any]:
    """Return a server over `toolbox`, whose model begins to load when the server starts.

    Args:
        toolbox: the tools.
        auth: settings of HTTP authorisation, together with
        token_verifier: which tells good tokens from bad ones.
        request_state_security: seals what a client carries between the rounds of a call; None
            takes a key of this process.
    """

    @asynccontextmanager
    async def lifespan(server: MCPServer[Any]) -> AsyncIterator[None]:
        # Clients may list tools meanwhile; a call waits for the model.
        loading = asyncio.create_task(asyncio.to_thread(toolbox.service.segmenter))
        loading.add_done_callback(_log_failure)
        yield
        loading.cancel()

    log = ClientLog()
    server: MCPServer[Any] = MCPServer(
        name="sam3i",
        title="Segment by instruction",
        instructions="Use `segment` to find and outline objects in a picture by a sentence, "
        "`segment_concepts` for several kinds of things at once, `measure` for sizes and counts.",
        tools=[
            segment_tool(toolbox, log),
            segment_concepts_tool(toolbox),
            refine_tool(toolbox),
            track_tool(toolbox),
            measure_tool(toolbox),
            describe_capabilities_tool(toolbox),
        ],
        lifespan=lifespan,
        log_level="WARNING",
        auth=auth,
        token_verifier=token_verifier,
        request_state_security=request_state_security,
    )
    log.offer(server)
    add_resources(server, toolbox)
    return server


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("the model cannot be loaded: %s", task.exception())
