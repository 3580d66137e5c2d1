"""What a server counts, in Prometheus form (extra `serve`): calls, seconds, the model's work."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel

from sam3i_agent.segmodel.segmenter import LoadedSegmenter, Work
from sam3i_agent.tools.mcp.refusals import TRY_AGAIN
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.access.tokens import caller_class
from sam3i_agent.tools.serving.calls import TOOL_CALL
from sam3i_agent.tools.serving.health import State

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counts the tool calls of one server; its `middleware` sees them.

    Args:
        service: whose model is counted too, where it runs in this process.
    """

    def __init__(self, service: SegmentationService) -> None:
        self.registry = model_registry(lambda: service.loaded)
        self._calls = Counter(
            "sam3i_tool_calls", "Tool calls by how they ended.", ("tool", "outcome", "caller"),
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "sam3i_tool_call_seconds", "Seconds that a tool call took.", ("tool",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._running = Gauge(
            "sam3i_tool_calls_running", "Tool calls under way.", registry=self.registry
        )
        self._up = Gauge(
            "sam3i_dependency_up", "Whether what the server depends on answers.", ("dependency",),
            registry=self.registry,
        )  # fmt: skip

    async def middleware(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Count a message if it is a tool call."""
        if ctx.method != TOOL_CALL:
            return await call_next(ctx)
        tool = str((ctx.params or {}).get("name", ""))
        outcome, started = "error", time.perf_counter()
        self._running.inc()
        try:
            result = await call_next(ctx)
            outcome = _outcome_of(result)
            return result
        finally:
            self._running.dec()
            self._calls.labels(tool, outcome, caller_class()).inc()
            self._seconds.labels(tool).observe(time.perf_counter() - started)

    def note(self, states: Mapping[str, State]) -> None:
        """Take in how the server's dependencies are."""
        for name, state in states.items():
            self._up.labels(name).set(state.ok)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def _outcome_of(result: HandlerResult) -> str:
    """Return ok, error or try_again."""
    shown = result.model_dump(by_alias=True) if isinstance(result, BaseModel) else result or {}
    if not shown.get("isError"):
        return "ok"
    data = shown.get("structuredContent") or {}
    return TRY_AGAIN if data.get("error") == TRY_AGAIN else "error"


def model_registry(find: Callable[[], LoadedSegmenter | None]) -> CollectorRegistry:
    """Return a registry with the counters of the model.

    Args:
        find: the model in this process; None before it is loaded.
    """
    registry = CollectorRegistry()
    registry.register(_ModelCollector(find))
    return registry


class _ModelCollector(Collector):
    """Reads the counters of the model when it is asked; nothing before it is loaded."""

    def __init__(self, find: Callable[[], LoadedSegmenter | None]) -> None:
        self._find = find

    def collect(self) -> Iterable[Metric]:
        loaded = self._find()
        if loaded is None:
            return
        yield from _metrics_of(loaded.work())


def _metrics_of(work: Work) -> Iterable[Metric]:
    cache = CounterMetricFamily(
        "sam3i_cache_lookups", "Lookups of kept features.", labels=("cache", "outcome")
    )
    for name, one in (("photos", work.photos), ("texts", work.texts)):
        cache.add_metric((name, "hit"), one.hits)
        cache.add_metric((name, "miss"), one.misses)
    yield cache
    yield GaugeMetricFamily(
        "sam3i_cache_bytes", "Bytes of kept photo features.", value=work.kept_bytes
    )
    passes = CounterMetricFamily("sam3i_model_passes", "Passes of the model.", labels=("part",))
    jobs = CounterMetricFamily(
        "sam3i_model_jobs", "Requests answered in these passes.", labels=("part",)
    )
    for name, part in (("encoder", work.encoder), ("decoder", work.decoder)):
        passes.add_metric((name,), part.passes)
        jobs.add_metric((name,), part.jobs)
    yield passes
    yield jobs
