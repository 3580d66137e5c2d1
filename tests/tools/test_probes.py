"""What a load balancer and Prometheus ask of the server, and how it stops."""

import contextlib
import re
import signal
import time
from pathlib import Path

import anyio
import httpx
from mcp import Client

from tests.tools.servers import EXAMPLE, SERVE, http_server

TOKEN = "a token for the tests"
CALL = {"image": str(EXAMPLE), "instruction": "the red square", "include": []}


def _wait_until_ready(url: str) -> None:
    end = time.monotonic() + 60
    while httpx.get(url).status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.1)


def _metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])


def test_probes_and_metrics():
    with http_server(*SERVE) as (url, _):
        base = url.removesuffix("/mcp")
        assert httpx.get(f"{base}/healthz").text == "ok\n"
        assert httpx.get(f"{base}/readyz").status_code in (200, 503)

        async def call() -> None:
            async with Client(url) as client:
                for _ in range(2):
                    assert not (await client.call_tool("segment", CALL)).is_error
                wrong = await client.call_tool("segment", {**CALL, "image": "nowhere.png"})
                assert wrong.is_error

        anyio.run(call)
        _wait_until_ready(f"{base}/readyz")
        text = httpx.get(f"{base}/metrics").text
    assert _metric(text, 'sam3i_tool_calls_total{caller="nobody",outcome="ok",tool="segment"}') == 2
    assert (
        _metric(text, 'sam3i_tool_calls_total{caller="nobody",outcome="error",tool="segment"}') == 1
    )
    assert _metric(text, 'sam3i_tool_call_seconds_count{tool="segment"}') == 3
    assert _metric(text, "sam3i_tool_calls_running") == 0
    assert _metric(text, 'sam3i_cache_lookups_total{cache="photos",outcome="hit"}') >= 1
    assert _metric(text, 'sam3i_cache_lookups_total{cache="photos",outcome="miss"}') == 1
    assert _metric(text, "sam3i_cache_bytes") > 100_000
    assert _metric(text, 'sam3i_model_passes_total{part="encoder"}') == 1


def test_metrics_want_the_token_and_other_names_are_refused():
    with http_server(*SERVE, "--allow-host", "sam3i.test", token=TOKEN) as (url, _):
        base = url.removesuffix("/mcp")
        assert httpx.get(f"{base}/healthz").status_code == 200
        assert httpx.get(f"{base}/metrics").status_code == 401
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert "sam3i_tool_calls_running" in httpx.get(f"{base}/metrics", headers=bearer).text
        statuses = {
            name: httpx.post(url, headers={**bearer, "host": name}, json={}).status_code
            for name in ("sam3i.test", "evil.test")
        }
        assert statuses["evil.test"] == 421 and statuses["sam3i.test"] not in (401, 403, 421)


def test_a_call_under_way_is_finished_before_the_server_stops(tmp_path: Path):
    marks = tmp_path / "marks"
    with http_server("tests.tools.slow_server", str(marks)) as (url, process):
        base = url.removesuffix("/mcp")
        answers: list[bool] = []

        async def run() -> None:
            async def call() -> None:
                async with Client(url) as client:
                    answer = await client.call_tool("segment", {**CALL, "route": "direct"})
                    answers.append(answer.is_error)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                with anyio.fail_after(60):
                    while not marks.exists():
                        await anyio.sleep(0.05)
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(30):
                    while httpx.get(f"{base}/readyz").text != "stopping\n":
                        await anyio.sleep(0.1)

        with contextlib.suppress(ExceptionGroup):  # nobody is there to say goodbye to
            anyio.run(run)
        assert answers == [False]
        process.wait(timeout=30)
