"""What every tool of the server has: a strict list of arguments, and errors in words."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations

from sam3i_agent.core.errors import Sam3iError

_READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_SHOWN_NAMES = 5
"""Of unknown arguments: a caller's text is not sent back at any length."""
_SHOWN_CHARACTERS = 60
"""Of each."""


class StrictTool(Tool):
    """A tool that names the arguments it does not know, where the SDK ignores them in silence."""

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:
        """Run the tool.

        Raises:
            ToolError: an argument is unknown, or as the tool itself.
        """
        known = self.parameters.get("properties", {})
        if unknown := [name for name in arguments if name not in known]:
            raise ToolError(_complaint(self.name, unknown, list(known)))
        return await super().run(arguments, context, convert_result)


def make_tool(function: Callable[..., Any], title: str) -> Tool:
    """Return a tool named after a function, described by its docstring.

    Args:
        function: whose parameters, apart from a `Context`, are the arguments.
        title: for people.
    """
    tool = StrictTool.from_function(
        function, title=title, description=inspect.getdoc(function), annotations=_READS
    )
    return tool.model_copy(update={"parameters": tool.parameters | {"additionalProperties": False}})


@contextlib.contextmanager
def tool_errors() -> Iterator[None]:
    """Turn expected failures into tool errors with message and hint; others stay hidden."""
    try:
        yield
    except Sam3iError as error:
        raise ToolError(str(error)) from error


def _complaint(tool: str, unknown: list[str], known: list[str]) -> str:
    named = ", ".join(repr(name[:_SHOWN_CHARACTERS]) for name in unknown[:_SHOWN_NAMES])
    more = f" and {len(unknown) - _SHOWN_NAMES} more" if len(unknown) > _SHOWN_NAMES else ""
    takes = f"its arguments are {', '.join(known)}" if known else "it takes none"
    plural = "s" if len(unknown) > 1 else ""
    return f"{tool} has no argument{plural} {named}{more} ({takes})"
