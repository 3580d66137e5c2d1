"""The MCP server: one tool, `segment`.

Standard output belongs to the protocol; logs go to standard error.
"""

import base64
import binascii
import io
import logging
import re
from pathlib import Path
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from sam3i_agent.agent.contracts import (
    MAX_INSTRUCTION_CHARACTERS,
    LevelChoice,
    RouteChoice,
    SegmentationResult,
)
from sam3i_agent.agent.marks import draw_marks
from sam3i_agent.agent.requests import make_request
from sam3i_agent.segmodel.errors import InputError, Sam3iError
from sam3i_agent.segmodel.photo import Photo
from sam3i_agent.tools.export import result_masks
from sam3i_agent.tools.images import MAX_FILE_BYTES, decode_photo, read_photo
from sam3i_agent.tools.service import SegmentationService, summarise

logger = logging.getLogger(__name__)

OVERLAY_SIDE = 1024
"""Longest side of the returned overlay in pixels: enough for a model to look at."""
_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)

ImageArgument = Annotated[
    str,
    Field(
        description="The picture: a path on the server's machine, or a data URI "
        "(data:image/png;base64,...).",
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
        description="auto chooses; direct gives the words to the segmentation model in one pass; "
        "agent splits them into noun phrases and filters by position, size, relation and colour."
    ),
]
LevelArgument = Annotated[
    LevelChoice,
    Field(
        description="How the direct route reads the words; auto decides from the text, joint asks "
        "at all levels and keeps the surest answer."
    ),
]


def build_server(service: SegmentationService, roots: tuple[Path, ...] = ()) -> MCPServer:
    """Return a server whose tools use `service`.

    Args:
        service: the model, loaded at the first call.
        roots: folders that image paths must be in, links resolved; none allows every path that
            the server's user can read.
    """
    server = MCPServer(
        name="sam3i",
        title="Segment by instruction",
        instructions="Use `segment` to find and outline objects in a picture by a sentence.",
    )
    allowed = tuple(root.resolve() for root in roots)

    @server.tool(
        title="Segment by instruction",
        annotations=ToolAnnotations(
            read_only_hint=True,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )
    async def segment(
        image: ImageArgument,
        instruction: InstructionArgument,
        route: RouteArgument = RouteChoice.AUTO,
        level: LevelArgument = LevelChoice.AUTO,
    ) -> Annotated[CallToolResult, SegmentationResult]:
        """Find the objects that an instruction means and return a mask and box for each.

        The structured result has the status (selected, no_target, budget_exhausted, failed), the
        instances (mask as COCO RLE, box in pixels, score, area) and what was done. A picture with
        the instances numbered in the same order comes with it.
        """
        try:
            photo = open_image(image, allowed)
            request = make_request(photo, instruction, route=route, level=level)
            result = await service.answer(photo, request)
        except Sam3iError as error:
            raise ToolError(str(error)) from error
        return CallToolResult(
            content=[
                TextContent(text=summarise(result)),
                _overlay(photo, result).to_image_content(),
            ],
            structured_content=result.model_dump(mode="json"),
        )

    return server


def open_image(image: str, roots: tuple[Path, ...]) -> Photo:
    """Read the picture that a client named.

    Args:
        image: a path, or a data URI.
        roots: resolved folders that a path must be in; none allows all.

    Raises:
        InputError: it is outside the roots, or cannot be read.
    """
    data_uri = _DATA_URI.match(image)
    if data_uri:
        encoded = image[data_uri.end() :]
        if len(encoded) > MAX_FILE_BYTES * 4 // 3:
            raise InputError("the data URI is too long")
        try:
            return decode_photo(base64.b64decode(encoded, validate=True), "the data URI")
        except binascii.Error as error:
            raise InputError("the data URI is not valid base64") from error
    if image.startswith("data:"):
        raise InputError("the data URI must be data:image/...;base64,...")
    if "\0" in image:
        raise InputError("the image path holds a NUL character")
    path = Path(image).expanduser()
    if roots and not any(path.resolve().is_relative_to(root) for root in roots):
        raise InputError(
            "the image path is outside the folders this server may read",
            "start it with --root FOLDER, or send a data URI",
        )
    return read_photo(path)


def _overlay(photo: Photo, result: SegmentationResult) -> Image:
    buffer = io.BytesIO()
    draw_marks(photo.pixels, result_masks(result), max_side=OVERLAY_SIDE).save(buffer, format="PNG")
    return Image(data=buffer.getvalue(), format="png")
