"""Where the time of an answer goes, stage by stage, beside what the hardware allows."""

import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam3i_agent.benchmarks.speed.peers import now
from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.instances import Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.segmodel.hardware import device_name, dtype_name
from sam3i_agent.segmodel.network.answering import Question, RowAnswer, answer
from sam3i_agent.segmodel.network.compiling import compile_encoder, compile_finder
from sam3i_agent.segmodel.network.photo_features import PhotoFeatures
from sam3i_agent.segmodel.network.products import linear
from sam3i_agent.segmodel.postprocessing import to_instances
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

_PHOTO_HW = (1080, 1920)
_WARM_UP = 2
_NOTHING, _KEPT = 1.0, 5
_SQUARE = 2048
"""Side of the matrices by whose product the device's rate is measured."""
_COPY_MIB = 256
_PRODUCTS_OF_ATTENTION = 2
"""Of queries and keys, and of what comes out and values."""


STAGES_OF_PHRASES = 4
"""That are measured for each number of phrases."""


class Stage(Frozen):
    """Medians of one stage."""

    name: str
    batch: int
    """Photos, or phrases."""
    ms: float
    gflop: float
    """Of matrix products and convolutions."""
    floor_ms: float
    """At the measured rate, or, where that is more, at the measured bandwidth over the weights."""


class Stages(Frozen):
    """What `sam3i bench gpu` measured."""

    model: str
    device: str
    threads: int
    image_side: int
    dtype: str
    compiled: bool
    tflops: float
    """Of a product of square matrices in this type."""
    gbytes_per_s: float
    """Of a copy, read and written."""
    stages: list[Stage]


def measure_stages(
    segmenter: Sam3Segmenter,
    photos: Sequence[int],
    phrases: Sequence[int],
    repeats: int,
    compiled: bool,
    advance: Callable[[], None],
) -> Stages:
    """Time each stage of answers about photos of 1,920 x 1,080 pixels.

    Args:
        segmenter: a loaded model.
        photos: numbers of photos that are encoded at a time.
        phrases: numbers of phrases about one photo.
        repeats: of each measurement, after two that do not count.
        compiled: whether to compile the model before.
        advance: called after each stage.
    """
    if compiled:
        compile_encoder(segmenter)
        compile_finder(segmenter)
    bench = _Bench(segmenter, repeats, advance)
    with torch.inference_mode():
        bench.photos(photos)
        bench.phrases(phrases)
    model = segmenter.model
    device = model.device
    return Stages(
        model=segmenter.name,
        device=device_name(device),
        threads=torch.get_num_threads(),
        image_side=segmenter.input_side,
        dtype=dtype_name(model.dtype),
        compiled=compiled,
        tflops=round(bench.rate / 1e12, 3),
        gbytes_per_s=round(bench.bandwidth / 1e9, 1),
        stages=bench.measured,
    )


class _Bench:
    def __init__(self, segmenter: Sam3Segmenter, repeats: int, advance: Callable[[], None]) -> None:
        self._segmenter = segmenter
        self._model = segmenter.model
        self._repeats = repeats
        self._advance = advance
        self._pixels = np.random.default_rng(0).integers(0, 255, (*_PHOTO_HW, 3), dtype=np.uint8)
        self.measured: list[Stage] = []
        device, dtype = self._model.device, self._model.dtype
        square = torch.randn(_SQUARE, _SQUARE, device=device, dtype=dtype)
        with torch.inference_mode():  # or a CPU takes another way than the model does
            self.rate = 2 * _SQUARE**3 / self._seconds(lambda: linear(square, square))
        block = torch.empty(_COPY_MIB << 20, dtype=torch.uint8, device=device)
        target = torch.empty_like(block)
        self.bandwidth = 2 * block.nbytes / self._seconds(lambda: target.copy_(block))

    def photos(self, counts: Sequence[int]) -> None:
        """Measure from decoded pixels to features."""
        model, side = self._model, self._segmenter.input_side
        device = model.device
        self._add("resize and upload", 1, lambda: to_pixel_values(self._pixels, side, device), ())
        one = to_pixel_values(self._pixels, side, device).to(model.dtype)
        for number in counts:
            batch = one.expand(number, -1, -1, -1).contiguous()
            self._add(
                "encode photos",
                number,
                partial(model.get_vision_features, batch),
                (model.vision_encoder,),
            )

    def phrases(self, counts: Sequence[int]) -> None:
        """Measure from texts to instances about one photo."""
        model, segmenter = self._model, self._segmenter
        image = segmenter.encode(Photo(self._pixels, "stages"), keep=False)
        concept = InstructionLevel.CONCEPT
        parts = (model.detr_encoder, model.detr_decoder, model.dot_product_scoring)
        for number in counts:
            tokens = segmenter.tokenizer([f"red circle {i}" for i in range(number)])
            mask = tokens.attention_mask.to(model.device)
            levels = [concept] * number
            encode = partial(segmenter.encode_texts, tokens.input_ids, levels)
            self._add("texts", number, encode, (model.text_encoder, model.text_projection))
            ask = _Asking(segmenter, image.features, encode(), mask, levels)
            self._add("find: fusion and decoder", number, ask.absent, parts)
            floors = ask.floors(_KEPT)
            whole = partial(ask, floors)
            self._add("find, and masks of 5 each", number, whole, (*parts, model.mask_decoder))
            rows = whole()
            self._add(
                "run lengths at the photo's size",
                number,
                partial(_instances_of, rows),
                (),
            )

    def _add(
        self, name: str, batch: int, work: Callable[[], Any], parts: Sequence[torch.nn.Module]
    ) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        counter = FlopCounterMode(display=False, custom_mapping=_FLOP_OF_OTHERS)
        # What first ran while it counts would not be compiled any more.
        with torch.compiler.set_stance("force_eager"), counter:
            work()
        flop = counter.get_total_flops()
        weights = sum(one.nbytes for part in parts for one in part.parameters())
        self.measured.append(
            Stage(
                name=name,
                batch=batch,
                ms=round(1000 * self._seconds(work), 3),
                gflop=round(flop / 1e9, 3),
                floor_ms=round(1000 * max(flop / self.rate, weights / self.bandwidth), 3),
            )
        )
        self._advance()

    def _seconds(self, work: Callable[[], Any]) -> float:
        times: list[float] = []
        for _ in range(_WARM_UP + self._repeats):
            started = now(self._model.device)
            work()
            times.append(now(self._model.device) - started)
        return statistics.median(times[_WARM_UP:])


def _flop_of_linear(values: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * math.prod(values) * weight[0]


def _flop_of_attention(queries: Sequence[int], keys: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * _PRODUCTS_OF_ATTENTION * math.prod(queries) * keys[-2]


_FLOP_OF_OTHERS: dict[Any, Callable[..., int]] = {
    torch.ops.mkldnn._linear_pointwise: _flop_of_linear,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _flop_of_attention,
}
"""Of operations that torch's counter passes over."""


def _instances_of(rows: Sequence[RowAnswer]) -> list[Instances]:
    return [to_instances(row, _PHOTO_HW) for row in rows]


class _Asking:
    """The same phrases about a photo, with other thresholds."""

    def __init__(
        self, segmenter: Sam3Segmenter, photo: PhotoFeatures, texts: Tensor, mask: Tensor,
        levels: Sequence[InstructionLevel],
    ) -> None:  # fmt: skip
        self._segmenter = segmenter
        self._given = ([photo] * len(levels), texts, mask, levels)

    def __call__(self, floors: Sequence[float]) -> list[RowAnswer]:
        question = Question(*self._given, min_scores=floors)
        return answer(self._segmenter.model, question, self._segmenter.find)

    def absent(self) -> list[RowAnswer]:
        """Ask with thresholds that nothing scores above."""
        return self([_NOTHING] * len(self._given[3]))

    def floors(self, kept: int) -> list[float]:
        """Return thresholds that so many instances of each phrase are above."""
        return [float(row.scores[kept]) for row in self([0.0] * len(self._given[3]))]
