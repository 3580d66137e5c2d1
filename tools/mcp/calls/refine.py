"""The tool `refine`."""

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.tools.mcp.arguments import IncludeArgument, ResultArgument
from sam3i_agent.tools.mcp.calls.segment import segment_answer
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.outputs import Include, SegmentOutput
from sam3i_agent.tools.toolbox import Box, Point, Toolbox


def refine_tool(toolbox: Toolbox) -> Tool:
    """Return the tool."""

    async def refine(
        result_id: ResultArgument,
        boxes: Annotated[
            list[Box],
            Field(description="Examples, x0, y0, x1, y1 in pixels: find more of it, or less."),
        ] = [],  # noqa: B006 (never changed)
        points: Annotated[
            list[Point],
            Field(description="Clicks, x, y in pixels, that correct the mask of one instance."),
        ] = [],  # noqa: B006 (never changed)
        positive: Annotated[
            bool,
            Field(description="More like this, or it belongs to it (true); or not (false)."),
        ] = True,
        instance: Annotated[
            int | None,
            Field(description="Its number, for points; without it the one under the first.", ge=1),
        ] = None,
        reading: Annotated[
            int, Field(description="Which of the masks that a click may mean; 1 the surest.", ge=1)
        ] = 1,
        include: IncludeArgument = [Include.OVERLAY],  # noqa: B006 (never changed)
    ) -> Annotated[CallToolResult, SegmentOutput]:
        """Correct an earlier result by example boxes, or by clicks on one instance.

        The answer is a new result; corrections add up, and the earlier result_id undoes them. See
        describe_capabilities for what the loaded model takes.
        """
        with tool_errors():
            stored = await toolbox.refine(result_id, boxes, points, positive, instance, reading)
            return await run_in_thread(segment_answer, stored, frozenset(include))

    return make_tool(refine, "Refine a result")
