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
    run_model,
)
from sam3i_agent.tools.serving.cluster.service import ReplicatedService
from sam3i_agent.tools.serving.probes import DRAIN_S
from sam3i_agent.tools.serving.settings import ServeSettings

MOST = 3
SETTINGS = ServeSettings(
    model=ModelChoice("tiny", "cpu"), replicas=1, max_replicas=MOST, scale_up_s=2, scale_down_s=2
)
_CALLERS = 32
"""More than one replica is to have."""
_FEW = 4
"""Callers that one replica is enough for."""
_LONGEST_S = 200

# Ray leaves sockets and threads to the end of the process.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(500),
]


@pytest.fixture(scope="module")
def service() -> Iterator[ReplicatedService]:
    service = ReplicatedService(SETTINGS)
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
    """Ask all the time, until the block ends, which raises what went wrong."""

    def __init__(self, segmenter: Segmenter, count: int) -> None:
        self._segmenter = segmenter
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(count)
        self.answers: list[float] = []
        """Seconds that each took."""
        self._running = [self._pool.submit(self._ask, number) for number in range(count)]

    def __enter__(self) -> "_Callers":
        return self

    def __exit__(self, *_: object) -> None:
        self.ask_no_more()
        for one in self._running:
            one.result()

    def _ask(self, number: int) -> None:
        photo = Photo(generate_scene(41, number).image, sha256=f"photo {number}")
        while not self._stop.is_set():
            started = time.monotonic()
            (found,) = self._segmenter.encode(photo).segment([Prompt("thing")])
            assert len(found) >= 0
            self.answers.append(time.monotonic() - started)

    def ask_no_more(self) -> None:
        """Let what is under way be the last."""
        self._stop.set()


def test_replicas_follow_the_queue_from_one_to_three_and_back(service: ReplicatedService):
    with _Callers(service.segmenter(), _CALLERS) as callers:
        up_s = _wait_until(lambda: _running() == MOST)
    down_s = _wait_until(lambda: _running() == 1)
    print(f"1 to {MOST} in {up_s:.0f} s, back in {down_s:.0f} s, {len(callers.answers)} answers")
    assert service.check() == "1 replica"


def test_another_model_takes_over_without_a_failed_call(service: ReplicatedService, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(str(files("sam3i_agent.segmodel") / "tiny"), other)
    segmenter = service.segmenter()
    before = _pid(segmenter)
    with _Callers(segmenter, _FEW) as callers:
        _wait_until(lambda: len(callers.answers) >= _FEW)
        started = time.monotonic()
        run_model(SETTINGS.model_copy(update={"model": ModelChoice(str(other), "cpu")}))
        _wait_until(lambda: _running() == 1 and _pid(segmenter) != before)
        took_s, known = time.monotonic() - started, len(callers.answers)
        _wait_until(lambda: len(callers.answers) >= known + 2 * _FEW)
    longest = max(callers.answers)
    print(f"updated in {took_s:.0f} s, {len(callers.answers)} answers, longest {longest:.1f} s")


def _pid(segmenter: Segmenter) -> int:
    return segmenter._handle.state.remote().result(timeout_s=_LONGEST_S).pid


def test_a_stop_lets_calls_finish_and_keeps_its_time(service: ReplicatedService):
    with _Callers(service.segmenter(), _FEW) as callers:
        _wait_until(lambda: len(callers.answers) >= _FEW)
        callers.ask_no_more()
        started = time.monotonic()
        service.stop()
    took_s = time.monotonic() - started
    print(f"stopped in {took_s:.1f} s")
    assert took_s < DRAIN_S
