"""How a host's menus show the server: results as resources, prompts as slash commands, its face."""

import asyncio
import base64
from collections.abc import Iterable
from importlib.metadata import metadata
from importlib.resources import files
from typing import Any

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedResourceError
from mcp_types import CallToolResult, Icon, InputRequiredResult
from mcp_types import Resource as ListedResource
from mcp_types.version import is_version_at_least
from pydantic import AnyUrl

from sam3i_agent.core.errors import TryAgainError
from sam3i_agent.prompts.templates import load_prompt
from sam3i_agent.tools.mcp.client_log import has_client
from sam3i_agent.tools.mcp.refusals import expected_in, refuse_call, refuse_read
from sam3i_agent.tools.mcp.view.page import VIEW_URI
from sam3i_agent.tools.results.outputs import SCHEME
from sam3i_agent.tools.results.store import Results, StoredResult
from sam3i_agent.tools.results.wording import head_of

MAX_LISTED_RESULTS = 20
"""The latest ones: menus are short."""
DISTRIBUTION = "sam3i-agent"
_STREAM_SINCE = "2026-07-28"
"""From this protocol on, changes go to those who listen for them."""


class BrowsableServer(MCPServer[Any]):
    """A server whose list of resources holds the latest results, and says when it changes.

    Args:
        results: to list.
        **options: as of `MCPServer`.
    """

    def __init__(self, results: Results, **options: Any) -> None:
        super().__init__(**options)
        self._results = results
        _promise_changes(self)

    async def list_resources(self) -> list[ListedResource]:
        """Return the overlay of each of the latest results, beside what else there is to pick.

        Tools name the view; it is nothing to attach to a chat.
        """
        latest = await asyncio.to_thread(self._results.latest, MAX_LISTED_RESULTS)
        more = [one for one in await super().list_resources() if one.uri != VIEW_URI]
        return [*(_listed(one) for one in latest), *more]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool, and tell the client where that has made a result."""
        before = self._results.newest()
        try:
            answer = await super().call_tool(name, arguments, context)
        except ToolError as error:
            expected = expected_in(error)
            if isinstance(expected, TryAgainError):
                return refuse_call(expected)
            raise
        if context is not None and has_client(context) and self._results.newest() != before:
            await _announce(context)
        return answer

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource; what is wrong with the request is said in words."""
        try:
            return await super().read_resource(uri, context)
        except UnexpectedResourceError as error:
            expected = expected_in(error)
            if expected is None:
                raise
            refuse_read(expected)


async def _announce(context: Context[Any, Any]) -> None:
    version = context.protocol_version
    if version is not None and is_version_at_least(version, _STREAM_SINCE):
        await context.notify_resources_changed()
    else:
        await context.session.send_resource_list_changed()


def _listed(stored: StoredResult) -> ListedResource:
    return ListedResource(
        name=f"overlay {stored.id}",
        title=f"{head_of(stored.result)}, {stored.export.file_name}",
        uri=f"{SCHEME}/{stored.id}/overlay.png",
        mime_type="image/png",
    )


def _promise_changes(server: MCPServer[Any]) -> None:
    """Let the handshake say that changes of the list are told, which the SDK leaves out."""

    async def promise(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "initialize" and isinstance(result, dict):
            result["capabilities"]["resources"]["listChanged"] = True
        return result

    server.middleware.append(promise)


def add_prompts(server: MCPServer[Any]) -> None:
    """Offer what fills a host's slash menu."""

    @server.prompt(title="Count things in a picture")
    def count(what: str, image: str) -> str:
        """Count things of one kind, and check the count by looking."""
        return load_prompt("menu_count").render(what=what, image=image)

    @server.prompt(title="Compare two ways of asking")
    def compare(instruction: str, image: str) -> str:
        """Answer an instruction by both routes, and say where they differ."""
        return load_prompt("menu_compare").render(instruction=instruction, image=image)

    @server.prompt(title="Cut something out")
    def cut_out(what: str, image: str) -> str:
        """Cut something out of a picture, on a transparent ground."""
        return load_prompt("menu_cut_out").render(what=what, image=image)


def icon() -> Icon:
    """Return the server's icon."""
    drawing = files("sam3i_agent.tools.mcp").joinpath("icon.svg").read_bytes()
    source = f"data:image/svg+xml;base64,{base64.b64encode(drawing).decode()}"
    return Icon(src=source, mime_type="image/svg+xml", sizes=["any"])


def website() -> str | None:
    """Return the address of the project's page, where its metadata name one."""
    urls = metadata(DISTRIBUTION).get_all("Project-URL") or []
    named = dict(one.split(", ", 1) for one in urls)
    return named.get("Homepage")
