"""What every tool of the server has: a strict list of arguments, and errors in words."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import ValidationError

from sam3i_agent.core.errors import Sam3iError
from sam3i_agent.tools.mcp.schemas import compact, outline

_SHOWN_NAMES = 5
"""Of unknown arguments: a caller's text is not sent back at any length."""
_SHOWN_CHARACTERS = 60
"""Of each."""


class StrictTool(Tool):
    """A tool that says in one line what is wrong with its arguments.

    It names those that it does not know, where the SDK ignores them in silence, and those that it
    knows.
    """

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:
        """Run the tool.

        Raises:
            ToolError: an argument is unknown, missing or wrong, or as the tool itself.
        """
        known = list(self.parameters.get("properties", {}))
        if unknown := [name for name in arguments if name not in known]:
            raise ToolError(_unknown(self.name, unknown, known))
        try:
            self.fn_metadata.validate_arguments(arguments)
        except ValidationError as error:
            raise ToolError(_wrong(self.name, error, known)) from error
        try:
            return await super().run(arguments, context, convert_result)
        except UnexpectedToolError:
            raise
        except ToolError as error:
            # The SDK puts words of its own before a message that is whole.
            raise ToolError(str(error.__cause__ or error)) from error


def make_tool(
    function: Callable[..., Any],
    title: str,
    *,
    open_world: bool = False,
    meta: dict[str, Any] | None = None,
) -> Tool:
    """Return a tool named after a function, described by its docstring.

    Args:
        function: whose parameters, apart from a `Context`, are the arguments.
        title: for people.
        open_world: whether it may reach beyond this machine.
        meta: of the tool, for hosts.
    """
    tool = StrictTool.from_function(
        function,
        title=title,
        description=" ".join((inspect.getdoc(function) or "").split()),
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=open_world),
        meta=meta,
    )
    if tool.fn_metadata.output_schema is not None:
        schema = outline(compact(tool.fn_metadata.output_schema))
        tool.fn_metadata.output_schema = schema
    parameters = compact(tool.parameters) | {"additionalProperties": False}
    return tool.model_copy(update={"parameters": parameters})


@contextlib.contextmanager
def tool_errors() -> Iterator[None]:
    """Turn expected failures into tool errors with message and hint; others stay hidden."""
    try:
        yield
    except Sam3iError as error:
        raise ToolError(str(error)) from error


def _unknown(tool: str, unknown: list[str], known: list[str]) -> str:
    named = ", ".join(repr(name[:_SHOWN_CHARACTERS]) for name in unknown[:_SHOWN_NAMES])
    more = f" and {len(unknown) - _SHOWN_NAMES} more" if len(unknown) > _SHOWN_NAMES else ""
    plural = "s" if len(unknown) > 1 else ""
    return f"{tool} has no argument{plural} {named}{more} ({_takes(known)})"


def _wrong(tool: str, error: ValidationError, known: list[str]) -> str:
    """Say in one line what is missing, or what is wrong with the first wrong argument."""
    problems = error.errors(include_url=False, include_context=True)
    missing = [str(one["loc"][0]) for one in problems if one["type"] == "missing"]
    if missing:
        return f"{tool} needs {', '.join(missing)} ({_takes(known)})"
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"] if isinstance(part, str | int))
    found = repr(first["input"])
    if len(found) > _SHOWN_CHARACTERS:
        found = f"{found[:_SHOWN_CHARACTERS]}…"
    said = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{tool}: {where} {said}, not {found}"


def _takes(known: list[str]) -> str:
    return f"its arguments are {', '.join(known)}" if known else "it takes none"
