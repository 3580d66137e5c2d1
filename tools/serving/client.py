"""Asking a server that is already running, without the model's libraries.

Two requests of MCP's revision without sessions: the tool `segment`, then the whole result as a
resource.
"""

import base64
import http.client
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationError

from sam3i_agent.core.contracts import SegmentationResult, SegmentRequest
from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.tools.serving.addresses import PATH, REQUEST_ID_KEY, TOKEN_VARIABLE

_PROTOCOL = "2026-07-28"
_META = "io.modelcontextprotocol"
_CONNECT_S = 5
_RESULT_NAME = "/result.json"
_EVENT = b"data:"


class ServerClient:
    """A `sam3i serve --http` to ask.

    Args:
        url: such as http://127.0.0.1:8765; the path of the endpoint is added where there is none.

    Raises:
        InputError: it is no address.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._parts = _read(url)
        self._path = self._parts.path.rstrip("/") or PATH

    def segment(self, image: Path, request: SegmentRequest) -> SegmentationResult:
        """Return the server's answer.

        Args:
            image: the photo's file, which is sent whole.
            request: about it; instruction, route, level and `max_instances` count, the rest is the
                server's.

        Raises:
            InputError: no server is there, or it wants a token.
            ModelError: it refuses, fails, or is something else.
        """
        picture = base64.b64encode(image.read_bytes()).decode()
        arguments = {
            "image": f"data:image/any;base64,{picture}",
            "instruction": request.instruction,
            "route": request.route.value,
            "level": request.level.value,
            "max_instances": request.max_instances,
            "include": ["links"],
        }
        answer = self._call("tools/call", "segment", name="segment", arguments=arguments)
        if answer.get("isError"):
            said = " ".join(one.get("text", "") for one in answer.get("content", ()))
            id_ = (answer.get("_meta") or {}).get(REQUEST_ID_KEY)
            raise ModelError(f"the server answered: {said.strip()}", _to_quote(id_))
        links = (answer.get("structuredContent") or {}).get("resources") or ()
        whole = next((one for one in links if one.endswith(_RESULT_NAME)), None)
        if whole is None:
            raise self._strange("an answer without a result")
        contents = self._call("resources/read", whole, uri=whole).get("contents") or [{}]
        try:
            result = SegmentationResult.model_validate_json(contents[0].get("text", ""))
        except ValidationError as error:
            raise self._strange("a result of another version") from error
        # The photo went without its name.
        named = result.image.model_copy(update={"name": image.name})
        return result.model_copy(update={"image": named})

    def _call(self, method: str, target: str, **params: Any) -> dict[str, Any]:
        about = {
            f"{_META}/protocolVersion": _PROTOCOL,
            f"{_META}/clientInfo": {"name": "sam3i", "version": "1"},
            f"{_META}/clientCapabilities": {},
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": about}}
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": _PROTOCOL,
            "mcp-method": method,
            "mcp-name": target,
        }
        if token := os.environ.get(TOKEN_VARIABLE):
            headers["authorization"] = f"Bearer {token}"
        status, body = self._post(json.dumps(message).encode(), headers)
        if status == http.client.UNAUTHORIZED:
            raise InputError(f"the server {self.url} asks for a token", f"set {TOKEN_VARIABLE}")
        reply = _reply_in(body)
        if "result" in reply:
            return reply["result"]
        if "error" in reply:
            error = reply["error"]
            data = error.get("data")
            id_ = data.get("request_id") if isinstance(data, dict) else None
            raise ModelError(f"the server answered: {error.get('message', status)}", _to_quote(id_))
        raise self._strange(f"status {status}")

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        host, port = self._parts.hostname or "", self._parts.port
        connection = kind(host, port, timeout=_CONNECT_S)
        try:
            connection.connect()
            connection.sock.settimeout(None)  # an answer takes as long as it takes
            connection.request("POST", self._path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise InputError(
                f"no server answers at {self.url}: {error}",
                f"start one with: sam3i serve --http {host}:{port or http.client.HTTP_PORT}",
            ) from error
        finally:
            connection.close()

    def _strange(self, what: str) -> ModelError:
        return ModelError(
            f"the server {self.url} gave {what}", "is it a sam3i serve --http of this version?"
        )


def _to_quote(request_id: str | None) -> str:
    """Return what to tell the server's owner, where it named the call."""
    return f"its owner finds it in the logs as request {request_id}" if request_id else ""


def _read(url: str) -> SplitResult:
    wrong = InputError(f"--server takes http://HOST:PORT, not {url!r}")
    try:
        parts = urlsplit(url)
        _ = parts.port  # which says that one is out of range
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong
    return parts


def _reply_in(body: bytes) -> dict[str, Any]:
    """Return the message that answers: the body, or the last event of a stream."""
    events = [line[len(_EVENT) :] for line in body.splitlines() if line.startswith(_EVENT)]
    try:
        reply = json.loads(events[-1] if events else body)
    except ValueError:
        return {}
    return reply if isinstance(reply, dict) else {}
