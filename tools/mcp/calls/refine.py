"""The tool `refine`."""

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.tools.mcp.answers import AnswerStyle, segment_answer
from sam3i_agent.tools.mcp.arguments import (
    BoxesArgument,
    IncludeAgain,
    PointsArgument,
    ResultArgument,
)
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.mcp.view.page import VIEW_META
from sam3i_agent.tools.results.outputs import Include, SegmentOutput
from sam3i_agent.tools.toolbox import Toolbox


def refine_tool(toolbox: Toolbox, style: AnswerStyle) -> Tool:
    """Return the tool."""

    async def refine(
        result_id: ResultArgument,
        boxes: BoxesArgument = [],  # noqa: B006 (never changed)
        points: PointsArgument = [],  # noqa: B006 (never changed)
        positive: Annotated[bool, Field(description="More like this; false: not this.")] = True,
        instance: Annotated[
            int | None, Field(description="That points correct; else the one under them.", ge=1)
        ] = None,
        reading: Annotated[
            int, Field(description="Which mask a click means; 1 the surest.", ge=1)
        ] = 1,
        include: IncludeAgain = [Include.OVERLAY],  # noqa: B006 (never changed)
    ) -> Annotated[CallToolResult, SegmentOutput]:
        """Correct an earlier result by boxes around examples, or by clicks on one instance.

        Use it when objects are missing, wrong or badly outlined. Not for other words (segment
        again). Makes a new result; corrections add up, the earlier result_id undoes them. Points
        need a model with clicks (describe_capabilities). Example: {"result_id":
        "0123456789abcdef", "boxes": [[10, 20, 90, 80]]}
        """
        with tool_errors():
            stored = await toolbox.refine(result_id, boxes, points, positive, instance, reading)
            return await run_in_thread(segment_answer, stored, frozenset(include), style)

    return make_tool(refine, "Refine a result", meta=VIEW_META)
