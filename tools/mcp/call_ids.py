"""An id for every call, given or made here: in its logs, its answer and its errors."""

import logging
import time
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel

from sam3i_agent.agent.telemetry import REQUEST_ID_HEADER, chosen_id, identified_by
from sam3i_agent.tools.serving.addresses import REQUEST_ID_KEY

logger = logging.getLogger(__name__)

_CALLS = {"tools/call": "name", "resources/read": "uri"}
"""Methods, and the parameter that says what of."""
_TRACEPARENT = "traceparent"
_SHOWN_CHARACTERS = 100


async def name_calls(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Answer a message under an id; a middleware, the outermost."""
    if ctx.request_id is None or ctx.method not in _CALLS:
        return await call_next(ctx)
    headers = {} if ctx.request is None else ctx.request.headers  # none over stdio
    traceparent = (ctx.meta or {}).get(_TRACEPARENT) or headers.get(_TRACEPARENT)
    id_ = chosen_id(headers.get(REQUEST_ID_HEADER), traceparent)
    what = str((ctx.params or {}).get(_CALLS[ctx.method], ""))[:_SHOWN_CHARACTERS]
    started, outcome = time.perf_counter(), "error"
    with identified_by(id_):
        try:
            result = _with_id(await call_next(ctx), id_)
            outcome = "refused" if result.get("isError") else "ok"
            return result
        except MCPError as error:
            raise _named(error, id_) from error
        finally:
            seconds = round(time.perf_counter() - started, 4)
            said = {"method": ctx.method, "of": what, "outcome": outcome, "seconds": seconds}
            logger.info("%s %s: %s in %.3f s", *said.values(), extra=said)


def _with_id(result: HandlerResult, id_: str) -> dict[str, Any]:
    """Return a result as it is sent, with the id; also in the data of a refusal."""
    if isinstance(result, BaseModel):
        result = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    sent = dict(result or {})
    sent["_meta"] = {**(sent.get("_meta") or {}), REQUEST_ID_KEY: id_}
    if sent.get("isError") and isinstance(data := sent.get("structuredContent"), dict):
        sent["structuredContent"] = {**data, "request_id": id_}
    return sent


def _named(error: MCPError, id_: str) -> MCPError:
    """Return an error whose data have the id, unless they are no mapping."""
    code, message, data = error.error.code, error.error.message, error.error.data
    if data is not None and not isinstance(data, dict):
        return error
    return MCPError(code, message, {**(data or {}), "request_id": id_})
