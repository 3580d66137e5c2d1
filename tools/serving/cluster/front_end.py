"""The tools on front ends, as Ray Serve runs them: any of them answers any request."""

import logging
import signal
import threading
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
_LIMITS_ACTOR = "sam3i-limits"


class CountingActor:
    """Counts what users ask for, for all front ends; an actor of Ray.

    Refusals come back as values: Ray would wrap what is raised.
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
        limits: of each user.
    """

    def __init__(self, limits: UserLimits) -> None:
        import ray

        remote: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=2)(CountingActor)
        self._actor = remote.options(
            name=_LIMITS_ACTOR, namespace=APPLICATION, get_if_exists=True
        ).remote(limits)

    async def begin(self, owner: str) -> str:
        """Count a call, and return its number for `end`.

        Raises:
            TryAgainError: it would be one too many.
        """
        answer = await self._actor.begin.remote(owner)
        if isinstance(answer, TryAgainError):
            raise answer
        return answer

    async def end(self, owner: str, call: str) -> None:
        """Say that a call has ended."""
        await self._actor.end.remote(owner, call)

    async def spend(self, owner: str, pixels: int) -> None:
        """Count the pixels of a photo.

        Raises:
            TryAgainError: they would be too many.
        """
        answer = await self._actor.spend.remote(owner, pixels)
        if answer is not None:
            raise answer


class FrontEnd:
    """The tools over HTTP, without sessions, so that each request may go to another front end.

    Args:
        settings: of the server.
        access: who may call.
        model: handle of the model's deployment.
    """

    def __init__(self, settings: ServeSettings, access: Access, model: Any) -> None:
        settings.watch("front end")
        limiter = SharedLimiter(settings.limits) if settings.limits.any else None
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
    return front_end.bind(settings, access, model)


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
