"""The tool `measure`."""

from mcp.server.mcpserver.tools import Tool

from sam3i_agent.tools.mcp.arguments import ResultArgument
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.outputs import MeasureOutput
from sam3i_agent.tools.toolbox import Toolbox


def measure_tool(toolbox: Toolbox) -> Tool:
    """Return the tool."""

    async def measure(result_id: ResultArgument) -> MeasureOutput:
        """Count the instances of an earlier result and give areas, boxes, centres and overlaps."""
        with tool_errors():
            return await toolbox.measure(result_id)

    return make_tool(measure, "Measure a result")
