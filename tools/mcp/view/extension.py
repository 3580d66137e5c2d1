"""What the server offers to hosts that show views (MCP Apps)."""

import asyncio
from typing import Any

from mcp.server import MCPServer
from mcp.server.apps import Apps, ResourcePermissions

from sam3i_agent.tools.mcp.view.data import view_data
from sam3i_agent.tools.mcp.view.page import DATA_NAME, VIEW_URI, page
from sam3i_agent.tools.results.outputs import SCHEME
from sam3i_agent.tools.toolbox import Toolbox


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
