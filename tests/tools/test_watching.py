"""A call can be followed: by its id in logs and answers, by its trace through processes."""

import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from sam3i_agent.agent.telemetry import (
    chosen_id,
    identified_by,
    outgoing_headers,
    part_of,
    request_id,
)
from sam3i_agent.core.errors import InputError, TryAgainError
from sam3i_agent.tools.serving.addresses import REQUEST_ID_KEY
from sam3i_agent.tools.serving.logs import JsonLines
from sam3i_agent.tools.serving.tracing import set_up_tracing
from tests.agent.scripted_server import call, serve
from tests.tools.collector import collecting
from tests.tools.fakes import client_of, picture_uri, toolbox_of
from tests.tools.servers import EXAMPLE, SERVE, http_server

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
MADE = 32
"""Characters of an id that is made here."""


@pytest.mark.parametrize(
    ("given", "traceparent", "chosen"),
    [
        ("order-17", None, "order-17"),
        ("order-17", PARENT, "order-17"),  # who names the call means it
        (None, PARENT, TRACE),
        ("two\nlines", PARENT, TRACE),  # a log line could be forged
        ("x" * 129, None, None),
        (None, PARENT.replace(TRACE, "0" * 32), None),  # W3C: invalid
        (None, "garbage", None),
        ("", None, None),
    ],
)
def test_a_call_is_named_by_its_caller_by_its_trace_or_here(given, traceparent, chosen):
    id_ = chosen_id(given, traceparent)
    assert id_ == chosen if chosen else len(id_) == MADE and id_ != chosen_id(given, traceparent)


def test_another_process_takes_the_call_over():
    with identified_by("order-17"):
        headers = outgoing_headers()
    assert request_id() is None
    with part_of({**headers, "traceparent": PARENT}):
        assert request_id() == "order-17"
        assert outgoing_headers()["traceparent"].split("-")[1] == TRACE
    assert "traceparent" not in outgoing_headers()


def test_each_answer_has_an_id_and_so_has_each_error():
    async def run() -> None:
        toolbox = toolbox_of()
        async with client_of(toolbox) as client:
            question = {"image": picture_uri(), "instruction": "star"}
            first, second = [await client.call_tool("segment", question) for _ in range(2)]
            assert len({first.meta[REQUEST_ID_KEY], second.meta[REQUEST_ID_KEY]}) == 2
            wrong = await client.call_tool("measure", {"result_id": "none"})
            assert wrong.is_error and len(wrong.meta[REQUEST_ID_KEY]) == MADE
            toolbox.service.segmenter = _too_busy
            later = await client.call_tool("segment", question)
            assert later.structured_content["error"] == "try_again"
            assert later.structured_content["request_id"] == later.meta[REQUEST_ID_KEY]
            with pytest.raises(MCPError) as lost:
                await client.read_resource("sam3i://results/none/result.json")
            assert len(lost.value.error.data["request_id"]) == MADE

    anyio.run(run)


def _too_busy() -> Any:
    raise TryAgainError("too many requests wait for the model", 2)


def test_a_line_of_the_log_is_json_with_the_id_and_what_went_wrong():
    record = logging.makeLogRecord(
        {"msg": "a %s", "args": ("b",), "levelname": "INFO", "name": "x"}
    )
    record.seconds = 0.5
    with identified_by("order-17"):
        line = json.loads(JsonLines().format(record))
    assert line["message"] == "a b" and line["request_id"] == "order-17" and line["seconds"] == 0.5
    assert line["level"] == "info" and line["time"].endswith("+00:00")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record.exc_info = sys.exc_info()
    text = JsonLines().format(record)
    assert "\n" not in text and "ValueError: two\nlines" in json.loads(text)["exception"]


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    with pytest.raises(
        InputError, match=r"OTEL_TRACES_EXPORTER=carrier-pigeon.*sam3i-agent\[otel\]"
    ):
        set_up_tracing("server")


def test_a_call_is_one_trace_and_one_id_from_its_sender_to_the_language_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    propose = {"targets": ["red square"], "helpers": [], "absent": False, "reason": ""}
    log = tmp_path / "log.jsonl"
    with collecting() as collector, serve(lambda body, number: call(body, **propose)) as model:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        asked = ("--mllm-url", model.url, "--mllm-model", "m", "--log-format", "json")
        with http_server(*SERVE, *asked, log=log) as (url, process):
            answer = anyio.run(_ask, url)
            assert httpx.get(url, headers={"traceparent": PARENT}).headers["x-request-id"] == TRACE
    assert answer.meta[REQUEST_ID_KEY] == "order-17"
    assert {one.get("x-request-id") for one in model.headers} == {"order-17"}
    assert {one["traceparent"].split("-")[1] for one in model.headers} == {TRACE}
    spans = [one for one in collector.spans if one.trace == TRACE]
    assert {"tools/call segment", "sam3i.run", "sam3i.mllm"} <= {one.name for one in spans}
    known = {one.id for one in spans} | {PARENT.split("-")[2]}
    assert {one.parent for one in spans} <= known and {one.pid for one in spans} == {process.pid}
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    ours = [one for one in lines if one.get("request_id") == "order-17"]
    (last,) = [one for one in ours if one["logger"].endswith("call_ids")]
    assert last["of"] == "segment" and last["outcome"] == "ok" and last["trace_id"] == TRACE
    assert any("route: " in one["message"] for one in ours)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_call_is_one_trace_over_front_end_and_replica(monkeypatch: pytest.MonkeyPatch):
    with (
        tempfile.TemporaryDirectory(dir="/tmp", prefix="ray", ignore_cleanup_errors=True) as ray,
        collecting() as collector,
    ):
        monkeypatch.setenv("RAY_TMPDIR", ray)  # whose sockets need a short path
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        options = ("--replicas", "1", "--log-format", "json")
        with http_server(*SERVE, *options) as (url, process):
            assert anyio.run(_ask, url).meta[REQUEST_ID_KEY] == "order-17"
            logs = "".join(one.read_text() for one in Path(ray).rglob("logs/worker*.err"))
    lines = [json.loads(line) for line in logs.splitlines() if "order-17" in line]
    assert any(line["logger"].endswith("cluster.replica") for line in lines)
    spans = [one for one in collector.spans if one.trace == TRACE]
    by_id = {one.id: one for one in spans}
    there = next(one for one in spans if one.name == "sam3i.replica")
    assert there.part == "replica" and there.pid != process.pid
    assert by_id[there.parent].part == "server" and by_id[there.parent].pid == process.pid


async def _ask(url: str) -> Any:
    headers = {"x-request-id": "order-17", "traceparent": PARENT}
    question = {"image": str(EXAMPLE), "instruction": "the red square", "route": "agent"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return await client.call_tool("segment", question)
