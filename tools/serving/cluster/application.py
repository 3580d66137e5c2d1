"""The application that Ray Serve runs: replicas of the model, and front ends before them."""

import logging
import os
from typing import Any

from sam3i_agent.core.errors import ModelError
from sam3i_agent.tools.serving.cluster.replica import REQUESTS_PER_REPLICA, Replica
from sam3i_agent.tools.serving.probes import DRAIN_S
from sam3i_agent.tools.serving.settings import ServeSettings

logger = logging.getLogger(__name__)

APPLICATION = "sam3i"
MODEL_DEPLOYMENT = "Segmentation"
QUEUED_PER_REPLICA = 64
"""Requests that wait in front of each replica; beyond that callers are told to try again."""
_THINGS_PER_REPLICA = 256
"""Photos and clips whose home a replica is known to be; their features are bounded in bytes."""
_PROBE_S = "2"
_NICENESS = "0"


def prepare_ray() -> None:
    """Set what Ray reads when it is imported.

    Raises:
        ModelError: it is not installed.
    """
    # Ray leaves to its workers what others do not want (nice 15): replicas would starve.
    os.environ.setdefault("RAY_worker_niceness", _NICENESS)
    # A busy replica on few cores answers Ray's probes later than in 0.1 s.
    os.environ.setdefault("RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S", _PROBE_S)
    try:
        import ray  # noqa: F401 (whether it is there)
        from ray import serve  # noqa: F401
    except ImportError as error:
        raise ModelError(
            "--replicas needs Ray Serve", "install the extra: pip install 'sam3i-agent[serve]'"
        ) from error


def model_deployment(settings: ServeSettings) -> Any:
    """Return the bound deployment of the model.

    Args:
        settings: of the service, as far as replicas heed them; each gets a GPU of its own unless
            the model's device is `cpu`.
    """
    from ray import serve

    replicas, max_replicas = settings.replicas or 1, settings.max_replicas
    # A subclass here: Ray's decorators need Ray, which most installations do without.
    at_home = serve.multiplexed(max_num_models_per_replica=_THINGS_PER_REPLICA)
    body: Any = type(MODEL_DEPLOYMENT, (Replica,), {"feel_at_home": at_home(Replica.feel_at_home)})
    scaling: dict[str, Any] = {"num_replicas": replicas}
    if max_replicas is not None:
        scaling = {
            "autoscaling_config": {
                "min_replicas": replicas,
                "max_replicas": max_replicas,
                "target_ongoing_requests": REQUESTS_PER_REPLICA / 2,
                "upscale_delay_s": settings.scale_up_s,
                "downscale_delay_s": settings.scale_down_s,
            }
        }
    most, cores = max_replicas or replicas, _resource("CPU")
    deployment: Any = serve.deployment(
        body,
        max_ongoing_requests=REQUESTS_PER_REPLICA,
        max_queued_requests=QUEUED_PER_REPLICA * most,
        graceful_shutdown_timeout_s=DRAIN_S,
        max_surge_percent=settings.max_surge_percent,
        ray_actor_options={
            # A core each, or its share: more replicas than cores would wait for ever. One more is
            # for an update.
            "num_cpus": min(1, cores / (most + 1)) if cores else 1,
            "num_gpus": int(settings.model.device != "cpu" and _resource("GPU") > 0),
        },
        **scaling,
    )
    return deployment.bind(settings)


def run_model(settings: ServeSettings) -> Any:
    """Run replicas of the model on the cluster that was joined, and return their handle.

    Args:
        settings: as `model_deployment` takes them; replicas that run already count.

    Raises:
        ModelError: they do not start.
    """
    from ray import serve

    app = model_deployment(settings)
    try:
        return serve.run(app, name=APPLICATION, route_prefix=None)
    except RuntimeError as error:
        raise ModelError(f"the replicas do not start: {error}") from error


def _resource(name: str) -> float:
    """Return how much the cluster has; 0 where it is not known, as for `serve build`."""
    import ray

    return ray.cluster_resources().get(name, 0) if ray.is_initialized() else 0
