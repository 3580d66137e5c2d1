"""What stands before every message: whose it is, whether the token allows it, and the limits."""

import time
from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from sam3i_agent.core.errors import InputError, TryAgainError
from sam3i_agent.core.stopping import until
from sam3i_agent.tools.mcp.refusals import refuse_call, refuse_read
from sam3i_agent.tools.serving.access.limits import Limiter
from sam3i_agent.tools.serving.access.tokens import COMPUTE_SCOPE
from sam3i_agent.tools.serving.calls import TOOL_CALL
from sam3i_agent.tools.users import EVERYBODY, acting_for, owner_of

_READ = "resources/read"
READING_TOOLS = frozenset({"view", "edit", "measure", "describe_capabilities"})
"""That only look at what was found before; all others ask the model."""


class Gate:
    """Lets messages through for their owner; its `middleware` sees them.

    Args:
        limiter: of what users may ask; None sets no limits.
        call_seconds: that a call may take.
    """

    def __init__(self, limiter: Limiter | None, call_seconds: float) -> None:
        self._limiter = limiter
        self._call_seconds = call_seconds

    async def middleware(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Answer a message for whoever sent it."""
        token = get_access_token()
        owner = EVERYBODY
        if token is not None and token.subject is not None:
            owner = owner_of(str((token.claims or {}).get("iss", "")), token.subject)
        with acting_for(owner):
            if ctx.method not in (TOOL_CALL, _READ):
                return await call_next(ctx)
            refuse = refuse_call if ctx.method == TOOL_CALL else refuse_read
            tool = str((ctx.params or {}).get("name", ""))
            asks_model = ctx.method == TOOL_CALL and tool not in READING_TOOLS
            if token is not None and asks_model and COMPUTE_SCOPE not in token.scopes:
                return refuse(
                    InputError(f"{tool} needs the scope {COMPUTE_SCOPE}", "ask for such a token")
                )
            if self._limiter is None:
                return await self._in_time(ctx, call_next)
            try:
                call = await self._limiter.begin(owner)
            except TryAgainError as error:
                return refuse(error)
            try:
                return await self._in_time(ctx, call_next)
            finally:
                await self._limiter.end(owner, call)

    async def _in_time(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Answer within the time of a call; what computes looks at that by itself."""
        with until(time.time() + self._call_seconds):
            return await call_next(ctx)
