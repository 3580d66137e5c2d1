"""The tool `view`."""

from typing import Annotated

from mcp.server.mcpserver import Image
from mcp.server.mcpserver.tools import Tool
from pydantic import Field

from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.tools.mcp.answers import AnswerStyle
from sam3i_agent.tools.mcp.arguments import InstancesArgument, ResultArgument
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.pictures import (
    MAX_VIEW_SIDE,
    MIN_VIEW_SIDE,
    OVERLAY_SIDE,
    view_jpeg,
)
from sam3i_agent.tools.toolbox import Toolbox


def view_tool(toolbox: Toolbox, style: AnswerStyle) -> Tool:
    """Return the tool; its answer is the picture alone, which every host shows its model."""

    async def view(
        result_id: ResultArgument,
        instances: InstancesArgument = [],  # noqa: B006 (never changed)
        zoom: Annotated[bool, Field(description="Enlarge the part that holds them.")] = False,
        marks: Annotated[bool, Field(description="Outline and number them.")] = True,
        side: Annotated[
            int, Field(description="Longest, in pixels.", ge=MIN_VIEW_SIDE, le=MAX_VIEW_SIDE)
        ] = OVERLAY_SIDE,
    ) -> Image:
        """Look at a result: the picture with chosen instances marked, or enlarged, or plain.

        Use it to check masks, or to read details of one object. Not to find things (segment).
        Example: {"result_id": "0123456789abcdef", "instances": [2], "zoom": true}
        """
        with tool_errors():
            stored = await run_in_thread(toolbox.results.get, result_id)
            data = await run_in_thread(
                view_jpeg,
                stored, style.picture_bytes, instances, zoom=zoom, marks=marks, side=side,
            )  # fmt: skip
            return Image(data=data, format="jpeg")

    return make_tool(view, "View a result")
