"""How cost grows: with instances, with the photo's pixels, and with clients at a time."""

import resource
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.postprocessing import masks_at
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

_LOGITS_SIDE = 288
"""Of the published model's masks."""
_BLOBS = 12
"""Cells a side of the random pattern that masks are cut from."""
_MIB = 1024
"""KiB in a MiB: the unit of `ru_maxrss` on Linux."""
_SERIES = 931
_PLAIN_LIMIT = 20
"""Instances up to which the plain path is run beside, for equality; it holds all pixels."""
_PHRASES = ("red circle", "blue square")


class InstanceCost(Frozen):
    """Masks from the model's logits to run lengths, at the photo's size."""

    instances: int
    megapixels: float
    seconds: float
    extra_mib: float
    """Growth of the process's peak memory."""
    equals_plain: bool | None = None
    """Bit for bit the masks of resizing all at once; None where that was not run."""


class PhotoCost(Frozen):
    """From a decoded photo to its answer, with nothing kept."""

    megapixels: float
    seconds: float


class ClientCost(Frozen):
    """Requests per second about different photos, from threads."""

    clients: int
    one_by_one: float
    """Each request a pass of its own."""
    together: float
    """What waits shares passes."""

    @property
    def ratio(self) -> float:
        """Of together to one by one."""
        return self.together / self.one_by_one


class Growth(Frozen):
    """What `sam3i bench growth` measured."""

    model: str
    instances: list[InstanceCost]
    photos: list[PhotoCost]
    clients: list[ClientCost]


def measure_growth(
    segmenter: Sam3Segmenter,
    instances: Sequence[int],
    megapixels: Sequence[float],
    clients: Sequence[int],
    seconds: float,
    advance: Callable[[], None],
) -> Growth:
    """Measure all three.

    Args:
        segmenter: a loaded model; masks are measured on logits of the published size instead.
        instances: numbers of masks, on a photo of the last of
        megapixels: sizes of photos.
        clients: threads that ask at a time.
        seconds: of load for each number of clients and each way.
        advance: called after each measurement.
    """
    size = _size(megapixels[-1])
    masks: list[InstanceCost] = []
    for count in instances:
        masks.append(_instances(count, megapixels[-1]))
        advance()
    # Only now: the plain path raises the process's peak memory.
    masks = [
        one.model_copy(update={"equals_plain": _equals_plain(one.instances, size)})
        if one.instances <= _PLAIN_LIMIT
        else one
        for one in masks
    ]
    photos: list[PhotoCost] = []
    for size in megapixels:
        photos.append(_photo_cost(segmenter, size))
        advance()
    together: list[ClientCost] = []
    for count in clients:
        together.append(_client_cost(segmenter, count, seconds))
        advance()
    return Growth(model=segmenter.description, instances=masks, photos=photos, clients=together)


def _size(megapixels: float) -> tuple[int, int]:
    """Return height and width of a photo of 2 : 3."""
    width = round((megapixels * 1e6 * 1.5) ** 0.5)
    return round(width / 1.5), width


def _instances(count: int, megapixels: float) -> InstanceCost:
    logits, size = _logits(count), _size(megapixels)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    masks_at(logits, size)
    seconds = time.perf_counter() - started
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return InstanceCost(
        instances=count,
        megapixels=megapixels,
        seconds=round(seconds, 3),
        extra_mib=round(extra / _MIB, 1),
    )


def _logits(count: int) -> Tensor:
    """Return (count, 288, 288) logits of random blobs, the same each time."""
    generator = torch.Generator().manual_seed(count)
    noise = torch.randn(count, 1, _BLOBS, _BLOBS, generator=generator)
    return interpolate(noise, (_LOGITS_SIDE, _LOGITS_SIDE), mode="bicubic")[:, 0] - 1


def _equals_plain(count: int, size: tuple[int, int]) -> bool:
    logits = _logits(count)
    found = masks_at(logits, size)
    plain = interpolate(logits[None], size, mode="bilinear", align_corners=False)[0] > 0
    return all(np.array_equal(a, b.numpy()) for a, b in zip(found, plain, strict=True))


def _photo_cost(segmenter: Sam3Segmenter, megapixels: float) -> PhotoCost:
    scene, (height, width) = generate_scene(_SERIES, 0), _size(megapixels)
    photo = Photo(np.array(Image.fromarray(scene.image).resize((width, height))), "growth")
    item = scene.objects[0]
    times: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        segmenter.encode(photo, keep=False).segment([Prompt(f"{item.colour} {item.shape}")])
        times.append(time.perf_counter() - started)
    return PhotoCost(megapixels=megapixels, seconds=round(statistics.median(times), 4))


def _client_cost(segmenter: Sam3Segmenter, clients: int, seconds: float) -> ClientCost:
    photos = [Photo(generate_scene(_SERIES, i).image, f"client {i}") for i in range(clients)]
    encoder, decoder = segmenter.encoder, segmenter.decoder
    together = _requests_per_second(segmenter, photos, seconds)
    segmenter.encoder, segmenter.decoder = encoder.limited_to(1), decoder.limited_to(1)
    try:
        alone = _requests_per_second(segmenter, photos, seconds)
    finally:
        segmenter.encoder, segmenter.decoder = encoder, decoder
    return ClientCost(clients=clients, one_by_one=round(alone, 1), together=round(together, 1))


def _requests_per_second(
    segmenter: Sam3Segmenter, photos: Sequence[Photo], seconds: float
) -> float:
    stop = threading.Event()

    def client(photo: Photo) -> int:
        done = 0
        while not stop.is_set():
            segmenter.encode(photo, keep=False).segment([Prompt(text) for text in _PHRASES])
            done += 1
        return done

    with ThreadPoolExecutor(len(photos)) as pool:
        started = time.perf_counter()
        running = [pool.submit(client, photo) for photo in photos]
        time.sleep(seconds)
        stop.set()
        done = sum(one.result() for one in running)
        return done / (time.perf_counter() - started)
