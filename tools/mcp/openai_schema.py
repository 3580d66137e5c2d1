"""The same tools for assistants without MCP: OpenAI function schemas, and calling them."""

import json
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError


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


async def call_function(server: MCPServer[Any], name: str, arguments: str) -> str:
    """Run a function call of a model and return the text for its `tool` message.

    Args:
        server: as `build_server` made it.
        name: of the function.
        arguments: JSON, as the model wrote it.

    Returns:
        The structured result as JSON, or {"error": ...}.
    """
    try:
        values = json.loads(arguments)
    except ValueError as error:
        return json.dumps({"error": f"the arguments are no JSON: {error}"})
    if not isinstance(values, dict):
        return json.dumps({"error": "the arguments are no JSON object"})
    try:
        result: Any = await server.call_tool(name, values)
    except ToolError as error:
        return json.dumps({"error": str(error)})
    return json.dumps(result.structured_content)
