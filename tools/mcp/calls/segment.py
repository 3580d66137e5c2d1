"""The tool `segment`, and how a result is answered."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ContentBlock, InputRequiredResult, ResourceLink, TextContent
from pydantic import Field

from sam3i_agent.core.contracts import LevelChoice, RouteChoice
from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.tools.mcp.arguments import (
    ImageArgument,
    IncludeArgument,
    InstructionArgument,
    LevelArgument,
    RouteArgument,
)
from sam3i_agent.tools.mcp.client_log import ClientLog
from sam3i_agent.tools.mcp.dialogue import RoundTripNeededError, dialogue_with, progress_to
from sam3i_agent.tools.mcp.resources import OVERLAY_SIDE
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.formats.registry import overlay_png
from sam3i_agent.tools.results.outputs import Include, SegmentOutput, segment_output
from sam3i_agent.tools.results.store import StoredResult
from sam3i_agent.tools.service import summarise
from sam3i_agent.tools.toolbox import Toolbox


def segment_tool(toolbox: Toolbox, log: ClientLog) -> Tool:
    """Return the tool; `log` hears of a result's warnings and what it took."""

    async def segment(
        ctx: Context[Any, Any],
        image: ImageArgument,
        instruction: InstructionArgument,
        route: RouteArgument = RouteChoice.AUTO,
        level: LevelArgument = LevelChoice.AUTO,
        max_instances: Annotated[
            int | None, Field(description="Keep at most so many, best first.", ge=1)
        ] = None,
        include: IncludeArgument = [Include.OVERLAY],  # noqa: B006 (never changed)
    ) -> Annotated[CallToolResult, SegmentOutput] | InputRequiredResult:
        """Find the objects that an instruction means; return a box, score and mask for each.

        Understands attributes, positions, sizes, relations, exceptions and counts. Says so when
        the picture does not show what is asked for. For several kinds of things at once use
        segment_concepts.
        """
        with tool_errors():
            try:
                stored = await toolbox.segment(
                    image,
                    instruction,
                    route,
                    level,
                    max_instances,
                    on_step=progress_to(ctx),
                    dialogue=dialogue_with(ctx, toolbox.client_model),
                )
            except RoundTripNeededError as need:
                return need.result
            await log.tell(ctx, stored.result)
            return await run_in_thread(segment_answer, stored, frozenset(include))

    return make_tool(segment, "Segment by instruction")


def segment_answer(stored: StoredResult, include: frozenset[Include]) -> CallToolResult:
    """Return a result in words, as data, and with links to its masks."""
    output = segment_output(stored, include)
    content: list[ContentBlock] = [TextContent(text=summarise(stored.result))]
    if Include.OVERLAY in include:
        data = overlay_png(stored.result, stored.photo, OVERLAY_SIDE)
        content.append(Image(data=data, format="png").to_image_content())
    content += [
        ResourceLink(name=f"mask {one.number}", uri=one.mask_uri, mime_type="image/png")
        for one in output.instances
    ]
    return CallToolResult(
        content=content, structured_content=output.model_dump(mode="json", exclude_none=True)
    )
