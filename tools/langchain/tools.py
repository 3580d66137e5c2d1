"""The MCP server's tools as LangChain tools, in the same process."""

import json
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool
from mcp.server import MCPServer

from sam3i_agent.tools.mcp.openai_schema import call_function, function_schemas


async def langchain_tools(server: MCPServer[Any]) -> list[BaseTool]:
    """Return the tools of a server for `bind_tools` and `ToolNode`.

    Each answers with its text, as `openai_schema.call_function` gives it, and has the pictures as
    data URIs in its message's `artifact`: most models take no picture in a tool's message.

    Args:
        server: as `tools.mcp.server.build_server` made it.
    """
    return [_tool(server, one["function"]) for one in await function_schemas(server)]


def _tool(server: MCPServer[Any], function: dict[str, Any]) -> BaseTool:
    async def call(**arguments: Any) -> tuple[str, tuple[str, ...]]:
        return await call_function(server, function["name"], json.dumps(arguments))

    return StructuredTool(
        name=function["name"],
        description=function["description"],
        args_schema=function["parameters"],
        coroutine=call,
        response_format="content_and_artifact",
    )
