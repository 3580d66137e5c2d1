"""Encodings are computed once, bounded in bytes, and never stale."""

import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.sharing.encoding_cache import EncodingCache


@dataclass(frozen=True)
class _Block:
    nbytes: int


def test_the_least_recently_used_goes_first():
    cache = EncodingCache[_Block](max_bytes=100)
    for key in ("a", "b"):
        cache.get(key, lambda: _Block(50))
    cache.get("a", lambda: pytest.fail("it is kept"))
    cache.get("c", lambda: _Block(50))
    cache.get("a", lambda: pytest.fail("it is kept"))
    cache.get("b", lambda: _Block(20))  # was dropped, and drops c
    assert (cache.hits, cache.misses, cache.nbytes) == (2, 4, 70)
    cache.get("huge", lambda: _Block(1000))
    assert cache.nbytes == 1000  # the latest stays whatever its size


def test_one_computation_for_many_threads():
    cache, started, go_on = EncodingCache[_Block](), threading.Event(), threading.Event()
    results: list[_Block] = []

    def compute() -> _Block:
        started.set()
        go_on.wait(10)
        return _Block(1)

    threads = [
        threading.Thread(target=lambda: results.append(cache.get("a", compute))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    started.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(results) == 4 and len({id(one) for one in results}) == 1
    assert cache.misses == 1


def test_another_one_takes_over_where_the_first_fails():
    cache, started, go_on = EncodingCache[_Block](), threading.Event(), threading.Event()
    errors: list[str] = []

    def fail() -> _Block:
        started.set()
        go_on.wait(10)
        raise RuntimeError("stopped")

    def first() -> None:
        try:
            cache.get("a", fail)
        except RuntimeError as error:
            errors.append(str(error))

    results: list[_Block] = []
    threads = [threading.Thread(target=first)]
    threads[0].start()
    started.wait(10)
    threads.append(
        threading.Thread(target=lambda: results.append(cache.get("a", lambda: _Block(7))))
    )
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert errors == ["stopped"] and results == [_Block(7)]


def test_a_cast_model_and_another_photo_are_encoded_anew(scene):
    segmenter = load_segmenter("tiny", device="cpu")
    photo = Photo(scene.image, sha256="1" * 64)
    first = segmenter.encode(photo)
    assert segmenter.encode(photo) is first
    assert first.nbytes > 100_000
    mirrored = Photo(np.ascontiguousarray(scene.image[:, ::-1]), sha256="2" * 64)
    assert segmenter.encode(mirrored) is not first
    segmenter.model.to(torch.bfloat16)
    cast = segmenter.encode(photo)
    assert cast.features.maps[0].dtype == torch.bfloat16
    assert cast.segment([Prompt("red circle")])
    assert segmenter.encode(replace(photo, sha256="1" * 64)) is cast
