"""Limits that front ends count together, with Ray Serve: whichever of the processes dies."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sam3i_agent.core.errors import TryAgainError
from sam3i_agent.segmodel.sharing.ray_cluster import start_ray
from sam3i_agent.tools.serving.access.limits import UserLimits
from sam3i_agent.tools.serving.cluster.application import prepare_ray
from sam3i_agent.tools.serving.cluster.front_end import Counting, SharedLimiter

OWNER = "anna"
MOST = 12
"""Calls a minute."""
_LONGEST_S = 60

# Ray leaves sockets and threads to the end of the process.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(300),
]


class _FrontEnd:
    """Counts a call, as front ends do."""

    def __init__(self, counting: Any) -> None:
        self._limiter = SharedLimiter(counting)

    async def call(self) -> tuple[int, str]:
        """Return this process, and what was said."""
        try:
            await self._limiter.end(OWNER, await self._limiter.begin(OWNER))
        except TryAgainError as error:
            return os.getpid(), error.message
        return os.getpid(), "counted"


class _Counting(Counting):
    async def pid(self) -> int:
        return os.getpid()


@pytest.fixture
def handles() -> Iterator[tuple[Any, Any]]:
    """Handles of two front ends, and of what counts for them."""
    pytest.importorskip("ray", reason="needs the extra serve")
    prepare_ray()
    import ray
    from ray import serve

    ray.shutdown()  # of the tests before, if they have left it running
    start_ray()
    light = {"num_cpus": 0}
    counting: Any = serve.deployment(_Counting, name="Limits", ray_actor_options=light)
    front_end: Any = serve.deployment(
        _FrontEnd, name="FrontEnd", num_replicas=2, ray_actor_options=light
    )
    limits = UserLimits(calls_per_minute=MOST)
    serve.start(proxy_location="Disabled")
    front = serve.run(front_end.bind(counting.bind(limits)), name="limits", route_prefix=None)
    yield front, serve.get_deployment_handle("Limits", "limits")
    serve.shutdown()
    ray.shutdown()


def test_limits_outlive_any_front_end_and_what_counts_comes_back(handles: tuple[Any, Any]):
    front, counting = handles
    said = [_call(front) for _ in range(MOST + 4)]
    assert [one for _, one in said] == ["counted"] * MOST + ["you may make 12 calls a minute"] * 4
    pids = {pid for pid, _ in said}
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    _wait_until(lambda: _call(front)[0] not in pids)
    assert _call(front)[1] == "you may make 12 calls a minute"  # nothing was forgotten
    os.kill(counting.pid.remote().result(timeout_s=_LONGEST_S), signal.SIGKILL)
    _wait_until(lambda: _call(front)[1] == "counted")  # by another process, from nothing


def _call(front: Any) -> tuple[int, str]:
    from ray.exceptions import RayActorError

    try:
        return front.call.remote().result(timeout_s=_LONGEST_S)
    except RayActorError:
        return 0, ""


def _wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + _LONGEST_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.2)
