"""What processes on Ray count, handed to Ray, which exports it at each node's metrics port."""

import threading
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

_PERIOD_S = 5.0
_CREATED = "_created"
"""End of the names of samples that say when counting began."""


class RayExport:
    """Copies what a registry holds to Ray, which names it `ray_...` and adds the replica.

    As gauges throughout: Ray's counters and histograms count by themselves, and cannot be set.
    Prometheus takes rates of these, too.

    Args:
        registry: of this process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._gauges: dict[str, Any] = {}

    def start(self) -> None:
        """Copy now and then, to the end of the process; nothing where Ray Serve does not run it."""
        from ray.serve import get_replica_context
        from ray.serve.exceptions import RayServeException

        try:
            get_replica_context()
        except RayServeException:
            return
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def copy(self) -> None:
        """Copy all samples."""
        from ray.serve import metrics

        for about, one in self._samples():
            gauge = self._gauges.get(one.name)
            if gauge is None:
                keys: Any = tuple(one.labels)
                gauge = metrics.Gauge(one.name, about, keys)
                self._gauges[one.name] = gauge
            gauge.set(one.value, dict(one.labels))

    def _samples(self) -> Iterator[tuple[str, Sample]]:
        for family in self._registry.collect():
            for one in family.samples:
                if not one.name.endswith(_CREATED):
                    yield family.documentation, one

    def _run(self) -> None:
        while True:
            time.sleep(_PERIOD_S)
            self.copy()
