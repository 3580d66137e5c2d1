"""Refusals that a program understands, too."""

from typing import Any, NoReturn

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, TextContent

from sam3i_agent.core.errors import Sam3iError, TryAgainError

TRY_AGAIN = "try_again"
TRY_AGAIN_CODE = -32029
"""Of a read that may work later."""


def refuse_call(error: Sam3iError) -> CallToolResult:
    """Return a failed call in words; where trying again helps, as data too."""
    return CallToolResult(
        content=[TextContent(text=str(error))],
        structured_content=_data_of(error),
        is_error=True,
    )


def refuse_read(error: Sam3iError) -> NoReturn:
    """Fail a read of a resource.

    Raises:
        MCPError: always.
    """
    data = _data_of(error)
    code = INVALID_PARAMS if data is None else TRY_AGAIN_CODE
    raise MCPError(code, str(error), data) from error


def expected_in(error: BaseException | None) -> Sam3iError | None:
    """Return the expected failure that an exception was made of, if there is one."""
    while error is not None and not isinstance(error, Sam3iError):
        error = error.__cause__
    return error


def _data_of(error: Sam3iError) -> dict[str, Any] | None:
    if not isinstance(error, TryAgainError):
        return None
    return {"error": TRY_AGAIN, "retry_after_s": error.retry_after_s, "message": error.message}
