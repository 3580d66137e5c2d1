"""The tools on front ends, as Ray Serve runs them: any of them answers any request."""

import logging
import signal
import threading
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette

from sam3i_agent.core.errors import ModelError, TryAgainError
from sam3i_agent.segmodel.sharing.ray_cluster import start_ray
from sam3i_agent.tools.serving.access.access import Access
from sam3i_agent.tools.serving.access.limits import LocalLimiter, UserLimits
from sam3i_agent.tools.serving.building import build_toolbox
from sam3i_agent.tools.serving.calls import Calls
from sam3i_agent.tools.serving.cluster.application import (
    APPLICATION,
    model_deployment,
    prepare_ray,
)
from sam3i_agent.tools.serving.cluster.service import ServedModel
from sam3i_agent.tools.serving.http import check_access, protected_app
from sam3i_agent.tools.serving.probes import DRAIN_S
from sam3i_agent.tools.serving.settings import ServeSettings

logger = logging.getLogger(__name__)

FRONT_DEPLOYMENT = "FrontEnd"
_CALLS_PER_FRONT_END = 256
"""At a time, most of which wait for the model."""
_LIMITS_DEPLOYMENT = "Limits"
_COUNTS_AGAIN_S = 2.0
"""Until another process counts where one died."""


class Counting:
    """Counts what users ask for, for all front ends; Ray Serve runs one.

    Refusals come back as values: Ray would wrap what is raised.

    Args:
        limits: of each user.
    """

    def __init__(self, limits: UserLimits) -> None:
        self._limiter = LocalLimiter(limits)

    async def begin(self, owner: str) -> str | TryAgainError:
        """Count a call; see `Limiter.begin`."""
        try:
            return await self._limiter.begin(owner)
        except TryAgainError as error:
            return error

    async def end(self, owner: str, call: str) -> None:
        """Say that a call has ended."""
        await self._limiter.end(owner, call)

    async def spend(self, owner: str, pixels: int) -> TryAgainError | None:
        """Count pixels; see `Limiter.spend`."""
        try:
            await self._limiter.spend(owner, pixels)
        except TryAgainError as error:
            return error
        return None


class SharedLimiter:
    """Limits that all front ends of a service count together.

    Args:
        handle: of the deployment that counts.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def begin(self, owner: str) -> str:
        """Count a call, and return its number for `end`.

        Raises:
            TryAgainError: it would be one too many, or nobody counts at the moment.
        """
        return await _counted(self._handle.begin.remote(owner))

    async def end(self, owner: str, call: str) -> None:
        """Say that a call has ended."""
        with suppress(TryAgainError):  # what died has forgotten the call, too
            await _counted(self._handle.end.remote(owner, call))

    async def spend(self, owner: str, pixels: int) -> None:
        """Count the pixels of a photo.

        Raises:
            TryAgainError: they would be too many, or nobody counts at the moment.
        """
        await _counted(self._handle.spend.remote(owner, pixels))


async def _counted(response: Any) -> Any:
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import DeploymentUnavailableError

    try:
        answer = await response
    except (RayActorError, DeploymentUnavailableError) as error:
        raise TryAgainError("calls cannot be counted", _COUNTS_AGAIN_S) from error
    if isinstance(answer, TryAgainError):
        raise answer
    return answer


class FrontEnd:
    """The tools over HTTP, without sessions, so that each request may go to another front end.

    Args:
        settings: of the server.
        access: who may call.
        model: handle of the model's deployment.
        counting: handle of the deployment that counts; None where nothing is limited.
    """

    def __init__(self, settings: ServeSettings, access: Access, model: Any, counting: Any) -> None:
        settings.watch("front end")
        limiter = None if counting is None else SharedLimiter(counting)
        toolbox = build_toolbox(settings, ServedModel(settings.model, model), limiter)
        self._app = protected_app(toolbox, settings, access, Calls(), stateless=True)

    def __serve_build_asgi_app__(self) -> Starlette:
        """Return what Ray Serve hands requests to."""
        return self._app


def build(settings: ServeSettings) -> Any:
    """Return the application for `serve deploy`: front ends before replicas of the model.

    Args:
        settings: of the server; `SAM3I_TOKEN` is read where this is called.

    Raises:
        InputError: the address needs a token or an issuer.
    """
    prepare_ray()
    from ray import serve

    access = Access.from_environment(settings.auth_issuer, settings.auth_audience)
    check_access(settings.host, access)
    model = model_deployment(settings)
    front_end: Any = serve.deployment(
        serve.ingress()(FrontEnd),
        name=FRONT_DEPLOYMENT,
        num_replicas=settings.front_ends or 1,
        max_ongoing_requests=_CALLS_PER_FRONT_END,
        graceful_shutdown_timeout_s=DRAIN_S,
        max_surge_percent=settings.max_surge_percent,
        ray_actor_options={"num_cpus": 0},
    )
    counting: Any = None
    if settings.limits.any:
        # Of Serve, not an actor of a front end's: that would die with its front end.
        deployed: Any = serve.deployment(
            Counting,
            name=_LIMITS_DEPLOYMENT,
            max_ongoing_requests=_CALLS_PER_FRONT_END * (settings.front_ends or 1),
            ray_actor_options={"num_cpus": 0},
        )
        counting = deployed.bind(settings.limits)
    return front_end.bind(settings, access, model, counting)


def serve_front_ends(settings: ServeSettings) -> None:
    """Start front ends and replicas on Ray, and serve until stopped.

    On the cluster that `RAY_ADDRESS` names, else on this machine. Calls under way are finished
    first.

    Raises:
        InputError: as `build`.
        ModelError: Ray is not installed, or the application does not start.
    """
    prepare_ray()
    from ray import serve

    stopped = threading.Event()
    start_ray()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    serve.start(
        proxy_location="EveryNode", http_options={"host": settings.host, "port": settings.port}
    )
    try:
        serve.run(build(settings), name=APPLICATION, route_prefix="/")
        logger.info("serving on %s:%d", settings.host, settings.port)
        stopped.wait()
    except RuntimeError as error:
        raise ModelError(f"the front ends do not start: {error}") from error
    finally:
        serve.delete(APPLICATION)
        serve.shutdown()
