"""Answers a second over replicas and front ends, in one run."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from sam3i_agent.benchmarks.serving.cluster import running_service
from sam3i_agent.benchmarks.serving.cluster_load import ask_for, model_with_clicks
from sam3i_agent.benchmarks.serving.rounds import make_rounds
from sam3i_agent.core.contracts import Frozen

_WARM_S = 5.0
"""Before each measurement: photos of a replica that stopped are encoded anew at another."""


class Throughput(Frozen):
    """Of one number of replicas and of front ends."""

    replicas: int
    front_ends: int
    calls_per_second: float
    ratio: float
    """To the first measurement: the most of both."""


def measure_scaling(
    folder: Path,
    model: str,
    clients: int,
    seconds: float,
    replicas: int,
    front_ends: int,
    advance: Callable[[], None],
) -> list[Throughput]:
    """Measure the most replicas and front ends, then one less, down to one of each.

    Args:
        folder: empty; gets pictures and logs.
        model: as `measure_cluster_load` takes it.
        clients: at a time.
        seconds: of load, for each.
        replicas: of the model, at most.
        front_ends: behind nginx, at most.
        advance: called when one is measured.

    Raises:
        ModelError: a part is not installed, or does not start.
        RuntimeError: an answer is wrong.
    """
    model = model_with_clicks(model, folder)
    rounds = asyncio.run(make_rounds(folder, model, clients))
    rows: list[Throughput] = []
    with running_service(folder, model, replicas, front_ends, 1) as service:
        for copies in range(replicas, 0, -1):
            service.nodes.scale(copies)
            for ends in range(front_ends, 0, -1):
                service.ask_only(ends)
                asyncio.run(ask_for(service.url, rounds, _WARM_S))
                rate = asyncio.run(ask_for(service.url, rounds, seconds))
                ratio = rate / rows[0].calls_per_second if rows else 1.0
                rows.append(
                    Throughput(
                        replicas=copies,
                        front_ends=ends,
                        calls_per_second=round(rate, 2),
                        ratio=round(ratio, 2),
                    )
                )
                advance()
    return rows
