"""Milliseconds from a decoded photo to its answer, part by part, in each way a machine offers."""

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch

from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.hardware import device_name, dtype_name
from sam3i_agent.segmodel.network.compiling import compile_encoder
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

_PHOTO_HW = (1080, 1920)
_WARM_UP = 3


class EncoderTime(Frozen):
    """Medians in milliseconds for one way of running."""

    dtype: str
    channels_last: bool
    compiled: bool
    upload_ms: float
    """To the device, resized and scaled there."""
    encode_ms: float
    answer_ms: float
    """One known phrase: DETR, masks, run lengths."""


class EncoderTimes(Frozen):
    """What `sam3i bench encoder` measured."""

    model: str
    device: str
    """Its name; figures of another device say nothing about this one."""
    threads: int
    image_side: int
    queries: int
    ways: list[EncoderTime]


def measure_encoder(
    make: Callable[[torch.dtype], Sam3Segmenter],
    dtypes: Sequence[torch.dtype],
    compiled: Sequence[bool],
    repeats: int,
    advance: Callable[[], None],
) -> EncoderTimes:
    """Time every way.

    Args:
        make: loads the model with weights of a type.
        dtypes: to try.
        compiled: whether to compile the encoder; both may be asked for.
        repeats: of each measurement.
        advance: called after each way.
    """
    pixels = np.random.default_rng(0).integers(0, 255, (*_PHOTO_HW, 3), dtype=np.uint8)
    photo = Photo(pixels, "bench encoder")
    ways: list[EncoderTime] = []
    segmenter: Sam3Segmenter | None = None
    for dtype, channels_last, with_compiler in product(dtypes, (False, True), compiled):
        segmenter = make(dtype)
        if channels_last:
            model: Any = segmenter.model  # a decorator hides the type of `to`
            model.to(memory_format=torch.channels_last)
        if with_compiler:
            compile_encoder(segmenter)
        ways.append(_measure(segmenter, photo, channels_last, with_compiler, repeats))
        advance()
    if segmenter is None:
        raise ValueError("no type to try")
    device = segmenter.model.device
    return EncoderTimes(
        model=segmenter.name,
        device=device_name(device),
        threads=torch.get_num_threads(),
        image_side=segmenter.input_side,
        queries=segmenter.query_count,
        ways=ways,
    )


def _measure(
    segmenter: Sam3Segmenter, photo: Photo, channels_last: bool, compiled: bool, repeats: int
) -> EncoderTime:
    device = segmenter.model.device
    side = segmenter.input_side
    prompt = [Prompt("red circle")]
    uploads: list[float] = []
    encodes: list[float] = []
    answers: list[float] = []
    for number in range(_WARM_UP + repeats):
        started = _now(device)
        to_pixel_values(photo.pixels, side, device)
        uploaded = _now(device)
        image = segmenter.encode(photo, keep=False)
        encoded = _now(device)
        image.segment(prompt)
        answered = _now(device)
        if number >= _WARM_UP:
            uploads.append(uploaded - started)
            encodes.append(encoded - uploaded - (uploaded - started))
            answers.append(answered - encoded)
    upload, encode, answer = (
        round(1000 * statistics.median(one), 2) for one in (uploads, encodes, answers)
    )
    return EncoderTime(
        dtype=dtype_name(segmenter.model.dtype),
        channels_last=channels_last,
        compiled=compiled,
        upload_ms=upload,
        encode_ms=encode,
        answer_ms=answer,
    )


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
