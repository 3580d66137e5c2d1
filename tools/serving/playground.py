"""The view in a browser, without a host: the page at `/`, which calls the server it comes from."""

from typing import Any

from mcp.server import MCPServer
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sam3i_agent.tools.mcp.view.page import page

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def add_playground(server: MCPServer[Any]) -> None:
    """Show the view at `/`.

    The page holds nothing that is secret; its calls show the token where the server asks for one.
    """

    @server.custom_route("/", methods=["GET"])
    async def playground(request: Request) -> Response:
        headers = {"content-security-policy": _POLICY, "referrer-policy": "no-referrer"}
        return HTMLResponse(page(), headers=headers)
