"""The service whose model is on replicas: started here, or found on a cluster."""

import importlib
import os
from typing import Any

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.segmodel.segmenter import Segmenter
from sam3i_agent.segmodel.sharing.ray_cluster import RAY_ADDRESS, start_ray
from sam3i_agent.tools.importing import quick_imports
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.cluster.application import (
    APPLICATION,
    MODEL_DEPLOYMENT,
    prepare_ray,
    run_model,
)
from sam3i_agent.tools.serving.cluster.remote import ReplicatedSegmenter
from sam3i_agent.tools.serving.settings import ServeSettings

_RUNNING = "RUNNING"


class ReplicasService(SegmentationService):
    """A model on replicas of a deployment of Ray Serve."""

    def check(self) -> str:
        """Say how many replicas run.

        Raises:
            ModelError: none does, or they have not been found yet.
        """
        super().check()
        from ray import serve

        application = serve.status().applications.get(APPLICATION)
        deployment = application and application.deployments.get(MODEL_DEPLOYMENT)
        states = deployment.replica_states if deployment else {}
        running = sum(count for state, count in states.items() if state == _RUNNING)
        if not running:
            raise ModelError("no replica runs")
        return f"{running} replica{'s' if running > 1 else ''}"


class ServedModel(ReplicasService):
    """The model of a deployment.

    Args:
        model: what it serves.
        handle: of it.
    """

    def __init__(self, model: ModelChoice, handle: Any) -> None:
        super().__init__(model)
        self._handle = handle

    def _load(self) -> Segmenter:
        return _reached(self._handle, self.model)


class JoinedService(ReplicasService):
    """The model on the replicas that somebody else has started on a Ray cluster.

    Args:
        model: what they serve, in name.
    """

    def _load(self) -> Segmenter:
        prepare_ray()
        import ray
        from ray import serve

        if not ray.is_initialized():
            if not os.environ.get(RAY_ADDRESS):
                raise InputError("--join needs a cluster", f"set {RAY_ADDRESS}=HOST:PORT")
            start_ray()
        try:
            handle = serve.get_deployment_handle(MODEL_DEPLOYMENT, APPLICATION)
        except Exception as error:  # Ray raises several kinds
            raise ModelError(
                "no replicas run on the cluster",
                "start them with sam3i serve --replicas N, or serve deploy deploy/serve.yaml",
            ) from error
        return _reached(handle, self.model)


class ReplicatedService(ReplicasService):
    """The model on replicas, started at the first call.

    Args:
        settings: of the service, as `model_deployment` takes them.
    """

    def __init__(self, settings: ServeSettings) -> None:
        super().__init__(settings.model)
        self._settings = settings
        self._owns_ray = False

    def stop(self) -> None:
        """Let the replicas finish what they do, and end them."""
        if self._segmenter is not None:
            import ray
            from ray import serve

            serve.delete(APPLICATION)
            if self._owns_ray:
                serve.shutdown()
                ray.shutdown()
            self._segmenter = None

    def _load(self) -> Segmenter:
        return _reached(self._start(), self.model)

    def _start(self) -> Any:
        prepare_ray()
        import ray
        from ray import serve

        self._owns_ray = not ray.is_initialized()
        if self._owns_ray:
            start_ray()
        serve.start(proxy_location="Disabled")  # clients talk to the tools, not to Ray
        return run_model(self._settings)


def _reached(handle: Any, model: ModelChoice) -> Segmenter:
    """Return the model on replicas that answer; the first call imports nothing more."""
    with quick_imports():
        importlib.import_module("sam3i_agent.agent.run")
    return ReplicatedSegmenter(handle, model.name)
