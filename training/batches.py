"""Training batches drawn from generated scenes: batch number `n` of a seed is always the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.data import DataLoader, IterableDataset

from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.tokenization import InstructionTokenizer
from sam3i_agent.training.instructions import draw_instructions
from sam3i_agent.training.phrases import draw_concepts
from sam3i_agent.training.scenes import (
    CANVAS_SIZE,
    Colour,
    Scene,
    SceneLimits,
    Shape,
    Texture,
    generate_scene,
)

_SHAPES = {shape: index for index, shape in enumerate(Shape)}
_COLOURS = {colour: index for index, colour in enumerate(Colour)}
_TEXTURES = {texture: index for index, texture in enumerate(Texture)}
NO_OBJECT = 255
"""Label of a grid cell that is mostly background."""


@dataclass
class ConceptBatch:
    """B pictures, P phrases about them, T target instances in all."""

    pixel_values: torch.Tensor
    """(B, 3, S, S) float32."""
    object_labels: torch.Tensor
    """(B, 3, M, M) uint8: shape, colour and texture of each mask cell, or `NO_OBJECT`."""
    object_offsets: torch.Tensor
    """(B, 4, M, M) float32: left, top, right, bottom of the cell's object, minus the cell's
    centre, in image sides; meaningless where there is no object."""
    input_ids: torch.Tensor
    """(P, 32) int64."""
    attention_mask: torch.Tensor
    """(P, 32) int64."""
    image_of_phrase: torch.Tensor
    """(P,) int64, ascending."""
    target_counts: torch.Tensor
    """(P,) int64: instances per phrase; they lie one after another in the tensors below."""
    boxes_cxcywh: torch.Tensor
    """(T, 4) float32 in 0..1."""
    masks: torch.Tensor
    """(T, M, M) float32: covered share of each mask cell."""

    def to(self, device: torch.device) -> "ConceptBatch":
        """Return the batch on `device`."""
        return ConceptBatch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


@dataclass(frozen=True)
class BatchPlan:
    """What a batch holds."""

    seed: int
    images: int
    phrases_per_image: int
    image_size: int
    mask_size: int
    vocabulary_size: int
    limits: SceneLimits
    level: InstructionLevel = InstructionLevel.CONCEPT
    """Of the texts: noun phrases, or simple instructions."""


def make_batch(plan: BatchPlan, number: int, tokenizer: InstructionTokenizer) -> ConceptBatch:
    """Build batch `number` of `plan`."""
    rng = np.random.default_rng([plan.seed, number, 1])
    pixels: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    offsets: list[torch.Tensor] = []
    phrases: list[str] = []
    image_of_phrase: list[int] = []
    counts: list[int] = []
    boxes: list[torch.Tensor] = []
    masks: list[torch.Tensor] = []
    for slot in range(plan.images):
        scene = generate_scene(plan.seed, number * plan.images + slot, limits=plan.limits)
        pixels.append(to_pixel_values(scene.image, plan.image_size))
        coverage = object_coverage(scene, plan.mask_size)
        scene_boxes = object_boxes_cxcywh(scene)
        image_labels, image_offsets = _dense_targets(scene, coverage, scene_boxes)
        labels.append(image_labels)
        offsets.append(image_offsets)
        for text, indices in _draw_texts(rng, scene, plan):
            phrases.append(text)
            image_of_phrase.append(slot)
            counts.append(len(indices))
            boxes.append(scene_boxes[list(indices)])
            masks.append(coverage[list(indices)])
    tokens = tokenizer(phrases)
    return ConceptBatch(
        pixel_values=torch.cat(pixels),
        object_labels=torch.stack(labels),
        object_offsets=torch.stack(offsets),
        input_ids=tokens.input_ids,
        attention_mask=tokens.attention_mask,
        image_of_phrase=torch.tensor(image_of_phrase),
        target_counts=torch.tensor(counts),
        boxes_cxcywh=torch.cat(boxes),
        masks=torch.cat(masks),
    )


def _draw_texts(
    rng: np.random.Generator, scene: Scene, plan: BatchPlan
) -> list[tuple[str, tuple[int, ...]]]:
    if plan.level is InstructionLevel.SIMPLE:
        wishes = draw_instructions(rng, scene, plan.phrases_per_image)
        return [(wish.text, wish.indices) for wish in wishes]
    targets = draw_concepts(rng, scene, plan.phrases_per_image)
    return [(target.phrase, target.indices) for target in targets]


def object_coverage(scene: Scene, mask_size: int) -> torch.Tensor:
    """Return (N, mask_size, mask_size) float32: how much of each cell each object covers."""
    if not scene.objects:
        return torch.zeros(0, mask_size, mask_size)
    masks = torch.from_numpy(np.stack([item.mask for item in scene.objects]))
    return adaptive_avg_pool2d(masks.to(torch.float32)[None], mask_size)[0]


def object_boxes_cxcywh(scene: Scene) -> torch.Tensor:
    """Return (N, 4) float32 boxes in 0..1."""
    xyxy = torch.tensor([item.box_xyxy for item in scene.objects]).reshape(-1, 4) / CANVAS_SIZE
    return torch.cat([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], dim=1)


def _dense_targets(
    scene: Scene, coverage: torch.Tensor, boxes_cxcywh: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    size = coverage.shape[-1]
    labels = torch.full((3, size, size), NO_OBJECT, dtype=torch.uint8)
    offsets = torch.zeros(4, size, size)
    centres = (torch.arange(size) + 0.5) / size
    cell_y, cell_x = torch.meshgrid(centres, centres, indexing="ij")
    for item, cover, (cx, cy, w, h) in zip(
        scene.objects, coverage, boxes_cxcywh.tolist(), strict=True
    ):
        inside = cover > 0.5
        kinds = (_SHAPES[item.shape], _COLOURS[item.colour], _TEXTURES[item.texture])
        labels[:, inside] = torch.tensor(kinds, dtype=torch.uint8)[:, None]
        sides = torch.stack(
            [cx - w / 2 - cell_x, cy - h / 2 - cell_y, cx + w / 2 - cell_x, cy + h / 2 - cell_y]
        )
        offsets[:, inside] = sides[:, inside]
    return labels, offsets


class BatchStream(IterableDataset[ConceptBatch]):
    """Batches `first`, `first + 1`, … of a plan."""

    def __init__(self, plan: BatchPlan, first: int) -> None:
        self._plan = plan
        self._first = first

    def __iter__(self) -> Iterator[ConceptBatch]:
        """Build batches for ever."""
        tokenizer = InstructionTokenizer(self._plan.vocabulary_size)
        number = self._first
        while True:
            yield make_batch(self._plan, number, tokenizer)
            number += 1


def stream_batches(plan: BatchPlan, first: int, workers: int) -> Iterator[ConceptBatch]:
    """Yield batches in order from `first`, built by 0 or 1 background processes."""
    if workers not in (0, 1):
        raise ValueError(f"workers must be 0 or 1 (the batches are one ordered stream): {workers}")
    loader = DataLoader(BatchStream(plan, first), batch_size=None, num_workers=workers)
    return cast("Iterator[ConceptBatch]", iter(loader))
