"""A replica and its callers, without Ray between them: clicks, clips that move, late requests."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam3i_agent.core.errors import InputError, TryAgainError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt
from sam3i_agent.core.stopping import until
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.tools.serving.cluster import remote
from sam3i_agent.tools.serving.cluster.remote import RemoteTracker, ReplicatedSegmenter
from sam3i_agent.tools.serving.cluster.replica import Replica
from sam3i_agent.tools.serving.settings import ServeSettings

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own, when it is imported


class _Response:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def result(self, timeout_s: float) -> Any:
        return self._answer

    def cancel(self) -> None:
        pass


class _Method:
    def __init__(self, handle: "_Handle", name: str) -> None:
        self._handle = handle
        self._name = name

    def remote(self, *arguments: Any) -> _Response:
        answer = getattr(self._handle.replica, self._name)(*arguments)
        if asyncio.iscoroutine(answer):
            answer = asyncio.run(answer)
        return _Response(answer)


class _Handle:
    """Stands for Ray's handle; whoever holds it may put another replica behind it."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica

    def options(self, **_: Any) -> "_Handle":
        return self

    def __getattr__(self, name: str) -> _Method:
        return _Method(self, name)


def _photo(number: int) -> Photo:
    return Photo(generate_scene(41, number).image, sha256=f"photo {number}")


def _replica(name: str) -> Replica:
    return Replica(ServeSettings(model=ModelChoice(name, "cpu")))


@pytest.fixture
def by_value(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "_shared", lambda pixels: pixels)


def test_clicks_are_answered_as_by_the_model(by_value, repository: Path):
    segmenter = ReplicatedSegmenter(_Handle(_replica(str(repository))), str(repository))
    plain = load_segmenter(str(repository), device="cpu")
    assert segmenter.takes_clicks and segmenter.has_memory
    x0, y0, x1, y1 = generate_scene(41, 0).objects[0].box_xyxy
    clicks = [Click(((x0 + x1) / 2, (y0 + y1) / 2)), Click((1, 1), positive=False)]
    ours, theirs = segmenter.click(_photo(0), clicks), plain.click(_photo(0), clicks)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
    assert (np.asarray(ours.masks) != np.asarray(theirs.masks)).mean() < 1e-3
    again = segmenter.click(_photo(0), clicks, mask=ours.masks[0], several=False)
    assert len(again.masks) == 1
    with pytest.raises(InputError, match="nothing says"):
        segmenter.click(_photo(0), [Click((5, 5), positive=False)])


@pytest.mark.parametrize("remembers", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_clip_goes_on_at_another_replica(by_value, repository: Path, remembers: bool):
    name = str(repository) if remembers else "tiny"
    frames = [_photo(100 + number // 3) for number in range(6)]
    plain = load_segmenter(name, device="cpu").follow("thing")
    wanted = [plain.step(number, photo)[0] for number, photo in enumerate(frames)]
    replicas = [_replica(name) for _ in range(2)]
    handle = _Handle(replicas[0])
    tracker = ReplicatedSegmenter(handle, name).follow("thing")
    found = []
    for number, photo in enumerate(frames):
        if number in (2, 4):
            handle.replica = replicas[number == 2]
        found.append(tracker.step(number, photo)[0])
    # The one that comes back has an old memory of the clip, and must not go on with it.
    assert [one.state().clips for one in replicas] == [2, 1]
    if remembers:  # a new memory begins at the last frame: alike, not the same
        assert found[:2] == wanted[:2]
    else:
        assert found == wanted and any(wanted)


def test_a_request_that_goes_astray_does_not_move_the_clip(by_value):
    home, other = _replica("tiny"), _replica("tiny")
    handle = _Handle(home)
    tracker = ReplicatedSegmenter(handle, "tiny").follow("thing")
    tracker.step(0, _photo(100))
    handle.replica = other  # Ray does not know yet where the clip is
    bring_back = threading.Timer(0.2, lambda: setattr(handle, "replica", home))
    bring_back.start()
    tracker.step(1, _photo(100))
    assert (home.state().clips, other.state().clips) == (1, 0)


def test_a_long_clip_outlives_short_ones_at_its_replica(by_value):
    replica = _replica("tiny")
    segmenter = ReplicatedSegmenter(_Handle(replica), "tiny")
    tracker = segmenter.follow("thing")
    assert isinstance(tracker, RemoteTracker)
    names: set[str] = set()
    for frame in range(6):
        tracker.step(frame, _photo(100))
        names.add(tracker.clip)
        segmenter.follow("thing").step(0, _photo(101))
    assert len(names) == 1 and replica.state().clips < 7


def test_a_request_that_comes_too_late_is_not_begun(by_value):
    replica = _replica("tiny")
    segmenter = ReplicatedSegmenter(_Handle(replica), "tiny")
    with until(time.time() - 1), pytest.raises(TryAgainError, match="in time"):
        segmenter.encode(_photo(0)).segment([Prompt("thing")])
    assert replica.state().photos_asked == 0
    with until(time.time() + 60):
        assert len(segmenter.encode(_photo(0)).segment([Prompt("thing")])) == 1
