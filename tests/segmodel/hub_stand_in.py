"""A hub over HTTP on this machine: repositories from folders, gates, and connections that break."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "a" * 40
OTHER_COMMIT = "b" * 40
_TOKEN = "Bearer hf_admitted"


@dataclass
class Hub:
    """The running stand-in; a test changes it as it goes."""

    url: str = ""
    repositories: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    """Whose files take a token."""
    refuses_tokens: bool = False
    """Gated files are refused to whoever has one (403)."""
    broken_after: int | None = None
    """Bytes of a file of weights after which the connection breaks."""
    breaks_left: int = 0
    """How often it breaks."""
    replaced_by: bytes | None = None
    """Sent in place of weights, under their hash."""
    asked: list[str] = field(default_factory=list)
    """Method and path of each request, and the range where one is asked for."""


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Run a hub without repositories."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            wanted = self.headers.get("Range", "")
            hub.asked.append(f"{self.command} {self.path} {wanted}".strip())
            path = self.path.partition("?")[0].strip("/").split("/")
            api = path[:2] == ["api", "models"]
            name = "/".join(path[2:4] if api else path[:2])
            if name not in hub.repositories:
                self._refuse(401, "RepoNotFound")
            elif api and path[4:5] == ["tree"]:
                self._send_json(_tree(hub.repositories[name]))
            elif api:
                self._describe(name, path[5] if path[4:5] == ["revision"] else "main")
            else:
                self._send_file(name, path[3], "/".join(path[4:]))

        def _describe(self, name: str, revision: str) -> None:
            commits = {"main": COMMIT, "v1": OTHER_COMMIT, COMMIT: COMMIT}
            if revision not in commits:
                self._refuse(404, "RevisionNotFound")
            else:
                self._send_json({"id": name, "sha": commits[revision], "siblings": []})

        def _send_file(self, name: str, commit: str, file: str) -> None:
            token = self.headers.get("Authorization")
            if name in hub.gated and (token != _TOKEN or hub.refuses_tokens):
                self._refuse(401 if token is None else 403, "GatedRepo")
                return
            path = hub.repositories[name] / file
            if not path.is_file():
                self._refuse(404, "EntryNotFound")
                return
            content = path.read_bytes()
            etag = hashlib.sha256(content).hexdigest()
            first = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            weights = file.endswith(".safetensors")
            sent = content
            if weights and hub.replaced_by is not None:
                sent = hub.replaced_by.ljust(len(content), b"?")[: len(content)]
            body = sent[first:]
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(body)))
            if first:
                self.send_header(
                    "Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Linked-Etag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            if self.command == "HEAD":
                return
            if weights and hub.broken_after is not None and hub.breaks_left > 0:
                hub.breaks_left -= 1
                self.wfile.write(body[: hub.broken_after])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
            else:
                self.wfile.write(body)

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send_json(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


def _tree(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for path in sorted(folder.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size
        entry: dict[str, object] = {
            "type": "file", "path": path.name, "size": size, "oid": digest[:40],
        }  # fmt: skip
        if path.suffix == ".safetensors":
            entry["lfs"] = {"oid": digest, "size": size, "pointerSize": 134}
        found.append(entry)
    return found
