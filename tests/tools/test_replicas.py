"""Two replicas on this machine: the answers of one model, also when one of them dies."""

import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import numpy as np
import pytest
from mcp import Client

from sam3i_agent.core.errors import InputError, ModelError, TryAgainError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Exemplar, Prompt
from sam3i_agent.core.stopping import until
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.tools.serving.cluster.application import QUEUED_PER_REPLICA
from sam3i_agent.tools.serving.cluster.remote import RemoteTracker, ReplicatedSegmenter
from sam3i_agent.tools.serving.cluster.replica import REQUESTS_PER_REPLICA, ReplicaState
from sam3i_agent.tools.serving.cluster.service import ReplicatedService
from sam3i_agent.tools.serving.settings import ServeSettings
from tests.tools.servers import EXAMPLE, SERVE, http_server

# Ray leaves sockets and threads to the end of the process.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(300),
]
PROMPTS = [Prompt("red circle"), Prompt("thing")]


def _photo(number: int) -> Photo:
    return Photo(generate_scene(41, number).image, sha256=f"photo {number}")


@pytest.fixture(scope="module")
def service() -> Iterator[ReplicatedService]:
    service = ReplicatedService(ServeSettings(model=ModelChoice("tiny", "cpu"), replicas=2))
    assert not service.is_ready
    service.segmenter()
    assert service.is_ready
    yield service
    service.stop()


@pytest.fixture(scope="module")
def segmenter(service: ReplicatedService) -> ReplicatedSegmenter:
    segmenter = service.segmenter()
    assert isinstance(segmenter, ReplicatedSegmenter)
    return segmenter


def _assert_same(ours, theirs) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)
        assert a.presence == pytest.approx(b.presence, abs=1e-4)
        assert (np.asarray(a.masks) != np.asarray(b.masks)).mean() < 1e-4 if len(a) else True


def test_replicas_answer_as_the_model_does(segmenter: ReplicatedSegmenter, tiny: Sam3Segmenter):
    assert segmenter.levels == tiny.levels and segmenter.takes_exemplars
    assert segmenter.count_tokens("a red circle") == tiny.count_tokens("a red circle")
    photo = _photo(0)
    image = segmenter.encode(photo)
    _assert_same(image.segment(PROMPTS), tiny.encode(photo).segment(PROMPTS))
    assert image.encodings == 1
    box = generate_scene(41, 0).objects[0].box_xyxy
    prompt = [Prompt("visual", exemplars=(Exemplar(box),))]
    _assert_same(image.segment(prompt), tiny.encode(photo).segment(prompt))


def test_bad_input_is_refused_as_by_the_model(segmenter: ReplicatedSegmenter):
    bad = Prompt("x", exemplars=(Exemplar((0, 0, 9999, 10)),))
    with pytest.raises(InputError, match="reaches out of the photo"):
        segmenter.encode(_photo(0)).segment([bad])
    with pytest.raises(ModelError, match="clicks"):  # tiny has no half for them
        segmenter.click(_photo(0), [Click((5, 5))])


def test_a_clip_goes_on_where_another_replica_dies(
    segmenter: ReplicatedSegmenter, tiny: Sam3Segmenter
):
    frames = [_photo(100 + number // 4) for number in range(24)]
    wanted = [numbers for numbers, _ in _track(tiny.follow("thing"), frames)]
    tracker = segmenter.follow("thing")
    assert isinstance(tracker, RemoteTracker)
    found = []
    for number, (numbers, _) in enumerate(_track(tracker, frames)):
        found.append(numbers)
        if number in (7, 15):
            (home,) = [one.pid for one in _states(segmenter).values() if one.clips]
            os.kill(home, signal.SIGKILL)
    assert found == wanted and any(wanted)


def _track(tracker, frames):
    for number, photo in enumerate(frames):
        yield tracker.step(number, photo)


def test_a_request_that_comes_too_late_is_not_begun(segmenter: ReplicatedSegmenter):
    with until(time.time() - 1), pytest.raises(TryAgainError, match="in time"):
        segmenter.encode(_photo(0)).segment(PROMPTS)


def test_a_photo_stays_with_its_replica(segmenter: ReplicatedSegmenter):
    photo = _photo(50)
    segmenter.encode(photo).segment(PROMPTS[:1])
    time.sleep(3)  # the replica tells the router now and then what it has
    before = _states(segmenter)
    for _ in range(12):
        segmenter.encode(photo).segment(PROMPTS[:1])
    after = _states(segmenter)
    asked = sorted(after[pid].photos_asked - before[pid].photos_asked for pid in after)
    assert asked == [0, 12]
    assert all(after[pid].photos_encoded == before[pid].photos_encoded for pid in after)


def _states(segmenter: ReplicatedSegmenter) -> dict[int, ReplicaState]:
    found: dict[int, ReplicaState] = {}
    end = time.monotonic() + 150
    while len(found) < 2:  # a killed one comes back
        assert time.monotonic() < end
        state = segmenter._handle.state.remote().result(timeout_s=30)
        found[state.pid] = state
    return found


def test_ray_exports_what_replicas_count(segmenter: ReplicatedSegmenter):
    import ray

    segmenter.encode(_photo(60)).segment(PROMPTS[:1])
    (node,) = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
    wanted = re.compile(r'^ray_sam3i_model_passes_total\{.*part="encoder".*replica="\w+"', re.M)
    end = time.monotonic() + 60
    while not wanted.search(httpx.get(url).text):
        assert time.monotonic() < end
        time.sleep(1)


def test_no_request_is_lost_when_a_replica_dies(
    segmenter: ReplicatedSegmenter, tiny: Sam3Segmenter
):
    photos = [_photo(number) for number in range(8)]
    wanted = [tiny.encode(photo).segment(PROMPTS) for photo in photos]
    victim = next(iter(_states(segmenter)))

    def ask(number: int):
        if number == 20:
            os.kill(victim, signal.SIGKILL)
        return segmenter.encode(photos[number % 8]).segment(PROMPTS)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(64)))
    for number, answer in enumerate(answers):
        _assert_same(answer, wanted[number % 8])


def test_what_no_queue_has_room_for_is_told_to_try_again(segmenter: ReplicatedSegmenter):
    replicas = len(_states(segmenter))
    room = replicas * (REQUESTS_PER_REPLICA + QUEUED_PER_REPLICA)
    image = segmenter.encode(_photo(0))
    image.segment(PROMPTS)
    together = threading.Barrier(2 * room)

    def ask(_: int) -> str:
        together.wait()
        try:
            image.segment(PROMPTS)
        except TryAgainError as error:
            return error.message
        return "answered"

    with ThreadPoolExecutor(2 * room) as pool:
        said = Counter(pool.map(ask, range(2 * room)))
    assert set(said) == {"answered", "too many requests wait for the model"}
    # How many replicas have taken when the last one asks, is chance; the queue was full.
    assert said["answered"] >= replicas * QUEUED_PER_REPLICA
    image.segment(PROMPTS)


def test_tools_over_http_correct_by_boxes_and_refuse_clicks_in_words():
    async def use(url: str) -> None:
        async with Client(url, read_timeout_seconds=120) as client:
            can = await client.call_tool("describe_capabilities", {})
            assert not can.is_error, can.content
            assert can.structured_content["takes_boxes"]
            assert not can.structured_content["takes_points"]
            arguments = {"image": str(EXAMPLE), "instruction": "red square", "include": []}
            first = await client.call_tool("segment", arguments)
            (found,) = first.structured_content["instances"]
            asked = {"result_id": first.structured_content["result_id"]}
            refined = await client.call_tool("refine", {**asked, "boxes": [found["box"]]})
            assert not refined.is_error, refined.content
            assert refined.structured_content["count"] >= 1
            x0, y0, x1, y1 = found["box"]
            point = [(x0 + x1) / 2, (y0 + y1) / 2]
            refused = await client.call_tool("refine", {**asked, "points": [point]})
            assert refused.is_error and "clicks" in refused.content[0].text

    with http_server(*SERVE, "--replicas", "1") as (url, _):
        anyio.run(use, url)
