"""Log messages to the client: for the older protocols, and for clients of the new one that opt in.

The protocol gives logging up in 2027. The SDK has no public way left to offer it, hence the two
private names.
"""
# pyright: reportPrivateUsage=false

import warnings
from typing import Any, get_args
from weakref import WeakKeyDictionary

from mcp.server import MCPServer
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import EmptyResult, LoggingLevel, SetLevelRequestParams

from sam3i_agent.core.contracts import SegmentationResult

_LEVELS: tuple[LoggingLevel, ...] = get_args(LoggingLevel)
"""The least grave first."""
_LOGGER = "sam3i"


def has_client(ctx: Context[Any, Any]) -> bool:
    """Whether a protocol's request stands behind the call."""
    try:
        ctx.request_context  # noqa: B018 (raises where there is none)
    except ValueError:
        return False
    return True


class ClientLog:
    """Sends what a client wants to hear."""

    def __init__(self) -> None:
        self._least: WeakKeyDictionary[Connection, LoggingLevel] = WeakKeyDictionary()

    def offer(self, server: MCPServer[Any]) -> None:
        """Let the server take `logging/setLevel`."""
        server._lowlevel_server.add_request_handler(
            "logging/setLevel", SetLevelRequestParams, self._set_level
        )

    async def _set_level(
        self, ctx: ServerRequestContext[Any, Any], params: SetLevelRequestParams
    ) -> EmptyResult:
        self._least[ctx.session._connection] = params.level
        return EmptyResult()

    async def tell(self, ctx: Context[Any, Any], result: SegmentationResult) -> None:
        """Log a result's warnings and what it took."""
        if not has_client(ctx):
            return
        for warning in result.warnings:
            await self.send(ctx, "warning", warning)
        await self.send(ctx, "info", f"{result.count} instances in {result.usage.seconds:.2f} s")

    async def send(self, ctx: Context[Any, Any], level: LoggingLevel, line: str) -> None:
        """Send one line, unless the client has asked for graver ones only."""
        least = self._least.get(ctx.session._connection, _LEVELS[0])
        if _LEVELS.index(level) < _LEVELS.index(least):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            sending = ctx.session.send_log_message(
                level, line, logger=_LOGGER, related_request_id=ctx.request_id
            )
        await sending
