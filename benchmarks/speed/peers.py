"""Answers beside those of transformers' `Sam3Model`, used in the two ways its documentation shows.

One run, one process, the same weights and photos, turn by turn. Weights are random, of the
published size, so each side's threshold is set to keep as many instances as a case says. Photos are
new in each turn: nobody has their features, nor those of texts.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import Sam3Config, Sam3Model
from transformers import initialization as init
from transformers.models.sam3.image_processing_sam3 import Sam3ImageProcessor

from sam3i_agent.benchmarks.speed.memory import PeakMemory
from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.hardware import device_name, dtype_name
from sam3i_agent.segmodel.network.instruction_sam3 import is_instruction_head_key
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

_PHRASES = ("mug", "laptop", "red chair", "window", "person", "dog", "umbrella", "table")
_SERIES = 931
_PHOTO_SIZE = (1024, 768)
_TINY_HW = (16, 16)
_KEPT = 5
"""Instances of a phrase that is there."""
Clock = Callable[[torch.device], float]
"""Seconds so far, when all that was asked of the device is done."""
_TIED = 2
"""Instances that a count may be off by: in half precision scores are alike beside a threshold."""
_NOTHING = 1.0
"""A threshold that nothing scores above."""


@dataclass(frozen=True)
class Case:
    """What is asked for."""

    name: str
    photos: int = 1
    rounds: tuple[int, ...] = (1,)
    """Phrases of each round about each photo, which are known only when the one before is over."""
    present: int | None = None
    """Phrases that are there; None means all."""
    kept: int = _KEPT
    megapixels: float | None = None
    """None means 1,024 x 768 pixels."""
    anew: bool = True
    """Whether stock is also run anew for each phrase."""
    encode_masks: bool = False
    """Whether stock's masks are run-length encoded too, as ours are in every case."""


CASES = {
    "one": Case("one phrase"),
    "eight": Case("8 phrases", rounds=(8,)),
    "absent": Case("32 phrases, 28 absent", rounds=(32,), present=4, anew=False),
    "photos": Case("16 photos, one phrase", photos=16, anew=False),
    "many": Case("100 instances on a large photo, to run lengths", kept=100, megapixels=24,
                 anew=False, encode_masks=True),
    "agent": Case("an agent's 3 rounds of 3 phrases", rounds=(3, 3, 3)),
}  # fmt: skip
"""By the names of the command line."""


class PeerCase(Frozen):
    """Medians of one case."""

    case: str
    ours_s: float
    kept_s: float
    """Stock with the vision features kept, as a skilled user does."""
    anew_s: float | None
    """Stock anew for each phrase."""
    to_kept: float
    """Ours to stock with features kept: the median of the turns' ratios."""
    to_anew: float | None
    ours_mib: float
    kept_mib: float
    """The most memory beside the weights."""


class Peers(Frozen):
    """What `sam3i bench peers` measured."""

    model: str
    device: str
    threads: int
    image_side: int
    dtype: str
    repeats: int
    cases: list[PeerCase]


class StockPeer:
    """`Sam3Model` and its image processor over the weights of a segmenter.

    The texts' ids are ours: the published tokenizer's files are not here.
    """

    def __init__(self, segmenter: Sam3Segmenter) -> None:
        ours = segmenter.model
        config = Sam3Config.from_dict({**ours.config.to_dict(), "model_type": "sam3"})
        with init.no_init_weights():
            model: Any = Sam3Model(config)
        weights = ours.state_dict()
        base = {key: one for key, one in weights.items() if not is_instruction_head_key(key)}
        model.load_state_dict(base, assign=True)
        # The tables of the rotary positions are no weights, so they are not ours.
        self._model = model.eval().requires_grad_(False).to(ours.device)
        self._tokenizer = segmenter.tokenizer
        side = segmenter.input_side
        self._processor = Sam3ImageProcessor(size={"height": side, "width": side})

    @torch.inference_mode()
    def ask(
        self, photo: Photo, phrases: Sequence[str], floors: Sequence[float], *, anew: bool,
        encode: bool,
    ) -> list[int]:  # fmt: skip
        """Answer phrases about a photo one after the other; return the counts of instances."""
        vision: Any = None
        counts: list[int] = []
        for phrase, floor in zip(phrases, floors, strict=True):
            if vision is None or anew:
                vision = self._encode(photo)
            output = self._output(vision, phrase)
            (found,) = self._processor.post_process_instance_segmentation(
                output, threshold=floor, target_sizes=[photo.size_hw]
            )
            if encode:
                masks = found["masks"].bool().cpu().numpy()
                Masks.encode(list(masks), photo.size_hw)
            counts.append(len(found["scores"]))
        return counts

    @torch.inference_mode()
    def floors(self, photo: Photo, phrases: Sequence[str], kept: int) -> list[float]:
        """Return for each phrase the threshold that so many instances are above."""
        vision = self._encode(photo)
        floors: list[float] = []
        for phrase in phrases:
            output = self._output(vision, phrase)
            scores = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
            floors.append(floor_of(scores[0].float().cpu().numpy(), kept))
        return floors

    def _encode(self, photo: Photo) -> Any:
        pixels = self._processor(Image.fromarray(photo.pixels), return_tensors="pt")
        on_device = pixels["pixel_values"].to(self._model.device, self._model.dtype)
        return self._model.get_vision_features(on_device)

    def _output(self, vision: Any, phrase: str) -> Any:
        tokens = self._tokenizer([phrase])
        device = self._model.device
        return self._model(
            vision_embeds=vision,
            input_ids=tokens.input_ids.to(device),
            attention_mask=tokens.attention_mask.to(device),
        )


def measure_peers(
    segmenter: Sam3Segmenter,
    cases: Sequence[str],
    repeats: int,
    advance: Callable[[], None],
    megapixels: float | None = None,
    clock: Clock | None = None,
) -> Peers:
    """Time each case on each side.

    Args:
        segmenter: with the weights that both sides share.
        cases: keys of `CASES`.
        repeats: turns of each, after one that is not counted.
        advance: called after each case.
        megapixels: of the large photo, where not 24.
        clock: to time with; None takes `now`.

    Raises:
        InputError: there is no such case.
    """
    if unknown := [one for one in cases if one not in CASES]:
        raise InputError(f"there is no case {unknown[0]!r}", f"the cases are {', '.join(CASES)}")
    stock = StockPeer(segmenter)
    numbers = count()
    measured: list[PeerCase] = []
    for name in cases:
        case = CASES[name]
        if case.megapixels is not None and megapixels is not None:
            case = replace(case, megapixels=megapixels)
        measured.append(_measure(segmenter, stock, case, repeats, numbers, clock or now))
        advance()
    device = segmenter.model.device
    return Peers(
        model=segmenter.name,
        device=device_name(device),
        threads=torch.get_num_threads(),
        image_side=segmenter.input_side,
        dtype=dtype_name(segmenter.model.dtype),
        repeats=repeats,
        cases=measured,
    )


def _measure(
    segmenter: Sam3Segmenter, stock: StockPeer, case: Case, repeats: int, numbers: "count[int]",
    clock: Clock,
) -> PeerCase:  # fmt: skip
    pixels = _pixels(case)
    phrases = [
        f"{_PHRASES[i % 8]} {i // 8}" if i >= 8 else _PHRASES[i] for i in range(sum(case.rounds))
    ]
    present = len(phrases) if case.present is None else case.present
    first = Photo(pixels, "peers first")
    there = [Prompt(one, min_score=0.0) for one in phrases[:present]]
    # Of a tiny photo: all queries have masks here, and nobody looks at them.
    answers = segmenter.answer(segmenter.encode(first).features, _TINY_HW, there)
    mine = [floor_of(one.scores, case.kept) for one in answers]
    theirs = stock.floors(first, phrases[:present], case.kept)
    absent = [_NOTHING] * (len(phrases) - present)
    mine, theirs = [*mine, *absent], [*theirs, *absent]

    def ours() -> list[int]:
        segmenter.texts.clear()
        segmenter.encodings.clear()
        counts: list[int] = []
        for number in [next(numbers) for _ in range(case.photos)]:
            start = 0
            for asked in case.rounds:
                some = slice(start, start + asked)
                photo = Photo(pixels, f"peers {number}")
                image = segmenter.encode(photo, keep=case.photos == 1)  # others do not come again
                prompts = [
                    Prompt(text, min_score=floor)
                    for text, floor in zip(phrases[some], mine[some], strict=True)
                ]
                counts += [len(one.masks) for one in image.segment(prompts)]
                start += asked
        segmenter.encodings.clear()
        return counts

    def peer(*, anew: bool) -> list[int]:
        photo = Photo(pixels, "peers")
        return [
            number
            for _ in range(case.photos)
            for number in stock.ask(photo, phrases, theirs, anew=anew, encode=case.encode_masks)
        ]

    wanted = ([case.kept] * present + [0] * len(absent)) * case.photos
    ways = [ours, partial(peer, anew=False), *([partial(peer, anew=True)] if case.anew else [])]
    device = segmenter.model.device
    tied = 0 if segmenter.model.dtype == torch.float32 else _TIED
    turns = [[_run(device, clock, way, wanted, tied) for way in ways] for _ in range(repeats)]
    seconds, mib = np.moveaxis(np.array(turns), -1, 0)  # (turns, ways) each
    medians = np.median(seconds, axis=0).round(3).tolist()
    ratios = np.median(seconds[:, :1] / seconds, axis=0).round(3).tolist()
    most = mib.max(axis=0).round(1).tolist()
    return PeerCase(
        case=case.name,
        ours_s=medians[0],
        kept_s=medians[1],
        anew_s=medians[2] if case.anew else None,
        to_kept=ratios[1],
        to_anew=ratios[2] if case.anew else None,
        ours_mib=most[0],
        kept_mib=most[1],
    )


def _run(
    device: torch.device,
    clock: Clock,
    work: Callable[[], Sequence[int]],
    wanted: Sequence[int],
    tied: int,
) -> tuple[float, float]:
    """Return seconds, and MiB beyond what was there before."""
    peak = PeakMemory(device)
    started = clock(device)
    counts = work()
    seconds = clock(device) - started
    if len(counts) != len(wanted) or any(
        abs(one - other) > (tied if other else 0) for one, other in zip(counts, wanted, strict=True)
    ):
        raise ValueError(f"thresholds keep {counts} instances, and kept {wanted} before")
    return seconds, peak.extra_mib()


def now(device: torch.device) -> float:
    """Return the time in seconds when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def processor_time(_: torch.device) -> float:
    """Return the seconds that this process has had a processor; see `one_thread`."""
    return time.process_time()


@contextmanager
def one_thread() -> Iterator[None]:
    """Work on one thread: the processor's time has also that of threads that wait for others."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def floor_of(scores: np.ndarray, kept: int) -> float:
    """Return a number that so many scores are above."""
    ordered = np.sort(scores)[::-1]
    if len(ordered) <= kept:
        raise InputError(f"the model has {len(ordered)} queries, too few for {kept} instances")
    return float(ordered[kept - 1] + ordered[kept]) / 2


def _pixels(case: Case) -> np.ndarray:
    width, height = _PHOTO_SIZE
    if case.megapixels is not None:
        width = round((case.megapixels * 1e6 * 1.5) ** 0.5)
        height = round(width / 1.5)
    scene = Image.fromarray(generate_scene(_SERIES, 0).image)
    return np.array(scene.resize((width, height)))
