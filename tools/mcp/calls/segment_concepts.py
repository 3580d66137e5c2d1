"""The tool `segment_concepts`."""

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import BeforeValidator, Field

from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.tools.mcp.answers import AnswerStyle, segment_answer
from sam3i_agent.tools.mcp.arguments import ImageAgain, IncludeAgain, as_list
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.mcp.view.page import VIEW_META
from sam3i_agent.tools.results.outputs import Include, SegmentOutput
from sam3i_agent.tools.toolbox import MAX_CONCEPTS, Toolbox


def segment_concepts_tool(toolbox: Toolbox, style: AnswerStyle) -> Tool:
    """Return the tool."""

    async def segment_concepts(
        image: ImageAgain,
        phrases: Annotated[
            list[str],
            BeforeValidator(as_list),
            Field(description="Short noun phrases.", min_length=1, max_length=MAX_CONCEPTS),
        ],
        include: IncludeAgain = [Include.OVERLAY],  # noqa: B006 (never changed)
    ) -> Annotated[CallToolResult, SegmentOutput]:
        """Find all instances of each of several noun phrases in one picture, in one pass.

        Use it for an inventory of a picture. Not for instructions that choose among things
        (segment). Example: {"image": "/photos/desk.jpg", "phrases": ["mug", "red chair"]}
        """
        with tool_errors():
            stored = await toolbox.segment_concepts(image, phrases)
            return await run_in_thread(segment_answer, stored, frozenset(include), style)

    title = "Segment several concepts"
    return make_tool(segment_concepts, title, open_world=toolbox.source.allow_urls, meta=VIEW_META)
