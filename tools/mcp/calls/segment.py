"""The tool `segment`."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, InputRequiredResult
from pydantic import Field

from sam3i_agent.core.contracts import LevelChoice, RouteChoice
from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.tools.mcp.answers import AnswerStyle, segment_answer
from sam3i_agent.tools.mcp.arguments import (
    ImageArgument,
    IncludeArgument,
    InstructionArgument,
    LevelArgument,
    RouteArgument,
)
from sam3i_agent.tools.mcp.client_log import ClientLog
from sam3i_agent.tools.mcp.dialogue import RoundTripNeededError, dialogue_with, progress_to
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.mcp.view.page import VIEW_META
from sam3i_agent.tools.results.outputs import Include, SegmentOutput
from sam3i_agent.tools.toolbox import Toolbox


def segment_tool(toolbox: Toolbox, style: AnswerStyle, log: ClientLog) -> Tool:
    """Return the tool; `log` hears of a result's warnings and what it took."""

    async def segment(
        ctx: Context[Any, Any],
        image: ImageArgument,
        instruction: InstructionArgument,
        route: RouteArgument = "auto",
        level: LevelArgument = LevelChoice.AUTO,
        max_instances: Annotated[
            int | None, Field(description="Keep the best so many.", ge=1)
        ] = None,
        include: IncludeArgument = [Include.OVERLAY],  # noqa: B006 (never changed)
    ) -> Annotated[CallToolResult, SegmentOutput] | InputRequiredResult:
        """Find the objects in a picture that an instruction means, with a box, score and mask each.

        Use it to find, count, locate or outline things by attribute, position, size, relation,
        exception or number; it says so when nothing fits. Not for several kinds of things at once
        (segment_concepts), nor to describe a picture. Example: {"image": "/photos/desk.jpg",
        "instruction": "the mug left of the laptop"}
        """
        with tool_errors():
            try:
                stored = await toolbox.segment(
                    image,
                    instruction,
                    RouteChoice(route),
                    level,
                    max_instances,
                    on_step=progress_to(ctx),
                    dialogue=dialogue_with(ctx, toolbox.client_model),
                )
            except RoundTripNeededError as need:
                return need.result
            await log.tell(ctx, stored.result)
            return await run_in_thread(segment_answer, stored, frozenset(include), style)

    return make_tool(
        segment,
        "Segment by instruction",
        open_world=toolbox.source.allow_urls,
        meta=VIEW_META,
    )
