"""The tool `describe_capabilities`."""

from mcp.server.mcpserver.tools import Tool

from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.outputs import CapabilitiesOutput
from sam3i_agent.tools.toolbox import Toolbox


def describe_capabilities_tool(toolbox: Toolbox) -> Tool:
    """Return the tool."""

    async def describe_capabilities() -> CapabilitiesOutput:
        """Say which model is loaded, what it understands, and the limits on pictures and texts."""
        with tool_errors():
            return await toolbox.describe()

    return make_tool(describe_capabilities, "Describe capabilities")
