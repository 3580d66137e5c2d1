"""The tool `track`."""

import asyncio
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from pydantic import Field

from sam3i_agent.tools.mcp.arguments import InstructionArgument
from sam3i_agent.tools.mcp.dialogue import progress_to
from sam3i_agent.tools.mcp.resources import CLIP_FILES
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.results.outputs import CLIP_SCHEME, TrackOutput
from sam3i_agent.tools.toolbox import Toolbox

FRAMES_PER_STEP = 10
"""Of a clip, after which progress is reported."""


def track_tool(toolbox: Toolbox) -> Tool:
    """Return the tool."""

    async def track(
        ctx: Context[Any, Any],
        video: Annotated[
            str, Field(description="A video file or a folder of frames, by its path.", min_length=1)
        ],
        instruction: InstructionArgument,
        key_frame: Annotated[
            int | None,
            Field(description="Frame on which the instruction selects, from 0.", ge=0),
        ] = None,
    ) -> TrackOutput:
        """Follow every instance of a noun phrase through a clip, each under a number of its own.

        With key_frame, an instruction ('the red car on the left') selects among them on that frame.
        Takes a moment for each frame.
        """
        with tool_errors():
            loop, report = asyncio.get_running_loop(), progress_to(ctx)

            def advance(done: int) -> None:
                if done % FRAMES_PER_STEP == 0:
                    loop.call_soon_threadsafe(report, f"track: {done} frames")

            id_, summary = await toolbox.track(video, instruction, key_frame, advance)
            return TrackOutput(
                clip_id=id_,
                text=summary.text,
                frames=summary.frames,
                tracks=summary.tracks,
                left_out=summary.left_out,
                resources=[f"{CLIP_SCHEME}/{id_}/{name}" for name in CLIP_FILES],
            )

    return make_tool(track, "Track through a video")
