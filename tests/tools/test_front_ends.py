"""Front ends behind a proxy of one's own: any of them answers any request."""

import asyncio
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from sam3i_agent.tools.serving import late_answers
from sam3i_agent.tools.serving.access.access import Access
from sam3i_agent.tools.serving.calls import Calls
from sam3i_agent.tools.serving.cluster.metrics import RayExport
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


@pytest.mark.filterwarnings("default")  # Ray's own, when it is imported
def test_what_a_process_on_ray_counts_is_handed_to_ray(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray", reason="needs the extra serve")
    shown: dict[tuple[str, ...], float] = {}

    class Gauge:
        def __init__(self, name: str, about: str, keys: tuple[str, ...]) -> None:
            self._name, self._keys = name, keys

        def set(self, value: float, tags: dict[str, Any]) -> None:
            assert set(tags) == set(self._keys)
            shown[(self._name, *tags.values())] = value

    monkeypatch.setattr("ray.serve.metrics.Gauge", Gauge)
    registry = CollectorRegistry()
    calls = Counter("calls", "Of a tool.", ("tool",), registry=registry)
    seconds = Histogram("seconds", "Of calls.", buckets=(1,), registry=registry)
    export = RayExport(registry)
    for _ in range(2):
        calls.labels("segment").inc()
        seconds.observe(0.5)
        export.copy()
    assert shown == {
        ("calls_total", "segment"): 2, ("seconds_bucket", "1.0"): 2, ("seconds_bucket", "+Inf"): 2,
        ("seconds_count",): 2, ("seconds_sum",): 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("held_s", "method", "wanted"),
    [
        (45.0, "POST", ["start", b"data: 1", b": ping", b"data: 2"]),
        (0.0, "POST", ["start", b": ping", b": ping", b"data: 1", b": ping", b"data: 2"]),
        (45.0, "GET", ["start", b": ping", b": ping", b"data: 1", b": ping", b"data: 2"]),
    ],
)
def test_an_answer_begins_with_its_first_word_or_when_a_proxy_would_give_up(
    monkeypatch: pytest.MonkeyPatch, held_s: float, method: str, wanted: list[Any]
):
    monkeypatch.setattr(late_answers, "_HELD_S", held_s)
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body in (b": ping", b": ping", b"data: 1", b": ping", b"data: 2"):
            await send({"type": "http.response.body", "body": body, "more_body": True})

    async def send(message: Any) -> None:
        sent.append(message.get("body", "start"))

    async def receive() -> Any:
        return {}

    asyncio.run(late_answers.LateAnswers(app)({"type": "http", "method": method}, receive, send))
    assert sent == wanted
