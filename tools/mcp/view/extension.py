"""What the server offers to hosts that show views (MCP Apps)."""

import asyncio
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.apps import Apps, ResourcePermissions

from sam3i_agent.core.drawing import fit
from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.mcp.resources import PHOTO_BYTES
from sam3i_agent.tools.mcp.view.data import view_data
from sam3i_agent.tools.mcp.view.page import DATA_NAME, VIEW_URI, page
from sam3i_agent.tools.results.outputs import CLIP_SCHEME, SCHEME
from sam3i_agent.tools.results.pictures import PHOTO_SIDE, PICTURE_MIME, encode_jpeg
from sam3i_agent.tools.results.track_outputs import OVERLAY_NAME
from sam3i_agent.tools.sources.video import read_frames
from sam3i_agent.tools.toolbox import Toolbox

_SHOWN_CHARACTERS = 20
"""Of what a caller gave for a number."""


def view_extension() -> Apps:
    """Return the extension with the page; it needs no network and may ask to copy pictures."""
    apps = Apps()
    apps.add_html_resource(
        VIEW_URI,
        page(),
        name="view",
        title="The view of results",
        permissions=ResourcePermissions(clipboard_write={}),
        prefers_border=False,
    )
    return apps


def add_view_data(server: MCPServer[Any], toolbox: Toolbox) -> None:
    """Register the resource that the page draws."""

    @server.resource(f"{SCHEME}/{{id}}/{DATA_NAME}", mime_type="application/json")
    async def drawn(id: str) -> str:  # noqa: A002 (the template's variable)
        """Return the result with the outline of each instance, for the view."""
        stored = await asyncio.to_thread(toolbox.results.get, id)
        segmenter = await asyncio.to_thread(toolbox.service.segmenter)
        data = await asyncio.to_thread(
            view_data,
            stored,
            takes_boxes=segmenter.takes_exemplars,
            takes_points=segmenter.takes_clicks,
        )
        return data.model_dump_json()

    @server.resource(f"{CLIP_SCHEME}/{{id}}/frames/{{frame}}.jpg", mime_type=PICTURE_MIME)
    async def clip_frame(id: str, frame: str) -> bytes:  # noqa: A002
        """Return a frame of a tracked clip, from 0, with its tracks tinted and numbered."""
        return await asyncio.to_thread(_frame, toolbox, id, frame)


def _frame(toolbox: Toolbox, clip_id: str, frame: str) -> bytes:
    data = toolbox.clips.read(clip_id, OVERLAY_NAME)
    if frame.isdecimal():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / OVERLAY_NAME
            path.write_bytes(data)
            for one in islice(read_frames(path, start=int(frame)), 1):
                return encode_jpeg(fit(one.pixels, PHOTO_SIDE), PHOTO_BYTES)
    raise InputError(f"the clip has no frame {frame[:_SHOWN_CHARACTERS]!r}")
