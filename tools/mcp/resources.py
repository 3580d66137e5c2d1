"""Earlier results and tracked clips as resources, and the completion of their ids."""

import asyncio
from collections.abc import Callable
from typing import Any

from mcp.server import MCPServer
from mcp_types import Completion, ResourceTemplateReference

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.results.formats.registry import TEXT_FORMATS
from sam3i_agent.tools.results.outputs import CLIP_SCHEME, SCHEME
from sam3i_agent.tools.results.pictures import (
    PICTURE_MIME,
    mask_png,
    overlay_png,
    photo_jpeg,
)
from sam3i_agent.tools.results.track_outputs import FRAMES_NAME, OVERLAY_NAME, SUMMARY_NAME
from sam3i_agent.tools.toolbox import Toolbox

PHOTO_BYTES = 700_000
"""Of the plain photo in base64."""
CLIP_FILES = {
    FRAMES_NAME: "application/jsonl",
    SUMMARY_NAME: "application/json",
    OVERLAY_NAME: "video/mp4",
}
"""Of a tracked clip, with their types."""


def add_resources(server: MCPServer[Any], toolbox: Toolbox) -> None:
    """Register the resources of results and clips, and the completion of their ids."""
    results = toolbox.results

    @server.resource(f"{SCHEME}/{{id}}/overlay.png", mime_type="image/png")
    async def overlay(id: str) -> bytes:  # noqa: A002 (the template's variable)
        """Draw the picture with the instances numbered."""
        stored = await asyncio.to_thread(results.get, id)
        return await asyncio.to_thread(overlay_png, stored)

    @server.resource(f"{SCHEME}/{{id}}/photo.jpg", mime_type=PICTURE_MIME)
    async def photo(id: str) -> bytes:  # noqa: A002
        """Return the photo without marks, upright, scaled down where it is large."""
        stored = await asyncio.to_thread(results.get, id)
        return await asyncio.to_thread(photo_jpeg, stored, PHOTO_BYTES)

    @server.resource(f"{SCHEME}/{{id}}/masks/{{number}}.png", mime_type="image/png")
    async def mask(id: str, number: str) -> bytes:  # noqa: A002
        """Draw the mask of one instance at the photo's size, white on black."""
        result = (await asyncio.to_thread(results.get, id)).result
        if not number.isdecimal() or not 1 <= int(number) <= len(result.instances):
            raise InputError(f"the result has instances 1 to {len(result.instances)}")
        return await asyncio.to_thread(mask_png, result, int(number))

    @server.resource(f"{SCHEME}/{{id}}/edits/{{edit}}.png", mime_type="image/png")
    async def edited(id: str, edit: str) -> bytes:  # noqa: A002
        """Draw the photo as an earlier call of the tool edit changed it."""
        return await asyncio.to_thread(toolbox.edited_png, id, edit)

    @server.resource(f"{SCHEME}/{{id}}/result.json", mime_type="application/json")
    async def whole(id: str) -> str:  # noqa: A002
        """Return the whole result with masks as COCO RLE."""
        stored = await asyncio.to_thread(results.get, id)
        return stored.result.model_dump_json()

    for name, (mime_type, _) in TEXT_FORMATS.items():
        server.resource(f"{SCHEME}/{{id}}/{name}", name=name, mime_type=mime_type)(
            _export_reader(toolbox, name)
        )

    for name, mime_type in CLIP_FILES.items():
        server.resource(f"{CLIP_SCHEME}/{{id}}/{name}", name=f"clip {name}", mime_type=mime_type)(
            _clip_reader(toolbox, name)
        )

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion | None:
        if not isinstance(ref, ResourceTemplateReference) or not ref.uri.startswith(SCHEME):
            return None
        if argument.name == "id":
            ids = await asyncio.to_thread(results.ids)
            values = [one for one in ids if one.startswith(argument.value)]
            return Completion(values=values[:100], total=len(values))
        known = (context.arguments or {}).get("id", "") if context is not None else ""
        if argument.name == "number" and known in await asyncio.to_thread(results.ids):
            count = len((await asyncio.to_thread(results.get, known)).result.instances)
            numbers = [str(number) for number in range(1, count + 1)]
            return Completion(values=[one for one in numbers if one.startswith(argument.value)])
        return None


def _export_reader(toolbox: Toolbox, name: str) -> Callable[[str], Any]:
    async def export(id: str) -> str:  # noqa: A002
        stored = await asyncio.to_thread(toolbox.results.get, id)
        return await asyncio.to_thread(TEXT_FORMATS[name][1], stored.export)

    export.__doc__ = f"The result as {name}."
    return export


def _clip_reader(toolbox: Toolbox, name: str) -> Callable[[str], Any]:
    async def read(id: str) -> bytes | str:  # noqa: A002
        data = await asyncio.to_thread(toolbox.clips.read, id, name)
        return data if name == OVERLAY_NAME else data.decode()

    read.__doc__ = f"{name} of a tracked clip."
    return read
