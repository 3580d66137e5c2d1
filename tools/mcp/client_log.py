"""Log messages to the client: for the older protocols, and for clients of the new one that opt in.

The protocol gives logging up in 2027, and the SDK has no handler for it left: a middleware answers.
"""

import warnings
from collections import OrderedDict
from typing import Any, get_args

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import InitializeRequestParams, LoggingLevel, SetLevelRequestParams
from mcp_types.version import is_version_at_least

from sam3i_agent.core.contracts import SegmentationResult

_LEVELS: tuple[LoggingLevel, ...] = get_args(LoggingLevel)
"""The least grave first."""
_LOGGER = "sam3i"
_SET_LEVEL = "logging/setLevel"
_HANDSHAKES = ("initialize", "server/discover")
_STATELESS_SINCE = "2026-07-28"
"""From this protocol on, each request says for itself what it wants to hear."""
_CONNECTIONS = 10_000
"""Whose level is remembered, at most."""


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
        self._least: OrderedDict[int, tuple[InitializeRequestParams, LoggingLevel]] = OrderedDict()
        """By the identity of what a client said of itself, which lives as long as a connection."""

    def offer(self, server: MCPServer[Any]) -> None:
        """Let the server promise logging, and take `logging/setLevel`."""
        server.middleware.append(self._middleware)

    async def _middleware(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        older = not is_version_at_least(ctx.protocol_version, _STATELESS_SINCE)
        if ctx.method == _SET_LEVEL and older:
            level = SetLevelRequestParams.model_validate(ctx.params or {}).level
            client = ctx.session.client_params
            if client is not None:  # without sessions nobody is known to come again
                self._least[id(client)] = client, level
            while len(self._least) > _CONNECTIONS:
                self._least.popitem(last=False)
            return {}
        result = await call_next(ctx)
        if ctx.method in _HANDSHAKES and isinstance(result, dict):
            result["capabilities"]["logging"] = {}
        return result

    async def tell(self, ctx: Context[Any, Any], result: SegmentationResult) -> None:
        """Log a result's warnings and what it took."""
        if not has_client(ctx):
            return
        for warning in result.warnings:
            await self.send(ctx, "warning", warning)
        await self.send(ctx, "info", f"{result.count} instances in {result.usage.seconds:.2f} s")

    async def send(self, ctx: Context[Any, Any], level: LoggingLevel, line: str) -> None:
        """Send one line, unless the client has asked for graver ones only."""
        _, least = self._least.get(id(ctx.session.client_params), (None, _LEVELS[0]))
        if _LEVELS.index(level) < _LEVELS.index(least):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            sending = ctx.session.send_log_message(
                level, line, logger=_LOGGER, related_request_id=ctx.request_id
            )
        await sending
