"""`sam3i segment --server`: the same files as without, from a process that loads no model."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from sam3i_agent.cli.main import main
from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.prompt import SCORE_THRESHOLD
from sam3i_agent.tools.serving.addresses import TOKEN_VARIABLE
from sam3i_agent.tools.serving.client import ServerClient, _reply_in
from tests.tools.servers import EXAMPLE, SERVE, http_server

TOKEN = "a token of many characters"
WITH_TOKEN = {TOKEN_VARIABLE: TOKEN}
_NEVER_LOADED = ("torch", "transformers", "mcp", "langgraph", "openai")
_ASK = (
    "import sys, sam3i_agent.cli.main as cli\n"
    "try:\n    cli.main()\n"
    f"finally:\n    print(*({{*{_NEVER_LOADED!r}}} & {{*sys.modules}}), file=sys.stderr)"
)


def _ask(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _ASK, "segment", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http_server(*SERVE, token=TOKEN) as (url, _):
        yield url


def test_files_are_those_of_a_model_in_this_process(server: str, tmp_path: Path):
    words = (EXAMPLE, "all diamonds except the white one")
    there = _ask(
        *words,
        "--out",
        tmp_path / "there",
        SAM3I_SERVER=server.removesuffix("/mcp"),
        **WITH_TOKEN,
    )
    here = _ask(*words, "--out", tmp_path / "here", "--server", "", SAM3I_SERVER="http://unused")
    assert there.returncode == here.returncode == 0, there.stderr + here.stderr
    assert (there.stderr, "torch" in here.stderr) == ("\n", True)
    pictures = [
        {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*.png")}
        for folder in (tmp_path / "here", tmp_path / "there")
    ]
    assert pictures[0] == pictures[1] and {"overlay.png", "masks/1.png"} <= pictures[0].keys()
    ours, asked = (
        json.loads((tmp_path / one / "result.json").read_text()) for one in ("here", "there")
    )
    for one in (ours, asked):
        one["run_id"] = one["usage"]["seconds"] = None
    assert asked == ours and ours["instances"][0]["score"] > SCORE_THRESHOLD


def test_a_server_that_asks_for_a_token_is_named(server: str):
    run = _ask(EXAMPLE, "star", "--server", server, **{TOKEN_VARIABLE: ""})
    assert run.returncode == 2
    assert "asks for a token (set SAM3I_TOKEN)" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("star", "--server", "http://127.0.0.1:1"), "no server answers at http://127.0.0.1:1"),
        (("star", "--server", "127.0.0.1:8765"), "--server takes http://HOST:PORT"),
        (("star", "--server", "http://[::1"), "--server takes http://HOST:PORT"),
        (("star", "--server", "http://a:b"), "--server takes http://HOST:PORT"),
        (("star", "--server", "http://x", "--box", "1,2,3,4"), "--box does not go with a server"),
        (("star", "--server", "http://x", "--device", "cpu"), "--model, --device or --tiling"),
        (("star", "--server", "http://x", "--max-rounds", "2"), "a limit of the agent"),
        (("", "--server", "http://x"), "the instruction is empty"),
        (("--server", "http://x"), "an image and an instruction are needed"),
    ],
)
def test_bad_input_is_one_line_without_a_server(
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "argv", ["sam3i", "segment", str(EXAMPLE), *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    printed = capsys.readouterr()
    assert left.value.code == 2 and printed.out == ""
    assert said in printed.err and printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html>hello</html>", "status 200"),
        (b"[1]", "status 200"),
        (b'{"error": {"message": "not today"}}', "not today"),
        (b'{"result": {"isError": true, "content": [{"text": "no such route"}]}}', "no such route"),
        (
            b'{"result": {"isError": true, "content": [],'
            b' "_meta": {"io.github.sam3i-agent/request_id": "order-17"}}}',
            "in the logs as request order-17",
        ),
        (b'{"error": {"message": "no", "data": {"request_id": "order-17"}}}', "request order-17"),
        (b'{"error": {"message": "no", "data": "that is"}}', "the server answered: no"),
        (b'{"result": {"structuredContent": null}}', "an answer without a result"),
        (
            b'{"result": {"structuredContent": {"resources": ["a/result.json"]}, "contents": []}}',
            "a result of another version",
        ),
    ],
)
def test_something_else_that_answers_is_told_apart(answer: bytes, said: str):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
            pass

    from sam3i_agent.agent.requests import make_request
    from sam3i_agent.core.photo import read_photo

    with HTTPServer(("127.0.0.1", 0), Handler) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        client = ServerClient(f"http://127.0.0.1:{other.server_address[1]}")
        with pytest.raises(ModelError, match=said):
            client.segment(EXAMPLE, make_request(read_photo(EXAMPLE), "star"))
        other.shutdown()


def test_the_answer_is_the_last_event_of_a_stream():
    stream = (
        b': ping\r\n\r\ndata: {"method": "x"}\r\n\r\nevent: message\r\ndata: {"result": {}}\r\n'
    )
    assert _reply_in(stream) == {"result": {}}
    assert _reply_in(b"") == {}


def test_an_address_of_another_kind_is_refused():
    with pytest.raises(InputError, match="takes http://HOST:PORT"):
        ServerClient("ftp://127.0.0.1:8765")
