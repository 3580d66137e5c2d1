"""What runs beside the protocol on HTTP: health, readiness, metrics, and stopping without loss."""

import asyncio
import hmac
import logging
import signal
import socket
import time
from dataclasses import asdict
from http import HTTPStatus
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from mcp.server import MCPServer
from sse_starlette.sse import AppStatus
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.access.access import Access
from sam3i_agent.tools.serving.calls import Calls
from sam3i_agent.tools.serving.health import Health, State

if TYPE_CHECKING:
    from sam3i_agent.tools.serving.prometheus import Metrics

logger = logging.getLogger(__name__)

DRAIN_S = 60
"""How long calls under way may take when the server is told to stop."""
_POLL_S = 0.1
_FLUSH_S = 0.5
"""For the last answers to leave."""


class DrainingServer(uvicorn.Server):
    """Lets tool calls finish before it closes their connections.

    Left alone, the event streams that carry the answers would be cut at the first signal.
    """

    def __init__(self, config: uvicorn.Config, calls: Calls, service: SegmentationService) -> None:
        super().__init__(config)
        self._calls = calls
        self._service = service
        AppStatus.disable_automatic_graceful_drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for calls under way, at most `DRAIN_S`; `/readyz` says so meanwhile."""
        if hasattr(signal, "alarm"):
            signal.alarm(0)  # Ray's handler of SIGTERM has set one, to abort after 3 s
        self._calls.draining = True
        end = time.monotonic() + DRAIN_S
        while self._calls.running and time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(_POLL_S)
        await asyncio.sleep(_FLUSH_S)
        AppStatus.should_exit = True
        await super().shutdown(sockets)
        await asyncio.to_thread(self._service.stop)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; the signal is not raised once more afterwards, as this is a good end."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def add_probes(
    server: MCPServer[Any],
    service: SegmentationService,
    calls: Calls,
    access: Access,
    health: Health,
    *,
    on_ray: bool = False,
) -> None:
    """Add `/healthz`, `/readyz`, `/health` and, with the extra `serve`, `/metrics`.

    Args:
        server: before its application is made.
        service: the model.
        calls: under way.
        access: whose token `/metrics` wants, unless everybody may call.
        health: of what the server depends on.
        on_ray: Ray runs this process among others like it behind one address, where `/metrics`
            would be of any of them, and exports what it counts instead.
    """
    server.middleware.append(calls.middleware)

    counted = _counting(service)

    async def states_now() -> dict[str, State]:
        found = await health.states()
        if counted is not None:
            counted.note(found)
        return found

    @server.custom_route("/healthz", methods=["GET"])
    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    @server.custom_route("/readyz", methods=["GET"])
    async def readyz(request: Request) -> Response:
        if calls.draining:
            return PlainTextResponse("stopping\n", HTTPStatus.SERVICE_UNAVAILABLE)
        states = await states_now()
        wrong = [f"{name}: {one.says}\n" for name, one in states.items() if one.keeps_away]
        if wrong:
            return PlainTextResponse("".join(wrong), HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ready\n")

    @server.custom_route("/health", methods=["GET"])
    async def all_health(request: Request) -> Response:
        states = await states_now()
        good = all(one.ok for one in states.values())
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({name: asdict(one) for name, one in states.items()}, status)

    if counted is None:
        return
    server.middleware.append(counted.middleware)
    if on_ray:
        from sam3i_agent.tools.serving.cluster.metrics import RayExport

        RayExport(counted.registry).start()
        return

    @server.custom_route("/metrics", methods=["GET"])
    async def metrics(request: Request) -> Response:
        shown = request.headers.get("authorization", "").encode()
        wanted = f"Bearer {access.token}".encode()
        if not access.is_open and not (access.token and hmac.compare_digest(shown, wanted)):
            return PlainTextResponse("show the token\n", status_code=HTTPStatus.UNAUTHORIZED)
        await states_now()
        return PlainTextResponse(counted.text())


def _counting(service: SegmentationService) -> "Metrics | None":
    """Return what counts calls; None without the extra `serve`."""
    try:
        from sam3i_agent.tools.serving.prometheus import Metrics
    except ImportError:
        logger.info("no /metrics: pip install 'sam3i-agent[serve]'")
        return None
    return Metrics(service)
