"""Of which call this is part: its request id, and its trace by OpenTelemetry.

Logs, errors and other servers know a call by its id, and its user can quote it. Spans are
`sam3i.run`, `.encode`, `.segment`, `.mllm` and, on a replica, `.replica`. Without an SDK installed
and set up (the extra `otel`, or the program around this package) a span costs nothing and goes
nowhere.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import context, trace
from opentelemetry.propagate import extract, inject

tracer = trace.get_tracer("sam3i_agent")
REQUEST_ID_HEADER = "x-request-id"
_current: ContextVar[str | None] = ContextVar("sam3i_request_id", default=None)
_GIVEN = re.compile(r"[A-Za-z0-9_.:+/=@-]{1,128}")
"""What is taken from others: it is printed in logs and sent in headers."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_BYTES = 16


def request_id() -> str | None:
    """Return the id of the call that this is part of; None where there is none."""
    return _current.get()


def chosen_id(given: str | None, traceparent: str | None = None) -> str:
    """Return the id of a new call.

    Args:
        given: by whoever calls; what could not be printed safely is ignored.
        traceparent: of W3C, whose trace's id is taken where no other is given.
    """
    if given is not None and _GIVEN.fullmatch(given):
        return given
    trace = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    return secrets.token_hex(_BYTES) if trace is None else trace[1]


@contextmanager
def identified_by(id_: str | None) -> Iterator[None]:
    """Let everything inside be part of a call, in threads that it starts, too."""
    token = _current.set(id_)
    try:
        yield
    finally:
        _current.reset(token)


def outgoing_headers() -> dict[str, str]:
    """Return the headers that tell another process of which call a request to it is part."""
    id_ = request_id()
    headers = {} if id_ is None else {REQUEST_ID_HEADER: id_}
    inject(headers)
    return headers


@contextmanager
def part_of(headers: Mapping[str, str]) -> Iterator[None]:
    """Let everything inside be part of the call that another process's headers name."""
    token = context.attach(extract(headers))
    try:
        with identified_by(headers.get(REQUEST_ID_HEADER)):
            yield
    finally:
        context.detach(token)
