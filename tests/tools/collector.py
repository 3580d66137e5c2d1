"""An OpenTelemetry collector that keeps the spans it is sent, over OTLP on HTTP."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Seen:
    """A span."""

    name: str
    trace: str
    id: str
    parent: str
    part: str
    """Of the service: the resource's `sam3i.part`."""
    pid: int


@dataclass
class Collector:
    """The running collector."""

    url: str
    spans: list[Seen] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        """Keep the spans of a request."""
        request = ExportTraceServiceRequest.FromString(body)
        for group in request.resource_spans:
            about = {one.key: one.value for one in group.resource.attributes}
            assert about["service.name"].string_value == "sam3i"
            part, pid = about["sam3i.part"].string_value, about["process.pid"].int_value
            for scope in group.scope_spans:
                self.spans += [
                    Seen(
                        one.name,
                        one.trace_id.hex(),
                        one.span_id.hex(),
                        one.parent_span_id.hex(),
                        part,
                        pid,
                    )
                    for one in scope.spans
                ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector; `OTEL_EXPORTER_OTLP_ENDPOINT` takes its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            """Keep the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
