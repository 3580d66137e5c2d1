"""The Inspector's command line lists and calls every tool over both transports."""

import json
from typing import Any

import pytest

from tests.interop.npm import needs_npm, run_npm
from tests.tools.servers import EXAMPLE, SERVE, http_server, stdio_server

TOOLS = {
    "segment", "segment_concepts", "refine", "view", "edit", "measure", "track",
    "describe_capabilities",
}  # fmt: skip


class _Inspector:
    """Calls a server afresh each time."""

    def __init__(self, *target: str) -> None:
        self._target = target

    def ask(self, method: str, *arguments: str) -> Any:
        options = ("--method", method, *arguments, "--format", "json", "-q")
        done = run_npm("mcp-inspector", "--cli", *options, *self._target)
        assert "{" in done.stdout, done.stderr
        return json.loads(done.stdout[done.stdout.index("{") :])["result"]

    def call(self, tool: str, **arguments: Any) -> Any:
        given: list[str] = []
        for name, value in arguments.items():
            text = value if isinstance(value, str) else json.dumps(value)
            given += ["--tool-arg", f"{name}={text}"]
        return self.ask("tools/call", "--tool-name", tool, *given)


@needs_npm
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_every_tool_over_http(era: str):
    with http_server(*SERVE) as (url, _):
        inspector = _Inspector("--server-url", url, "--transport", "http", "--protocol-era", era)
        assert {one["name"] for one in inspector.ask("tools/list")["tools"]} == TOOLS
        found = inspector.call("segment", image=str(EXAMPLE), instruction="the red square")
        assert found["structuredContent"]["count"] == 1
        id_ = found["structuredContent"]["result_id"]
        assert inspector.call("measure", result_id=id_)["structuredContent"]["count"] == 1
        (picture,) = inspector.call("view", result_id=id_, instances=[1], zoom=True)["content"]
        assert picture["mimeType"] == "image/jpeg"
        edited = inspector.call("edit", result_id=id_, action="blur")["structuredContent"]
        assert edited["instances"] == [1] and edited["uri"].endswith(".png")
        several = inspector.call("segment_concepts", image=id_, phrases=["diamond", "red square"])
        assert len(several["structuredContent"]["concepts"]) == 2
        refined = inspector.call("refine", result_id=id_, points=[[120, 220]])
        assert refined["isError"] and "takes no clicks" in refined["content"][0]["text"]
        lost = inspector.call("track", video="/nowhere.mp4", instruction="red circle")
        assert lost["isError"] and "outside the folders" in lost["content"][0]["text"]
        able = inspector.call("describe_capabilities")
        assert able["structuredContent"]["model"] == "tiny"


@needs_npm
def test_every_tool_over_stdio():
    server = stdio_server(*SERVE)
    inspector = _Inspector(server.command, *server.args)
    assert {one["name"] for one in inspector.ask("tools/list")["tools"]} == TOOLS
    found = inspector.call("segment", image=str(EXAMPLE), instruction="the red square")
    assert found["structuredContent"]["count"] == 1
    several = inspector.call("segment_concepts", image=str(EXAMPLE), phrases=["red square"])
    assert several["structuredContent"]["concepts"][0]["count"] == 1
    assert inspector.call("describe_capabilities")["structuredContent"]["model"] == "tiny"
    lost = inspector.call("track", video="/nowhere.mp4", instruction="red circle")
    assert lost["isError"] and "there is no video" in lost["content"][0]["text"]
    for tool in (
        "measure",
        "refine",
        "view",
    ):  # each call has a server of its own, with no results yet
        answer = inspector.call(tool, result_id="0123456789abcdef")
        assert answer["isError"] and "there is no result" in answer["content"][0]["text"]
