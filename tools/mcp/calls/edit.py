"""The tool `edit`."""

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.tools.mcp.answers import AnswerStyle, make_answer
from sam3i_agent.tools.mcp.arguments import InstancesArgument, ResultArgument
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.edits.actions import MAX_STRENGTH, Edit, EditAction
from sam3i_agent.tools.results.outputs import EditOutput
from sam3i_agent.tools.results.pictures import encode_jpeg, on_white
from sam3i_agent.tools.toolbox import Toolbox


def edit_tool(toolbox: Toolbox, style: AnswerStyle) -> Tool:
    """Return the tool."""

    async def edit(
        result_id: ResultArgument,
        action: Annotated[EditAction, Field(description="dim darkens all else.")],
        instances: InstancesArgument = [],  # noqa: B006 (never changed)
        margin: Annotated[
            float, Field(description="Around crop, cut_out: share of its side.", ge=0, le=2)
        ] = 0.0,
        strength: Annotated[
            int | None, Field(description="Pixels of blur, blocks.", ge=1, le=MAX_STRENGTH)
        ] = None,
        colour: Annotated[str, Field(description="For fill: name or #rrggbb.")] = "black",
    ) -> Annotated[CallToolResult, EditOutput]:
        """Change a result's photo: cut out, crop, blur, pixelate, fill instances, or hide the rest.

        Use it to hide faces or plates, or to get objects alone. Not to draw masks (view), nor to
        paint new things. The original stays; the answer shows it small, uri has it whole. Example:
        {"result_id": "0123456789abcdef", "action": "blur", "instances": [1]}
        """
        with tool_errors():
            wanted = Edit(
                action=action,
                instances=tuple(instances),
                margin=margin,
                strength=strength,
                colour=colour,
            )
            output, picture = await run_in_thread(toolbox.edit, result_id, wanted)
            shown = await run_in_thread(encode_jpeg, on_white(picture), style.picture_bytes)
            text = (
                f"{action.replace('_', ' ')}: instances {', '.join(map(str, output.instances))}, "
                f"{output.width} x {output.height} pixels (result_id {result_id})\n"
                f"Whole, as PNG: {output.uri}"
            )
            return make_answer(text, output, shown)

    return make_tool(edit, "Edit by masks")
