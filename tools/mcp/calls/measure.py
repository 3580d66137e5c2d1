"""The tool `measure`."""

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult

from sam3i_agent.tools.mcp.answers import make_answer
from sam3i_agent.tools.mcp.arguments import InstancesArgument, ResultArgument
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.measures import measure_text
from sam3i_agent.tools.results.outputs import MeasureOutput
from sam3i_agent.tools.toolbox import Toolbox


def measure_tool(toolbox: Toolbox) -> Tool:
    """Return the tool."""

    async def measure(
        result_id: ResultArgument,
        instances: InstancesArgument = [],  # noqa: B006 (never changed)
    ) -> Annotated[CallToolResult, MeasureOutput]:
        """Give areas, shares of the picture, boxes, centres and overlaps of a result's instances.

        Use it for sizes, distances and coverage. Not to count: segment's answer has the count.
        Example: {"result_id": "0123456789abcdef"}
        """
        with tool_errors():
            output = await toolbox.measure(result_id, instances)
            return make_answer(measure_text(output), output)

    return make_tool(measure, "Measure a result")
