"""The tool `track`."""

import asyncio
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from sam3i_agent.tools.mcp.answers import make_answer
from sam3i_agent.tools.mcp.arguments import InstructionArgument
from sam3i_agent.tools.mcp.dialogue import progress_to
from sam3i_agent.tools.mcp.resources import CLIP_FILES
from sam3i_agent.tools.mcp.tool import make_tool, tool_errors
from sam3i_agent.tools.mcp.view.page import VIEW_META
from sam3i_agent.tools.results.outputs import CLIP_SCHEME, TrackOutput
from sam3i_agent.tools.toolbox import Toolbox

FRAMES_PER_STEP = 10
"""Of a clip, after which progress is reported."""


def track_tool(toolbox: Toolbox) -> Tool:
    """Return the tool."""

    async def track(
        ctx: Context[Any, Any],
        video: Annotated[
            str, Field(description="Path of a video or of a folder of frames.", min_length=1)
        ],
        instruction: InstructionArgument,
        key_frame: Annotated[
            int | None, Field(description="On which the instruction selects, from 0.", ge=0)
        ] = None,
    ) -> Annotated[CallToolResult, TrackOutput]:
        """Follow every instance of a noun phrase through a video, each under its own number.

        Use it for videos; takes a moment a frame. Not for one picture (segment). An instruction
        that selects ('the red car on the left') needs key_frame. Example: {"video":
        "/clips/road.mp4", "instruction": "red car"}
        """
        with tool_errors():
            loop, report = asyncio.get_running_loop(), progress_to(ctx)

            def advance(done: int) -> None:
                if done % FRAMES_PER_STEP == 0:
                    loop.call_soon_threadsafe(report, f"track: {done} frames")

            id_, summary = await toolbox.track(video, instruction, key_frame, advance)
            output = TrackOutput(
                clip_id=id_,
                text=summary.text,
                frames=summary.frames,
                tracks=summary.tracks,
                left_out=summary.left_out,
                resources=[f"{CLIP_SCHEME}/{id_}/{name}" for name in CLIP_FILES],
            )
            return make_answer(_text_of(output), output)

    return make_tool(track, "Track through a video", meta=VIEW_META)


def _text_of(output: TrackOutput) -> str:
    lines = [f"{len(output.tracks)} tracks of {output.text!r} in {output.frames} frames"]
    lines += [
        f"  {one.track}: frames {one.first_frame} to {one.last_frame}, in {one.frames} of them, "
        f"score {one.mean_score:.2f}"
        for one in output.tracks
    ]
    if output.left_out:
        lines.append(f"{output.left_out} others are not what the instruction means")
    return "\n".join([*lines, f"Resources: {' '.join(output.resources)}"])
