"""The tool calls of a server that are under way."""

from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

TOOL_CALL = "tools/call"
"""The protocol's name for what takes time."""


class Calls:
    """Counts the tool calls under way; its `middleware` sees them."""

    def __init__(self) -> None:
        self.running = 0
        self.draining = False

    async def middleware(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Count a message if it is a tool call."""
        if ctx.method != TOOL_CALL:
            return await call_next(ctx)
        self.running += 1
        try:
            return await call_next(ctx)
        finally:
            self.running -= 1
