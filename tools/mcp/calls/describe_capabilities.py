"""The tool `describe_capabilities`."""

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult

from sam3i_agent.tools.mcp.answers import make_answer
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.outputs import CapabilitiesOutput
from sam3i_agent.tools.toolbox import Toolbox


def describe_capabilities_tool(toolbox: Toolbox) -> Tool:
    """Return the tool."""

    async def describe_capabilities() -> CallToolResult:
        """Say which model is loaded and what it is for, what it takes, limits, and folders.

        Use it once when a call was refused, or results are poor. Not needed before segment.
        """
        with tool_errors():
            output = await toolbox.describe()
            return make_answer(_text_of(output), output)

    return make_tool(describe_capabilities, "Describe capabilities")


def _text_of(output: CapabilitiesOutput) -> str:
    values = output.model_dump(mode="json")
    return "\n".join(f"{name.replace('_', ' ')}: {_words(value)}" for name, value in values.items())


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "any"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
