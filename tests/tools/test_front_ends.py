"""Front ends behind a proxy of one's own: any of them answers any request."""

import asyncio

import httpx2
import pytest

from sam3i_agent.tools.serving.access.access import Access
from sam3i_agent.tools.serving.calls import Calls
from sam3i_agent.tools.serving.http import protected_app
from sam3i_agent.tools.serving.settings import ServeSettings
from tests.tools.fakes import toolbox_of

OLDER = "2025-06-18"


@pytest.mark.parametrize("join", [True, False])
def test_a_client_of_an_older_protocol_needs_a_session_only_where_nobody_joins(join: bool):
    settings = ServeSettings(join=join)
    app = protected_app(toolbox_of(), settings, Access(), Calls())

    async def ask() -> httpx2.Response:
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": OLDER}
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app),
                base_url=f"http://{settings.host}:{settings.port}",
                headers=headers,
            ) as http,
        ):
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
            return await http.post("/mcp", json=body)

    answer = asyncio.run(ask())
    assert answer.is_success is join, answer.text
    assert ('"segment"' in answer.text) is join
