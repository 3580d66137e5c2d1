"""The same tools for assistants without MCP: OpenAI function schemas, and calling them."""

import json
from typing import Any, NamedTuple

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ImageContent


async def function_schemas(server: MCPServer[Any]) -> list[dict[str, Any]]:
    """Return the server's tools as the `tools` argument of a chat completion."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description or "",
                "parameters": tool.input_schema,
            },
        }
        for tool in await server.list_tools()
    ]


class FunctionAnswer(NamedTuple):
    """What a function call gives back to its model."""

    text: str
    """For the `tool` message: the structured result as JSON, or {"error": ...}."""
    pictures: tuple[str, ...] = ()
    """As data URIs, for a `user` message after it: `tool` messages hold no pictures."""


async def call_function(server: MCPServer[Any], name: str, arguments: str) -> FunctionAnswer:
    """Run a function call of a model.

    Args:
        server: as `build_server` made it.
        name: of the function.
        arguments: JSON, as the model wrote it.
    """
    try:
        values = json.loads(arguments)
    except ValueError as error:
        return _refusal(f"the arguments are no JSON: {error}")
    if not isinstance(values, dict):
        return _refusal("the arguments are no JSON object")
    try:
        result: Any = await server.call_tool(name, values)
    except ToolError as error:
        return _refusal(str(error))
    pictures = tuple(
        f"data:{one.mime_type};base64,{one.data}"
        for one in result.content
        if isinstance(one, ImageContent)
    )
    content = result.structured_content
    told = content if content is not None else {"pictures": len(pictures)}
    return FunctionAnswer(json.dumps(told), pictures)


def _refusal(message: str) -> FunctionAnswer:
    return FunctionAnswer(json.dumps({"error": message}))
