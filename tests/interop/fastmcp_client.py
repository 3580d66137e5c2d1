"""A session of FastMCP's client, run by its own Python: fastmcp_client.py PICTURE TARGET...

TARGET is a URL, or the command of a server. Prints what was found, as JSON.
"""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def session(picture: str, target: list[str]) -> dict[str, object]:
    """Segment, correct, measure, look, and read a resource."""
    is_url = target[0].startswith("http")
    steps: list[str] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        steps.append(message or "")

    transport = target[0] if is_url else StdioTransport(target[0], target[1:])
    async with Client(transport, progress_handler=on_progress) as client:
        tools = [one.name for one in await client.list_tools()]
        wanted = {"image": picture, "instruction": "the red square"}
        found = (await client.call_tool("segment", wanted)).structured_content
        name = {"result_id": found["result_id"]}
        box = {"boxes": [found["instances"][0]["box"]]}
        refined = (await client.call_tool("refine", {**name, **box})).structured_content
        measured = (await client.call_tool("measure", name)).structured_content
        (shown,) = (await client.call_tool("view", name)).content
        (mask,) = await client.read_resource(f"sam3i://results/{found['result_id']}/masks/1.png")
        return {
            "tools": tools,
            "count": found["count"],
            "refined": refined["count"],
            "measured": measured["count"],
            "shown": shown.mime_type,
            "mask_bytes": len(mask.blob),
            "steps": len(steps),
        }


print(json.dumps(asyncio.run(session(sys.argv[1], sys.argv[2:]))))
