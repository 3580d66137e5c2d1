"""The MCP server: tools, resources and their completion.

Standard output belongs to the protocol; logs go to standard error.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context, Image, RequestStateSecurity
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    CallToolResult,
    Completion,
    ContentBlock,
    InputRequiredResult,
    ResourceLink,
    ResourceTemplateReference,
    TextContent,
    ToolAnnotations,
)
from pydantic import Field

from sam3i_agent.core.contracts import MAX_INSTRUCTION_CHARACTERS, LevelChoice, RouteChoice
from sam3i_agent.core.errors import InputError, Sam3iError
from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.tools.mcp.client_log import ClientLog
from sam3i_agent.tools.mcp.dialogue import Dialogue, RoundTripNeededError
from sam3i_agent.tools.results.formats import TEXT_FORMATS, mask_png, overlay_png
from sam3i_agent.tools.results.outputs import (
    CLIP_SCHEME,
    SCHEME,
    CapabilitiesOutput,
    ConceptsOutput,
    Include,
    MeasureOutput,
    SegmentOutput,
    TrackOutput,
    segment_output,
)
from sam3i_agent.tools.results.store import StoredResult
from sam3i_agent.tools.results.track_outputs import FRAMES_NAME, OVERLAY_NAME, SUMMARY_NAME
from sam3i_agent.tools.service import summarise
from sam3i_agent.tools.toolbox import MAX_CONCEPTS, Box, Point, Toolbox

logger = logging.getLogger(__name__)

OVERLAY_SIDE = 1024
"""Longest side of the returned overlay in pixels: enough for a model to look at."""
FRAMES_PER_STEP = 10
"""Of a clip, after which progress is reported."""
_CLIP_FILES = {
    FRAMES_NAME: "application/jsonl",
    SUMMARY_NAME: "application/json",
    OVERLAY_NAME: "video/mp4",
}
_READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

ImageArgument = Annotated[
    str,
    Field(
        description="The picture: a path on the server's machine, a data URI "
        "(data:image/png;base64,...), an https URL where the server allows it, or the result_id "
        "of an earlier call.",
        min_length=1,
    ),
]
InstructionArgument = Annotated[
    str,
    Field(
        description="What to segment, in English: a noun phrase ('red circle') or an instruction "
        "('the mug left of the laptop', 'all chairs except the broken one').",
        max_length=MAX_INSTRUCTION_CHARACTERS,
    ),
]
RouteArgument = Annotated[
    RouteChoice,
    Field(
        description="auto chooses and is right for most; direct gives the words to the "
        "segmentation model in one pass; agent splits them into noun phrases and filters by "
        "position, size, relation and colour."
    ),
]
LevelArgument = Annotated[
    LevelChoice,
    Field(
        description="How the direct route reads the words; auto decides from the text, joint asks "
        "at all levels and keeps the surest answer."
    ),
]
IncludeArgument = Annotated[
    list[Include],
    Field(
        description="What to send along: overlay (a picture with the instances numbered), masks "
        "(RLE inline), polygons (outlines inline). Masks are always there as resources."
    ),
]
ResultArgument = Annotated[str, Field(description="The result_id of an earlier call.")]


def build_server(
    toolbox: Toolbox,
    *,
    auth: AuthSettings | None = None,
    token_verifier: TokenVerifier | None = None,
    request_state_security: RequestStateSecurity | None = None,
) -> MCPServer[Any]:
    """Return a server over `toolbox`, whose model begins to load when the server starts.

    Args:
        toolbox: the tools.
        auth: settings of HTTP authorisation, together with
        token_verifier: which tells good tokens from bad ones.
        request_state_security: seals what a client carries between the rounds of a call; None
            takes a key of this process.
    """

    @asynccontextmanager
    async def lifespan(server: MCPServer[Any]) -> AsyncIterator[None]:
        # Clients may list tools meanwhile; a call waits for the model.
        loading = asyncio.create_task(asyncio.to_thread(toolbox.service.segmenter))
        loading.add_done_callback(_log_failure)
        yield
        loading.cancel()

    server: MCPServer[Any] = MCPServer(
        name="sam3i",
        title="Segment by instruction",
        instructions="Use `segment` to find and outline objects in a picture by a sentence, "
        "`segment_concepts` for several kinds of things at once, `measure` for sizes and counts.",
        lifespan=lifespan,
        log_level="WARNING",
        auth=auth,
        token_verifier=token_verifier,
        request_state_security=request_state_security,
    )
    _add_tools(server, toolbox)
    _add_resources(server, toolbox)
    return server


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("the model cannot be loaded: %s", task.exception())


def _tool(server: MCPServer[Any], title: str) -> Callable[[Callable[..., Any]], None]:
    """Register a function with its docstring, unindented, as the description."""

    def register(function: Callable[..., Any]) -> None:
        server.tool(title=title, description=inspect.getdoc(function), annotations=_READS)(function)

    return register


def _add_tools(server: MCPServer[Any], toolbox: Toolbox) -> None:
    log = ClientLog(server)

    @_tool(server, "Segment by instruction")
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
        with _tool_errors():
            try:
                stored = await toolbox.segment(
                    image,
                    instruction,
                    route,
                    level,
                    max_instances,
                    on_step=_progress(ctx),
                    dialogue=_dialogue(ctx, toolbox),
                )
            except RoundTripNeededError as need:
                return need.result
            await _tell(log, ctx, stored)
            return await run_in_thread(_segment_answer, stored, frozenset(include))

    @_tool(server, "Segment several concepts")
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
        with _tool_errors():
            return await toolbox.segment_concepts(image, phrases, frozenset(include))

    @_tool(server, "Refine a result")
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
        with _tool_errors():
            stored = await toolbox.refine(result_id, boxes, points, positive, instance, reading)
            return await run_in_thread(_segment_answer, stored, frozenset(include))

    @_tool(server, "Track through a video")
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
        with _tool_errors():
            loop, report = asyncio.get_running_loop(), _progress(ctx)

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
                resources=[f"{CLIP_SCHEME}/{id_}/{name}" for name in _CLIP_FILES],
            )

    @_tool(server, "Measure a result")
    async def measure(result_id: ResultArgument) -> MeasureOutput:
        """Count the instances of an earlier result and give areas, boxes, centres and overlaps."""
        with _tool_errors():
            return await toolbox.measure(result_id)

    @_tool(server, "Describe capabilities")
    async def describe_capabilities() -> CapabilitiesOutput:
        """Say which model is loaded, what it understands, and the limits on pictures and texts."""
        with _tool_errors():
            return await toolbox.describe()


def _segment_answer(stored: StoredResult, include: frozenset[Include]) -> CallToolResult:
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


def _add_resources(server: MCPServer[Any], toolbox: Toolbox) -> None:
    results = toolbox.results

    @server.resource(f"{SCHEME}/{{id}}/overlay.png", mime_type="image/png")
    async def overlay(id: str) -> bytes:  # noqa: A002 (the template's variable)
        """Draw the picture with the instances numbered."""
        stored = results.get(id)
        return await asyncio.to_thread(overlay_png, stored.result, stored.photo, OVERLAY_SIDE)

    @server.resource(f"{SCHEME}/{{id}}/masks/{{number}}.png", mime_type="image/png")
    async def mask(id: str, number: str) -> bytes:  # noqa: A002
        """Draw the mask of one instance at the photo's size, white on black."""
        result = results.get(id).result
        if not number.isdecimal() or not 1 <= int(number) <= len(result.instances):
            raise InputError(f"the result has instances 1 to {len(result.instances)}")
        return await asyncio.to_thread(mask_png, result, int(number))

    @server.resource(f"{SCHEME}/{{id}}/result.json", mime_type="application/json")
    async def whole(id: str) -> str:  # noqa: A002
        """Return the whole result with masks as COCO RLE."""
        return results.get(id).result.model_dump_json()

    for name, (mime_type, _) in TEXT_FORMATS.items():
        server.resource(f"{SCHEME}/{{id}}/{name}", name=name, mime_type=mime_type)(
            _export_reader(toolbox, name)
        )

    for name, mime_type in _CLIP_FILES.items():
        server.resource(f"{CLIP_SCHEME}/{{id}}/{name}", name=f"clip {name}", mime_type=mime_type)(
            _clip_reader(toolbox, name)
        )

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion | None:
        if not isinstance(ref, ResourceTemplateReference) or not ref.uri.startswith(SCHEME):
            return None
        if argument.name == "id":
            values = [one for one in results.ids() if one.startswith(argument.value)]
            return Completion(values=values[:100], total=len(values))
        known = (context.arguments or {}).get("id", "") if context is not None else ""
        if argument.name == "number" and known in results.ids():
            count = len(results.get(known).result.instances)
            numbers = [str(number) for number in range(1, count + 1)]
            return Completion(values=[one for one in numbers if one.startswith(argument.value)])
        return None


def _export_reader(toolbox: Toolbox, name: str) -> Callable[[str], Any]:
    async def export(id: str) -> str:  # noqa: A002
        return await asyncio.to_thread(TEXT_FORMATS[name][1], toolbox.results.get(id).result)

    export.__doc__ = f"The result as {name}."
    return export


def _clip_reader(toolbox: Toolbox, name: str) -> Callable[[str], Any]:
    async def read(id: str) -> bytes | str:  # noqa: A002
        path = toolbox.clips.file(id, name)
        data = await asyncio.to_thread(path.read_bytes)
        return data if name == OVERLAY_NAME else data.decode()

    read.__doc__ = f"{name} of a tracked clip."
    return read


@contextlib.contextmanager
def _tool_errors() -> Any:
    """Turn expected failures into tool errors with message and hint; others stay hidden."""
    try:
        yield
    except Sam3iError as error:
        raise ToolError(str(error)) from error


def _has_client(ctx: Context[Any, Any]) -> bool:
    """Whether a protocol's request stands behind the call."""
    try:
        ctx.request_context  # noqa: B018 (raises where there is none)
    except ValueError:
        return False
    return True


def _dialogue(ctx: Context[Any, Any], toolbox: Toolbox) -> Dialogue | None:
    return Dialogue(ctx, toolbox.client_model) if _has_client(ctx) else None


async def _tell(log: ClientLog, ctx: Context[Any, Any], stored: StoredResult) -> None:
    """Log a result's warnings and what it took."""
    if not _has_client(ctx):
        return
    result = stored.result
    for warning in result.warnings:
        await log.send(ctx, "warning", warning)
    await log.send(ctx, "info", f"{result.count} instances in {result.usage.seconds:.2f} s")


def _progress(ctx: Context[Any, Any]) -> Callable[[str], None]:
    """Return a reporter of steps, each a progress notification with the line as its message."""
    if not _has_client(ctx):
        return lambda line: None
    loop = asyncio.get_running_loop()
    sent: list[asyncio.Task[None]] = []

    def report(line: str) -> None:
        step = len(sent) + 1
        sent.append(loop.create_task(ctx.report_progress(step, None, line)))

    return report
