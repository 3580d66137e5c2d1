"""The tool `segment_concepts`."""

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from pydantic import Field

from sam3i_agent.tools.mcp.arguments import ImageArgument, IncludeArgument
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.outputs import ConceptsOutput
from sam3i_agent.tools.toolbox import MAX_CONCEPTS, Toolbox


def segment_concepts_tool(toolbox: Toolbox) -> Tool:
    """Return the tool."""

    async def segment_concepts(
        image: ImageArgument,
        phrases: Annotated[
            list[str],
            Field(
                description="Short noun phrases, such as 'mug' or 'red chair'.",
                min_length=1,
                max_length=MAX_CONCEPTS,
            ),
        ],
        include: IncludeArgument = [],  # noqa: B006 (never changed)
    ) -> ConceptsOutput:
        """Find all instances of each of several noun phrases in one picture, in one pass."""
        with tool_errors():
            return await toolbox.segment_concepts(image, phrases, frozenset(include))

    return make_tool(segment_concepts, "Segment several concepts")
