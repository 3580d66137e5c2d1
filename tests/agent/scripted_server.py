"""An OpenAI-compatible HTTP server that plays a script over real sockets and keeps a log.

It streams where it is asked to.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    message: Body | None = None
    """The assistant's message; None sends `raw`."""
    status: int = 200
    raw: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    promised_bytes: int = 0
    """Announce so many more bytes than are sent, then drop the connection."""
    drop: bool = False
    """Close the connection without any answer."""
    whole: bool = False
    """Send the message in one piece although a stream is asked for."""
    pieces: Iterable[Body] | None = None
    """Of a stream, instead of those of the message."""
    pace_s: float = 0.0
    """Before each piece."""
    cut_after: int | None = None
    """Pieces; then the stream is silent for `silence_s` and the connection is dropped."""
    silence_s: float = 0.0


Script = Callable[[Body, int], Reply]
"""From the request's body and its number (from 0) to the answer."""


@dataclass
class ScriptedServer:
    """The running server."""

    url: str
    log: list[Body]
    """Bodies of all requests, in order of arrival."""
    headers: list[dict[str, str]]
    """Likewise, with names in small letters."""


def offered(body: Body) -> list[str]:
    """The functions of a conversation that the request lets the model call."""
    if "tools" in body:
        return [one["function"]["name"] for one in body["tools"]]
    return re.findall(r"^- (\w+): ", body["messages"][-1]["content"], re.MULTILINE)


def write(function: str, **arguments: object) -> Reply:
    """A call in the text protocol."""
    call = json.dumps({"function": function, "arguments": arguments})
    return say(f"Let me see.\n<call>{call}</call>")


def asked(body: Body) -> str:
    """The function that the request asks the model to call, of a conversation the first."""
    if "tools" in body:
        return body["tools"][0]["function"]["name"]
    if "response_format" in body:
        return body["response_format"]["json_schema"]["name"]
    text = json.dumps(body["messages"])
    if "<call>" in text:
        return offered(body)[0]
    kinds = (
        ("judgements", "judge_masks"),
        ("verdict", "judge_mask"),
        ("targets", "propose_phrases"),
        ("masks", "select_masks"),
        ("complete", "judge_completeness"),
    )
    return next(name for field_name, name in kinds if f'{field_name}\\"' in text)


def question(body: Body) -> str:
    """The text of the first question."""
    return body["messages"][1]["content"][0]["text"]


def call(body: Body, function: str = "", **arguments: object) -> Reply:
    """A function call, as it was asked for, or of one of several functions."""
    about = {"name": function or asked(body), "arguments": json.dumps(arguments)}
    return Reply(
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": about}]}
    )


def say(text: str, **more: Any) -> Reply:
    """A message of plain text."""
    return Reply({"role": "assistant", "content": text, **more})


def _completion(model: str, message: Body) -> Body:
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100},
    }


def delta(**message: Any) -> Body:
    """A piece of a streamed reply."""
    return {"choices": [{"index": 0, "delta": message, "finish_reason": None}]}


END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
"""The piece that says that there are no more."""
USAGE = {"choices": [], "usage": {"total_tokens": 100}}


def pieces_of(message: Body, counted: bool) -> list[Body]:
    """Stream a message as the API's maker does."""
    pieces = [delta(role="assistant", content="")]
    for name, value in message.items():
        if name == "tool_calls":
            for index, one in enumerate(value):
                head = {**one, "index": index, "function": {**one["function"], "arguments": ""}}
                pieces.append(delta(tool_calls=[head]))
                pieces += [
                    delta(tool_calls=[{"index": index, "function": {"arguments": part}}])
                    for part in _parts(one["function"]["arguments"])
                ]
        elif name != "role":
            pieces += [delta(**{name: part}) for part in _parts(value)]
    return [*pieces, END, *([USAGE] if counted else [])]


def _parts(text: str, count: int = 4) -> list[str]:
    size = -(-len(text) // count) or 1
    return [text[start : start + size] for start in range(0, len(text), size)]


@contextmanager
def serve(script: Script) -> Iterator[ScriptedServer]:
    """Run a server that answers by `script`."""
    log: list[Body] = []
    headers: list[dict[str, str]] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(log)
                log.append(body)
                headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = script(body, number)
            if reply.delay_s:
                time.sleep(reply.delay_s)
            if reply.drop:
                self.close_connection = True
                return
            if body.get("stream") and not reply.whole and (reply.message or reply.pieces):
                self._stream(body, reply)
                return
            content = reply.raw
            if reply.message is not None:
                content = json.dumps(_completion(body["model"], reply.message)).encode()
            try:
                self.send_response(reply.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content) + reply.promised_bytes))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has given up waiting
            if reply.promised_bytes:
                self.close_connection = True

        def _stream(self, body: Body, reply: Reply) -> None:
            counted = body.get("stream_options", {}).get("include_usage", False)
            pieces = reply.pieces or pieces_of(reply.message or {}, counted)
            self.send_response(200)
            self.send_header("content-type", "text/event-stream; charset=utf-8")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                for number, piece in enumerate(pieces):
                    if number == reply.cut_after:
                        time.sleep(reply.silence_s)
                        self.close_connection = True
                        return
                    time.sleep(reply.pace_s)
                    self._chunk(f"data: {json.dumps(piece)}\n\n")
                self._chunk("data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has given up waiting

        def _chunk(self, text: str) -> None:
            self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())

        def log_message(self, *args: object) -> None:
            """Keep the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield ScriptedServer(f"http://127.0.0.1:{server.server_address[1]}/v1", log, headers)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
