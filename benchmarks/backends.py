"""Other models beside the classes of transformers, phrase by phrase: seconds and memory.

Sizes are the published ones, weights are random, so the answers mean nothing; as many instances
are drawn on both sides. Both sides run the same weights in one process, one after the other.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms
from transformers import (
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam3ImageProcessor,
    Sam3LiteTextConfig,
    Sam3LiteTextModel,
)
from transformers import initialization as init

from sam3i_agent.benchmarks.random_models import reset_norms
from sam3i_agent.benchmarks.speed.peers import floor_of
from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.open_vocabulary.calibration import TEXT_THRESHOLD, calibrated
from sam3i_agent.segmodel.open_vocabulary.detector import NMS_IOU
from sam3i_agent.segmodel.open_vocabulary.segmenter import OpenVocabularySegmenter
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from sam3i_agent.segmodel.segmenter import LoadedSegmenter

SIDES = {"sam3-litetext": (1008, 336), "owlv2": (960, 480), "sam2": (1024, 512)}
"""Of the inputs, in pixels: published, and reduced."""
LITE_CONTEXT = 16
"""Ids of a text, as the published s0 reads them."""
INSTANCES = 10
"""Drawn for each phrase, before doubles are dropped."""
_PHOTO_HW = (480, 640)
STD = 0.02
"""Of random weights."""
_MIB = 1024**2
_KIB = 1024
_PEAK, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"


class BackendTime(Frozen):
    """One model: this project beside transformers, the same phrases about the same photo."""

    model: str
    parameters: int
    image_side: int
    phrases: int
    encode_s: float
    """A photo that is new, everything that does not depend on phrases."""
    answer_s: float
    """All phrases, masks at the photo's size included."""
    stock_s: float
    """Transformers' own classes, the photo and one phrase at a time."""
    ratio: float
    """(encode + answer) / stock."""
    processor_ratio: float
    """The same of processor time, which other programs on the machine hardly change."""
    memory_mib: float | None
    """Of the process at its largest while this project answered; None where nobody says."""
    stock_memory_mib: float | None


class BackendTimes(Frozen):
    """What `sam3i bench backends` measured."""

    device: str
    dtype: str
    threads: int
    models: list[BackendTime]


@dataclass(frozen=True)
class Backend:
    """A model as this project runs it, and the same weights called as transformers does."""

    name: str
    ours: LoadedSegmenter
    parameters: int
    stock: Callable[[Photo, str], float]
    """Returns the score above which it drew instances, on the scale of this project."""
    same_scores: bool
    """Whether both sides score alike; SAM 3 here has the official token more than transformers."""


def measure_backends(
    kinds: Sequence[str],
    phrases: int,
    repeats: int,
    reduced: bool,
    advance: Callable[[], None],
) -> BackendTimes:
    """Time each kind.

    Args:
        kinds: among `BACKENDS`.
        phrases: asked about the photo.
        repeats: of each measurement; the median counts.
        reduced: take the smaller inputs of `SIDES`, which favour neither side.
        advance: called after each kind.

    Raises:
        InputError: a kind that is none.
    """
    if unknown := [one for one in kinds if one not in BACKENDS]:
        raise InputError(f"there is no kind {unknown[0]!r}", f"take {', '.join(BACKENDS)}")
    models: list[BackendTime] = []
    for kind in kinds:
        models.append(_measure(BACKENDS[kind](reduced), phrases, repeats))
        advance()
    return BackendTimes(
        device="cpu", dtype="float32", threads=torch.get_num_threads(), models=models
    )


def table_of(times: BackendTimes) -> str:
    """Return the figures as a table of Markdown."""
    lines = [
        f"{times.device}, {times.dtype}, {times.threads} threads",
        "",
        "| model | side | phrases | encode | answer | transformers | ratio | by processor time "
        "| MiB | its MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in times.models:
        memory = [
            "–" if size is None else f"{size:.0f}"
            for size in (one.memory_mib, one.stock_memory_mib)
        ]
        lines.append(
            f"| {one.model} | {one.image_side} | {one.phrases} | {one.encode_s:.1f} s | "
            f"{one.answer_s:.1f} s | {one.stock_s:.1f} s | {one.ratio:.2f} | "
            f"{one.processor_ratio:.2f} | {memory[0]} | {memory[1]} |"
        )
    return "\n".join(lines)


def _measure(backend: Backend, phrases: int, repeats: int) -> BackendTime:
    pixels = np.random.default_rng(0).integers(0, 255, (*_PHOTO_HW, 3), dtype=np.uint8)
    texts = [f"thing number {number}" for number in range(phrases)]
    ours = backend.ours
    encodes: list[NDArray[np.float64]] = []
    answers: list[NDArray[np.float64]] = []
    stocks: list[NDArray[np.float64]] = []
    memory = stock_memory = None
    own = None if backend.same_scores else floors_of(ours, Photo(pixels, "floors"), texts)
    for number in range(repeats):
        photo = Photo(pixels, f"photo {number}")
        _reset_peak()
        started = _clocks()
        floors = [backend.stock(photo, text) for text in texts]
        stocks.append(_clocks() - started)
        stock_memory = _peak_mib()
        prompts = [
            Prompt(text, min_score=floor) for text, floor in zip(texts, own or floors, strict=True)
        ]
        _reset_peak()
        started = _clocks()
        image = ours.encode(photo, keep=False)
        encoded = _clocks()
        image.segment(prompts)
        answers.append(_clocks() - encoded)
        encodes.append(encoded - started)
        memory = _peak_mib()
    encode, answer, stock = (np.median(one, axis=0) for one in (encodes, answers, stocks))
    ratio, processor_ratio = ((encode + answer) / stock).round(3).tolist()
    return BackendTime(
        model=backend.name,
        parameters=backend.parameters,
        image_side=ours.input_side,
        phrases=phrases,
        encode_s=round(float(encode[0]), 3),
        answer_s=round(float(answer[0]), 3),
        stock_s=round(float(stock[0]), 3),
        ratio=ratio,
        processor_ratio=processor_ratio,
        memory_mib=memory,
        stock_memory_mib=stock_memory,
    )


def _clocks() -> NDArray[np.float64]:
    """Return seconds on the wall and of this process, in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def floors_of(ours: LoadedSegmenter, photo: Photo, texts: Sequence[str]) -> list[float]:
    """Return for each text the score that `INSTANCES` instances are above."""
    prompts = [Prompt(text, min_score=0.0) for text in texts]
    answers = ours.encode(photo, keep=False).segment(prompts)
    return [floor_of(one.scores, INSTANCES) for one in answers]


def _lite_text(reduced: bool) -> Backend:
    side = SIDES["sam3-litetext"][reduced]
    plain: Any = InstructionSam3Config()  # transformers hides what a configuration holds
    grid = side // plain.vision_config.backbone_config.patch_size
    config = Sam3LiteTextConfig(text_config={"max_position_embeddings": LITE_CONTEXT})
    config.image_size = side
    vision: Any = config.vision_config
    vision.backbone_feature_sizes = [[grid * scale] * 2 for scale in (4, 2, 1)]
    return lite_text_backend(config)


def lite_text_backend(config: Sam3LiteTextConfig) -> Backend:
    """Return a SAM3-LiteText with random weights, both ways."""
    stock = _random(Sam3LiteTextModel, config)
    with init.no_init_weights():
        model: Any = InstructionSam3(InstructionSam3Config.from_dict(config.to_dict()))
    model.load_state_dict(stock.state_dict(), assign=True)
    ours = Sam3Segmenter(model.eval().requires_grad_(False), "sam3-litetext-s0")
    side = ours.input_side
    processor = Sam3ImageProcessor(size={"height": side, "width": side})

    @torch.inference_mode()
    def ask(photo: Photo, text: str) -> float:
        tokens = ours.tokenizer([text])
        output = stock(
            pixel_values=_pixels(processor, photo),
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
        )
        scores = output.pred_logits[0].sigmoid() * output.presence_logits[0].sigmoid()
        floor = float(scores.sort(descending=True).values[INSTANCES])
        processor.post_process_instance_segmentation(
            output, threshold=floor, target_sizes=[photo.size_hw]
        )
        return floor

    return Backend(ours.name, ours, stock.num_parameters(), ask, same_scores=False)


def _open_vocabulary(reduced: bool) -> Backend:
    side, sam_side = SIDES["owlv2"][reduced], SIDES["sam2"][reduced]
    config = Owlv2Config(vision_config={"image_size": side})
    grids = [[sam_side // stride] * 2 for stride in (4, 8, 16)]
    sam_config = Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "image_size": [sam_side, sam_side],
            },
            "backbone_feature_sizes": grids,
        },
        prompt_encoder_config={"image_size": sam_side},
    )
    return open_vocabulary_backend(config, sam_config)


def open_vocabulary_backend(config: Owlv2Config, sam_config: Sam2Config) -> Backend:
    """Return an OWLv2 and a SAM 2 with random weights, both ways."""
    detector, masker = _random(Owlv2ForObjectDetection, config), _random(Sam2Model, sam_config)
    with torch.no_grad():  # random heads would give every patch the same box
        detector.box_head.dense2.weight.zero_()
    ours = OpenVocabularySegmenter(detector, masker, "owlv2+sam2")
    side = ours.input_side
    sam_side = int(masker.config.prompt_encoder_config.image_size)
    processor = Owlv2ImageProcessor(size={"height": side, "width": side})
    sam_processor = Sam2ImageProcessor(size={"height": sam_side, "width": sam_side})

    @torch.inference_mode()
    def ask(photo: Photo, text: str) -> float:
        tokens = ours.tokens([text])
        output = detector(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            pixel_values=_pixels(processor, photo),
        )
        floor = output.logits.flatten().sort(descending=True).values[INSTANCES]
        (found,) = processor.post_process_object_detection(
            output, threshold=float(floor.sigmoid()), target_sizes=[photo.size_hw]
        )
        boxes = found["boxes"][nms(found["boxes"], found["scores"], NMS_IOU)]
        height, width = photo.size_hw
        drawn = masker(
            pixel_values=_pixels(sam_processor, photo),
            input_boxes=(boxes * torch.tensor([sam_side / width, sam_side / height] * 2))[None],
            multimask_output=False,
        )
        sam_processor.post_process_masks([drawn.pred_masks[0]], [photo.size_hw])
        return float(calibrated(floor, TEXT_THRESHOLD))

    parameters = detector.num_parameters() + masker.num_parameters()
    return Backend(ours.name, ours, parameters, ask, same_scores=True)


BACKENDS: dict[str, Callable[[bool], Backend]] = {
    "sam3-litetext": _lite_text,
    "owlv2+sam2": _open_vocabulary,
}
"""What `sam3i bench backends` measures."""


def _random(kind: Any, config: Any) -> Any:
    with init.no_init_weights():
        model = kind(config).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, STD)
    reset_norms(model)
    return model


def _pixels(processor: Any, photo: Photo) -> Tensor:
    return processor(
        images=photo.pixels, input_data_format="channels_last", return_tensors="pt"
    ).pixel_values


def _reset_peak() -> None:
    if _PEAK.exists():
        _PEAK.write_text(_RESET_PEAK)


def _peak_mib() -> float | None:
    if not _PEAK.exists():
        return None
    line = next(one for one in _STATUS.read_text().splitlines() if one.startswith("VmHWM:"))
    return round(int(line.split()[1]) * _KIB / _MIB, 1)
