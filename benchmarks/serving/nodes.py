"""Replicas of the model on one or several Ray nodes, all on this machine."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from sam3i_agent.benchmarks.serving.process import exit_on_sigterm, replica_pids
from sam3i_agent.core.errors import ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.tools.serving.cluster.application import prepare_ray, run_model
from sam3i_agent.tools.serving.cluster.replica import ReplicaState
from sam3i_agent.tools.serving.cluster.service import ServedModel
from sam3i_agent.tools.serving.settings import ServeSettings

_CPUS = 1
"""Of a node; Ray counts them, and does not measure."""
_STATE_S = 60


class Nodes:
    """Ray nodes with replicas on them.

    Args:
        cluster: of Ray.
        workers: its nodes but the head.
        model: that is served.
    """

    def __init__(self, cluster: Any, workers: list[Any], model: ModelChoice) -> None:
        self._cluster = cluster
        self._workers = workers
        self._model = model
        self._handle: Any = None
        self.address: str = cluster.address

    @property
    def several(self) -> bool:
        """Whether one may die."""
        return bool(self._workers)

    def scale(self, replicas: int) -> None:
        """Run so many replicas.

        Raises:
            ModelError: they do not start.
        """
        self._handle = run_model(ServeSettings(model=self._model, replicas=replicas))

    def service(self) -> ServedModel:
        """Return the model on the replicas, for this process."""
        return ServedModel(self._model, self._handle)

    def kill_replica(self) -> None:
        """Kill the process of a replica; Ray starts another.

        Raises:
            ModelError: there is none.
        """
        pids = self.replica_pids()
        if not pids:
            raise ModelError("no replica runs that could be killed")
        os.kill(pids[0], signal.SIGKILL)

    def kill_replica_with_clip(self) -> None:
        """Kill the process of the replica that has a clip's memory."""
        while True:  # Ray asks any of them
            state: ReplicaState = self._handle.state.remote().result(timeout_s=_STATE_S)
            if state.clips:
                os.kill(state.pid, signal.SIGKILL)
                return

    def kill_node(self) -> None:
        """End a node without a word, with all that runs on it, and start another in its place."""
        self._cluster.remove_node(self._workers.pop(0), allow_graceful=False)
        self._workers.append(self._cluster.add_node(num_cpus=_CPUS))

    def replica_pids(self) -> list[int]:
        """Return the processes of all replicas."""
        return replica_pids(os.getpid())


@contextmanager
def running_nodes(model: str, replicas: int, nodes: int) -> Iterator[Nodes]:
    """Start nodes and replicas, and end them.

    Args:
        model: on the replicas.
        replicas: how many.
        nodes: one has all; of several the first has no replicas, so that any other may die.

    Raises:
        ModelError: Ray is not installed, or the replicas do not start.
    """
    prepare_ray()
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    here = replicas * _CPUS if nodes == 1 else 0
    # Its hooks at the end can be set in the main thread alone, where no node is replaced.
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": here}, shutdown_at_exit=False
    )
    with redirect_stdout(sys.stderr):  # Ray says there what dies; the report is alone on the other
        try:
            workers = [cluster.add_node(num_cpus=_CPUS) for _ in range(nodes - 1)]
            ray.init(cluster.address, log_to_driver=False, logging_level=logging.WARNING)
            exit_on_sigterm()
            serve.start(proxy_location="Disabled")
            running = Nodes(cluster, workers, ModelChoice(model, "cpu"))
            running.scale(replicas)
            yield running
        finally:
            if ray.is_initialized():
                serve.shutdown()
                ray.shutdown()
            cluster.shutdown()
