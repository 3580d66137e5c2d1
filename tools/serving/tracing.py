"""Where spans go, as the variables OTEL_* say, and of which call an HTTP request is part."""

import os
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import context, trace
from opentelemetry.propagate import extract
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam3i_agent.agent.telemetry import REQUEST_ID_HEADER, chosen_id
from sam3i_agent.core.errors import InputError

_SERVICE = "sam3i"
_EXPORTERS = "OTEL_TRACES_EXPORTER"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_PLACES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_GROUP = "opentelemetry_traces_exporter"
"""Of entry points, where exporters are found by name."""


def set_up_tracing(part: str) -> None:
    """Send the spans of this process, where a variable OTEL_* names a place (extra `otel`).

    `OTEL_EXPORTER_OTLP_ENDPOINT` does, or `OTEL_TRACES_EXPORTER` (otlp, console, or what else is
    installed); the others say how. Where the program around has set up an SDK, nothing is done.

    Args:
        part: of the service that this process is, such as replica.

    Raises:
        InputError: the SDK or an exporter is not installed.
    """
    names = _exporters_wanted()
    if not names:
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise _missing(_EXPORTERS) from error
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    about = {"sam3i.part": part, "process.pid": os.getpid()}
    if "OTEL_SERVICE_NAME" not in os.environ:
        about["service.name"] = _SERVICE
    provider = TracerProvider(resource=Resource.create(about))
    for name in names:
        provider.add_span_processor(BatchSpanProcessor(_exporter(name)()))
    trace.set_tracer_provider(provider)


def _exporters_wanted() -> list[str]:
    given = os.environ.get(_EXPORTERS, "")
    if not given and any(os.environ.get(name) for name in _PLACES):
        given = "otlp"
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        given = ""
    return [name for part in given.split(",") if (name := part.strip()) not in ("", "none")]


def _exporter(name: str) -> Any:
    if name == "otlp":
        name = f"otlp_proto_{'grpc' if os.environ.get(_PROTOCOL) == 'grpc' else 'http'}"
    for found in entry_points(group=_GROUP, name=name):
        return found.load()
    raise _missing(f"{_EXPORTERS}={name}")


def _missing(what: str) -> InputError:
    return InputError(
        f"nothing is installed for {what}", "install the extra: pip install 'sam3i-agent[otel]'"
    )


class IncomingCalls:
    """Lets a request be part of its sender's trace, and gives it an id, which its answer names.

    Args:
        app: that answers.
        answers: add the id to the answer; Ray Serve does so by itself.
    """

    def __init__(self, app: ASGIApp, answers: bool = True) -> None:
        self._app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        id_ = chosen_id(headers.get(REQUEST_ID_HEADER), headers.get("traceparent"))
        MutableHeaders(scope=scope)[REQUEST_ID_HEADER] = id_

        async def send_named(message: Message) -> None:
            if self._answers and message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = id_
            await send(message)

        token = context.attach(extract(headers))
        try:
            await self._app(scope, receive, send_named)
        finally:
            context.detach(token)
