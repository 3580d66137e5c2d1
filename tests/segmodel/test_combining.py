"""What waits for the model is answered together, and each gets its own answer."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import numpy as np
import torch

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.core.stopping import check_stop, run_in_thread
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.sharing.combining import Combiner
from sam3i_agent.segmodel.sharing.text_cache import TextCache


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class _Log:
    def __init__(self, limit: int = 10) -> None:
        self.turn = threading.Lock()
        self.batches: list[list[int]] = []
        self.combine = Combiner(self._run, self.turn, limit)

    def _run(self, jobs: Sequence[int]) -> list[int]:
        self.batches.append(list(jobs))
        check_stop()
        if 13 in jobs:
            raise ValueError("unlucky")
        return [10 * job for job in jobs]

    def ask(self, jobs: Sequence[tuple[int, Any, int]]) -> list[Any]:
        """Let all jobs wait in this order, then free the model."""
        with ThreadPoolExecutor(len(jobs)) as pool:
            with self.turn:
                futures = []
                for count, (job, kind, cost) in enumerate(jobs, start=1):
                    futures.append(pool.submit(self.combine, job, kind, cost))
                    _wait(lambda count=count: len(self.combine._waiting) == count)
            return [one.exception() or one.result() for one in futures]


def test_what_waits_is_answered_together():
    log = _Log()
    assert log.combine(4) == 40
    assert log.ask([(1, None, 1), (2, None, 1), (3, None, 1)]) == [10, 20, 30]
    assert log.batches == [[4], [1, 2, 3]]
    assert (log.combine.batches, log.combine.jobs) == (2, 4)


def test_batches_are_of_one_kind_and_bounded():
    log = _Log(limit=4)
    jobs = [(1, "a", 2), (2, "b", 1), (3, "a", 2), (4, "a", 1), (5, "b", 9)]
    assert log.ask(jobs) == [10, 20, 30, 40, 50]
    assert log.batches == [[1, 3], [2], [4], [5]]


def test_one_bad_job_fails_alone():
    log = _Log()
    first, second, third = log.ask([(1, None, 1), (13, None, 1), (3, None, 1)])
    assert (first, third) == (10, 30) and isinstance(second, ValueError)


def test_a_job_that_nobody_waits_for_any_more_is_left_out():
    log = _Log()

    async def run() -> None:
        with log.turn:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run_in_thread, log.combine, 1)
                await anyio.to_thread.run_sync(_wait, lambda: len(log.combine._waiting) == 1)
                tasks.cancel_scope.cancel()

    anyio.run(run)
    assert log.ask([(2, None, 1)])[0] == 20  # asked behind the abandoned one
    _wait(lambda: not log.combine._waiting)
    assert [1] not in log.batches and not any(1 in batch for batch in log.batches)


def test_a_lone_job_can_be_stopped():
    log = _Log()

    def run(jobs: Sequence[int]) -> list[int]:
        for _ in range(1000):  # layers
            check_stop()
            time.sleep(0.01)
        return list(jobs)

    combine = Combiner(run, log.turn, 5)

    async def cancelled() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await run_in_thread(combine, 1)

    anyio.run(cancelled)
    _wait(lambda: not log.turn.locked())
    assert combine.jobs == 0


def test_photos_and_prompts_of_many_users_do_not_mix():
    segmenter = load_segmenter("tiny", device="cpu")
    photos = [Photo(generate_scene(5, i).image[: 200 + 10 * i], sha256=str(i)) for i in range(5)]
    texts = ["red circle", "blue square", "the largest thing", "ring", "green star"]
    levels = [InstructionLevel.CONCEPT, InstructionLevel.SIMPLE]
    prompts = [[Prompt(text, levels[i % 2], min_score=0.1) for i in range(2)] for text in texts]
    alone = [
        segmenter.encode(photo, keep=False).segment(asked)
        for photo, asked in zip(photos, prompts, strict=True)
    ]
    before = segmenter.encoder.batches, segmenter.decoder.batches
    with ThreadPoolExecutor(5) as pool:
        with segmenter.turn:
            encoded = [pool.submit(segmenter.encode, photo) for photo in photos]
            _wait(lambda: len(segmenter.encoder._waiting) == 5)
        images = [one.result() for one in encoded]
        with segmenter.turn:
            asked = [
                pool.submit(image.segment, some)
                for image, some in zip(images, prompts, strict=True)
            ]
            _wait(lambda: len(segmenter.decoder._waiting) == 5)
        together = [one.result() for one in asked]
    assert segmenter.encoder.batches == before[0] + 1
    assert segmenter.decoder.batches == before[1] + 1
    for ours, theirs in zip(together, alone, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)
            np.testing.assert_allclose(a.boxes_xyxy, b.boxes_xyxy, atol=0.05)
            assert a.masks.size_hw == b.masks.size_hw and len(a) == len(b)
            differing = (np.asarray(a.masks) != np.asarray(b.masks)).mean() if len(a) else 0
            assert differing < 1e-4


def test_texts_are_encoded_once_and_not_taken_for_others():
    cache, computed = TextCache(max_texts=3), []

    def get(*keys: str) -> list[float]:
        def compute(rows: Sequence[int]) -> torch.Tensor:
            computed.extend(keys[row] for row in rows)
            return torch.tensor([[float(ord(keys[row]))] for row in rows])

        return cache.get(keys, compute)[:, 0].tolist()

    assert get("a", "b", "a") == [97, 98, 97] and computed == ["a", "b"]
    assert get("c", "a", "d") == [99, 97, 100] and computed == ["a", "b", "c", "d"]
    assert get("b") == [98] and computed[-1] == "b"  # the least recent had gone
    assert (cache.hits, cache.misses) == (2, 5)
    segmenter = load_segmenter("tiny", device="cpu")
    scene = generate_scene(5, 0)
    image = segmenter.encode(Photo(scene.image, sha256="0"))
    text = f"{scene.objects[0].colour} {scene.objects[0].shape}"
    concept, simple = (Prompt(text, level, min_score=0.0) for level in list(InstructionLevel)[:2])
    first = image.segment([concept, simple])
    again = image.segment([simple, concept])
    assert (segmenter.texts.hits, segmenter.texts.misses) == (2, 2)
    np.testing.assert_allclose(first[0].scores, again[1].scores, atol=1e-5)
    assert abs(first[0].scores - first[1].scores[: len(first[0])]).max() > 1e-3
    segmenter.model.to(torch.bfloat16)
    segmenter.encode(Photo(scene.image, sha256="0")).segment([concept])
    assert segmenter.texts.misses == 3  # features of another precision are others
