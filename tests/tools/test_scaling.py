"""Replicas come and go while calls are made, and no call fails; in this order, on one service."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest

from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.segmenter import Segmenter
from sam3i_agent.tools.serving.cluster.application import (
    APPLICATION,
    MODEL_DEPLOYMENT,
    model_deployment,
)
from sam3i_agent.tools.serving.cluster.service import ReplicatedService
from sam3i_agent.tools.serving.probes import DRAIN_S
from sam3i_agent.tools.serving.settings import ServeSettings

SETTINGS = ServeSettings(scale_up_s=2, scale_down_s=2)
_CALLERS = 32
"""More than one replica is to have."""
_LONGEST_S = 200

# Ray leaves sockets and threads to the end of the process.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(500),
]


@pytest.fixture(scope="module")
def service() -> Iterator[ReplicatedService]:
    service = ReplicatedService(ModelChoice("tiny", "cpu"), 1, 3, SETTINGS)
    service.segmenter()
    yield service
    service.stop()


def _running() -> int:
    from ray import serve

    application = serve.status().applications[APPLICATION]
    states = application.deployments[MODEL_DEPLOYMENT].replica_states
    return sum(count for state, count in states.items() if state == "RUNNING")


def _wait_until(is_so: Callable[[], bool]) -> float:
    """Return how long it took."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < _LONGEST_S
        time.sleep(0.2)
    return time.monotonic() - started


class _Callers:
    """Ask all the time, until they are told to stop."""

    def __init__(self, segmenter: Segmenter, count: int) -> None:
        self._segmenter = segmenter
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(count)
        self.answers: list[float] = []
        """Seconds that each took."""
        self._running = [self._pool.submit(self._ask, number) for number in range(count)]

    def _ask(self, number: int) -> None:
        photo = Photo(generate_scene(41, number).image, sha256=f"photo {number}")
        while not self._stop.is_set():
            started = time.monotonic()
            (found,) = self._segmenter.encode(photo).segment([Prompt("thing")])
            assert len(found) >= 0
            self.answers.append(time.monotonic() - started)

    def stop(self) -> None:
        """Let them end; raises what went wrong."""
        self._stop.set()
        for one in self._running:
            one.result()


def test_replicas_follow_the_queue_from_one_to_three_and_back(service: ReplicatedService):
    callers = _Callers(service.segmenter(), _CALLERS)
    up_s = _wait_until(lambda: _running() == 3)
    callers.stop()
    down_s = _wait_until(lambda: _running() == 1)
    print(f"1 to 3 in {up_s:.0f} s, back in {down_s:.0f} s, {len(callers.answers)} answers")
    assert service.check() == "1 replica"


def test_another_model_takes_over_without_a_failed_call(service: ReplicatedService, tmp_path: Path):
    from ray import serve

    other = tmp_path / "other"
    shutil.copytree(str(files("sam3i_agent.segmodel") / "tiny"), other)
    segmenter = service.segmenter()
    before = _pid(segmenter)
    callers = _Callers(segmenter, 4)
    started = time.monotonic()
    changed = model_deployment(ModelChoice(str(other), "cpu"), 1, 3, SETTINGS)
    serve.run(changed, name=APPLICATION, route_prefix=None)
    _wait_until(lambda: _pid(segmenter) != before and _running() == 1)
    took_s, known = time.monotonic() - started, len(callers.answers)
    _wait_until(lambda: len(callers.answers) >= known + 8)
    callers.stop()
    longest = max(callers.answers)
    print(f"updated in {took_s:.0f} s, {len(callers.answers)} answers, longest {longest:.1f} s")


def _pid(segmenter: Segmenter) -> int:
    return segmenter._handle.state.remote().result(timeout_s=60).pid


def test_a_stop_lets_calls_finish_and_keeps_its_time(service: ReplicatedService):
    callers = _Callers(service.segmenter(), 4)
    _wait_until(lambda: len(callers.answers) >= 4)
    callers._stop.set()  # the last answers are under way
    started = time.monotonic()
    stopping = threading.Thread(target=service.stop)
    stopping.start()
    callers.stop()
    stopping.join(DRAIN_S)
    assert not stopping.is_alive()
    print(f"stopped in {time.monotonic() - started:.1f} s")
