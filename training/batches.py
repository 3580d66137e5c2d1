"""Training batches: batch number `n` of a source is always the same."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.exemplars import pad_boxes
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.tokenization import CONTEXT_LENGTH, InstructionTokenizer, TokenBatch
from sam3i_agent.training.pictures import Picture, PictureSource

NO_OBJECT = 255
"""Label of a grid cell that is mostly background."""
_HAND_ERROR = 0.06
"""Standard deviation of where a user draws a side, as a share of the box."""
_EXAMPLES_SERIES = 17
"""Sets the chance in drawing boxes apart from that of the pictures."""


@dataclass
class TrainingBatch:
    """B pictures, P samples about them, T target instances in all."""

    pixel_values: torch.Tensor
    """(B, 3, S, S) float32."""
    object_labels: torch.Tensor | None
    """(B, 3, M, M) uint8: shape, colour and texture of each mask cell, or `NO_OBJECT`; None where
    the source does not know them."""
    object_offsets: torch.Tensor | None
    """(B, 4, M, M) float32: left, top, right, bottom of the cell's object, minus the cell's
    centre, in image sides; meaningless where there is no object."""
    texts: dict[InstructionLevel, TokenBatch]
    """Of the P samples, by level."""
    concept_groups: torch.Tensor
    """(P,) int64: equal for samples of one concept."""
    image_of_sample: torch.Tensor
    """(P,) int64, ascending."""
    target_counts: torch.Tensor
    """(P,) int64: instances per sample; they lie one after another in the tensors below."""
    boxes_cxcywh: torch.Tensor
    """(T, 4) float32 in 0..1."""
    masks: torch.Tensor
    """(T, M, M) float32: covered share of each mask cell."""
    example_boxes: torch.Tensor
    """(P, K, 4) float32 cxcywh in 0..1, as a user would draw them; K is 0 without examples."""
    example_labels: torch.Tensor
    """(P, K) int64: 1 positive, 0 negative, -10 padding."""

    @property
    def examples(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Boxes and labels, or None where the batch has no examples."""
        if self.example_boxes.numel() == 0:
            return None
        return self.example_boxes, self.example_labels

    def to(self, device: torch.device) -> "TrainingBatch":
        """Return the batch on `device`."""
        tensors = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, torch.Tensor)
        }
        texts = {
            level: TokenBatch(
                one.input_ids.to(device, non_blocking=True),
                one.attention_mask.to(device, non_blocking=True),
                one.lengths,
            )
            for level, one in self.texts.items()
        }
        return replace(self, texts=texts, **tensors)


@dataclass(frozen=True)
class BatchPlan:
    """What a batch holds."""

    source: PictureSource
    images: int
    image_size: int
    mask_size: int
    vocabulary_size: int
    context_length: int = CONTEXT_LENGTH
    """Ids that the model reads of a text."""


def make_batch(plan: BatchPlan, number: int, tokenizer: InstructionTokenizer) -> TrainingBatch:
    """Build batch `number` of `plan`."""
    pictures = [
        plan.source.picture(number * plan.images + slot, plan.mask_size)
        for slot in range(plan.images)
    ]
    samples = [
        (slot, picture, sample)
        for slot, picture in enumerate(pictures)
        for sample in picture.samples
    ]
    levels = samples[0][2].texts.keys() if samples else ()
    concepts = [sample.texts.get(InstructionLevel.CONCEPT, "") for _, _, sample in samples]
    group_of = {concept: group for group, concept in enumerate(dict.fromkeys(concepts))}
    dense = [_dense_targets(picture) for picture in pictures if picture.kinds is not None]
    size = plan.mask_size
    rng = np.random.default_rng([_EXAMPLES_SERIES, number])
    example_boxes, example_labels = pad_boxes(
        [
            [(_drawn_by_hand(rng, picture.boxes_cxcywh[i]), good) for i, good in sample.examples]
            for _, picture, sample in samples
        ]
    )
    return TrainingBatch(
        example_boxes=example_boxes,
        example_labels=example_labels,
        pixel_values=torch.cat([to_pixel_values(one.image, plan.image_size) for one in pictures]),
        object_labels=torch.stack([labels for labels, _ in dense]) if dense else None,
        object_offsets=torch.stack([offsets for _, offsets in dense]) if dense else None,
        texts={
            level: tokenizer([sample.texts[level] for _, _, sample in samples]) for level in levels
        },
        concept_groups=torch.tensor([group_of[one] for one in concepts], dtype=torch.int64),
        image_of_sample=torch.tensor([slot for slot, _, _ in samples], dtype=torch.int64),
        target_counts=torch.tensor([len(one.indices) for _, _, one in samples], dtype=torch.int64),
        boxes_cxcywh=torch.cat(
            [torch.zeros(0, 4)]
            + [picture.boxes_cxcywh[list(one.indices)] for _, picture, one in samples]
        ),
        masks=torch.cat(
            [torch.zeros(0, size, size)]
            + [picture.coverage[list(one.indices)] for _, picture, one in samples]
        ),
    )


def _drawn_by_hand(rng: np.random.Generator, box_cxcywh: torch.Tensor) -> torch.Tensor:
    """Return a box whose sides are off by some percent of its size."""
    off = torch.from_numpy(rng.normal(0, _HAND_ERROR, 4).clip(-0.2, 0.2)).float()
    size = box_cxcywh[2:]
    return torch.cat([box_cxcywh[:2] + off[:2] * size, size * (1 + off[2:])]).clamp(0, 1)


def _dense_targets(picture: Picture) -> tuple[torch.Tensor, torch.Tensor]:
    if picture.kinds is None:
        raise ValueError("the picture's objects are of unknown kinds")
    size = picture.coverage.shape[-1]
    labels = torch.full((3, size, size), NO_OBJECT, dtype=torch.uint8)
    offsets = torch.zeros(4, size, size)
    centres = (torch.arange(size) + 0.5) / size
    cell_y, cell_x = torch.meshgrid(centres, centres, indexing="ij")
    for kind, cover, (cx, cy, w, h) in zip(
        picture.kinds, picture.coverage, picture.boxes_cxcywh.tolist(), strict=True
    ):
        inside = cover > 0.5
        labels[:, inside] = kind[:, None]
        sides = torch.stack(
            [cx - w / 2 - cell_x, cy - h / 2 - cell_y, cx + w / 2 - cell_x, cy + h / 2 - cell_y]
        )
        offsets[:, inside] = sides[:, inside]
    return labels, offsets


class NumberedBatches(Dataset[TrainingBatch]):
    """Batch number `n` of a plan, at `n`."""

    def __init__(self, plan: BatchPlan) -> None:
        self._plan = plan
        self._tokenizer = InstructionTokenizer(plan.vocabulary_size, plan.context_length)

    def __getitem__(self, number: int) -> TrainingBatch:
        """Build one batch."""
        return make_batch(self._plan, number, self._tokenizer)


def stream_batches(
    plan: BatchPlan, first: int, step: int = 1, *, workers: int
) -> Iterator[TrainingBatch]:
    """Yield batches `first`, `first + step`, `first + 2 * step`, … for ever.

    Args:
        plan: what they hold.
        first: number of the first batch.
        step: from one batch's number to the next.
        workers: background processes that build them; 0 builds them in this one.
    """
    loader = DataLoader(
        NumberedBatches(plan),
        batch_size=None,
        sampler=cast("Sampler[int]", count(first, step)),
        num_workers=workers,
    )
    return cast("Iterator[TrainingBatch]", iter(loader))
