"""Where pictures and their samples come from: generated scenes, or a dataset on disk."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import tight_box
from sam3i_agent.data.complex_texts import draw_complex_instructions
from sam3i_agent.data.corrections import draw_corrections
from sam3i_agent.data.everyday import draw_scene
from sam3i_agent.data.formats.dataset_format import LevelOf
from sam3i_agent.data.formats.registry import open_dataset
from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.data.photos import read_dataset_photo
from sam3i_agent.data.phrases import draw_concepts
from sam3i_agent.data.records import Record
from sam3i_agent.data.rewording import reword
from sam3i_agent.data.samples import Sample, draw_pairs
from sam3i_agent.data.scenes import (
    CANVAS_SIZE,
    Colour,
    Scene,
    SceneLimits,
    Shape,
    Texture,
)
from sam3i_agent.data.silhouettes import Thing
from sam3i_agent.data.simple_texts import NOT_FAVOURED, Favoured, draw_instructions
from sam3i_agent.training.stages import Stage

NOUNS = (*Shape, *Thing)
"""What the dense head tells apart, in its order."""
_NOUNS = {noun: index for index, noun in enumerate(NOUNS)}
_COLOURS = {colour: index for index, colour in enumerate(Colour)}
_TEXTURES = {texture: index for index, texture in enumerate(Texture)}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A picture of H x W pixels with N objects and what is asked about them."""

    image: np.ndarray
    """(H, W, 3) uint8, RGB."""
    coverage: torch.Tensor
    """(N, M, M) float32: covered share of each mask cell."""
    boxes_cxcywh: torch.Tensor
    """(N, 4) float32 in 0..1."""
    kinds: torch.Tensor | None
    """(N, 3) uint8: index of noun, colour and texture; None where these are unknown."""
    samples: list[Sample]


class PictureSource(Protocol):
    """An endless, repeatable series of pictures."""

    def picture(self, number: int, mask_size: int) -> Picture:
        """Return picture `number` of the series, with masks of `mask_size` cells a side."""
        ...


@dataclass(frozen=True)
class SceneSource:
    """Generated scenes of one seed, drawn as they are asked for."""

    seed: int
    stage: Stage
    samples_per_picture: int
    limits: SceneLimits
    """Of scenes of plain shapes."""
    everyday_share: float = 0.0
    """Of the pictures; the others are scenes of plain shapes."""
    turns: tuple[Stage, ...] = ()
    """In stage `joint`: whose texts the batches ask for, one after another."""
    images: int = 1
    """Pictures per batch."""
    favoured: Favoured = field(default_factory=dict)

    def picture(self, number: int, mask_size: int) -> Picture:
        """Draw scene `number` and its samples."""
        everyday = np.random.default_rng([self.seed, number, 2]).random() < self.everyday_share
        style = SceneStyle.EVERYDAY if everyday else SceneStyle.SHAPES
        limits = None if everyday else self.limits
        scene = draw_scene(style, self.seed, number, limits=limits)
        stage = self.stage
        if stage is Stage.JOINT:
            stage = self.turns[number // self.images % len(self.turns)]
        rng = np.random.default_rng([self.seed, number, 1])
        kinds = [
            (_NOUNS[item.shape], _COLOURS[item.colour], _TEXTURES[item.texture])
            for item in scene.objects
        ]
        return Picture(
            image=scene.image,
            coverage=scene_coverage(scene, mask_size),
            boxes_cxcywh=scene_boxes_cxcywh(scene),
            kinds=torch.tensor(kinds, dtype=torch.uint8).reshape(-1, 3),
            samples=draw_samples(rng, scene, stage, self.samples_per_picture, self.favoured),
        )


def scene_coverage(scene: Scene, mask_size: int) -> torch.Tensor:
    """Return (N, mask_size, mask_size) float32: how much of each cell each object covers."""
    return _coverage([item.mask for item in scene.objects], mask_size)


def scene_boxes_cxcywh(scene: Scene) -> torch.Tensor:
    """Return (N, 4) float32 boxes in 0..1."""
    xyxy = torch.tensor([item.box_xyxy for item in scene.objects]).reshape(-1, 4) / CANVAS_SIZE
    return torch.cat([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], dim=1)


class RecordSource:
    """A dataset on disk, shuffled anew in every pass over it.

    Args:
        path: of any format of `data.formats.registry`, with its photos.
        images: where these are, if not beside it.
        stage: records without texts of all its levels are left out.
        seed: of the shuffling.
        samples_per_picture: records of one image that are asked for at once.
        max_instances: records with more are left out: a model finds no more than it has queries.
        level_of: reads the level of texts that do not say it.

    Raises:
        InputError: it is no such dataset, or nothing in it serves the stage.
    """

    def __init__(
        self,
        path: Path,
        stage: Stage,
        *,
        images: Path | None = None,
        seed: int,
        samples_per_picture: int,
        max_instances: int,
        level_of: LevelOf | None = None,
    ) -> None:
        dataset = open_dataset(path, images, level_of=level_of)
        self._folder = dataset.images
        self._seed = seed
        self._levels = stage.asked_levels
        self._needs_concept = stage is Stage.ALIGN
        by_image: dict[str, list[Record]] = {}
        records = dataset.having(self._levels)
        kept = [record for record in records if len(record.encoded_masks) <= max_instances]
        if len(kept) < len(records):
            logger.warning(
                "%d of %d records have more than %d instances and are left out",
                len(records) - len(kept), len(records), max_instances,
            )  # fmt: skip
        if not kept:
            raise InputError(f"every record of {path.name!r} has too many instances")
        partial = sum(bool(record.encoded_ignored) for record in kept)
        if partial:
            logger.warning(
                "%d records have pixels that do not count; they are trained as background", partial
            )
        for record in kept:
            by_image.setdefault(record.file_name, []).append(record)
        self._groups = [
            group[start : start + samples_per_picture]
            for group in by_image.values()
            for start in range(0, len(group), samples_per_picture)
        ]
        self.record_count = len(kept)

    def __len__(self) -> int:
        """Return how many pictures one pass over the dataset has."""
        return len(self._groups)

    def picture(self, number: int, mask_size: int) -> Picture:
        """Read the picture that comes at position `number`."""
        epoch, position = divmod(number, len(self._groups))
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._groups))
        records = self._groups[int(order[position])]
        first = records[0]
        photo = read_dataset_photo(self._folder, first.file_name, (first.height, first.width))
        rng = np.random.default_rng([self._seed, number, 1])
        coverage: list[torch.Tensor] = []
        boxes: list[torch.Tensor] = []
        samples: list[Sample] = []
        for record in records:
            known = sum(len(part) for part in coverage)
            masks = record.masks()
            coverage.append(_coverage(masks, mask_size))
            boxes.append(_boxes_cxcywh(masks))
            samples.append(
                Sample(
                    self._choose_texts(rng, record),
                    tuple(range(known, known + len(masks))),
                    record.granularity,
                )
            )
        return Picture(
            image=photo.pixels,
            coverage=torch.cat(coverage),
            boxes_cxcywh=torch.cat(boxes),
            kinds=None,
            samples=samples,
        )

    def _choose_texts(
        self, rng: np.random.Generator, record: Record
    ) -> dict[InstructionLevel, str]:
        texts = {level: str(rng.choice(record.texts[level])) for level in self._levels}
        if self._needs_concept:
            concepts = record.texts.get(InstructionLevel.CONCEPT)
            texts[InstructionLevel.CONCEPT] = (
                concepts[0] if concepts else texts[InstructionLevel.SIMPLE]
            )
        return texts


_PATTERN = 1_000
"""Pictures after which the order of a mixture's parts repeats."""


class MixedSource:
    """Several sources in fixed shares, each read on from where it was left.

    Args:
        sources: at least one.
        weights: of each, against the others; shares finer than a thousandth are rounded, but none
            to nothing.
        seed: of the order.
    """

    def __init__(
        self, sources: Sequence[PictureSource], weights: Sequence[float], seed: int
    ) -> None:
        self._sources = tuple(sources)
        shares = np.asarray(weights, dtype=float) / sum(weights)
        counts = np.maximum(1, np.round(shares * _PATTERN).astype(int))
        parts = np.repeat(np.arange(len(counts)), counts)
        self._parts = np.random.default_rng(seed).permutation(parts)
        self._counts = counts
        # Of each place, how many places before it have the same part.
        self._ranks = np.zeros(len(parts), dtype=int)
        for part in range(len(counts)):
            places = np.flatnonzero(self._parts == part)
            self._ranks[places] = np.arange(len(places))

    def picture(self, number: int, mask_size: int) -> Picture:
        """Return picture `number` of the mixture."""
        repeats, place = divmod(number, len(self._parts))
        part = int(self._parts[place])
        own = repeats * int(self._counts[part]) + int(self._ranks[place])
        return self._sources[part].picture(own, mask_size)


def _coverage(masks: Sequence[np.ndarray], mask_size: int) -> torch.Tensor:
    if not masks:
        return torch.zeros(0, mask_size, mask_size)
    # One at a time: as floats, the masks of a large photo would take four times their memory.
    pooled = [
        adaptive_avg_pool2d(torch.from_numpy(mask).to(torch.float32)[None], mask_size)
        for mask in masks
    ]
    return torch.cat(pooled)


def _boxes_cxcywh(masks: Sequence[np.ndarray]) -> torch.Tensor:
    """Return the (N, 4) tight boxes of N (H, W) masks; an empty mask has an empty box."""
    boxes = torch.zeros(len(masks), 4)
    for row, mask in zip(boxes, masks, strict=True):
        box = tight_box(mask)
        if box is not None:
            height, width = mask.shape
            x0, y0, x1, y1 = box[0] / width, box[1] / height, box[2] / width, box[3] / height
            row[:] = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])
    return boxes


def draw_samples(
    rng: np.random.Generator,
    scene: Scene,
    stage: Stage,
    count: int,
    favoured: Favoured = NOT_FAVOURED,
) -> list[Sample]:
    """Draw up to `count` samples for a training step of `stage`, which is not `joint`."""
    match stage:
        case Stage.CONCEPT:
            return [
                _sample(rng, scene, InstructionLevel.CONCEPT, target.phrase, target.indices)
                for target in draw_concepts(rng, scene, count)
            ]
        case Stage.EXEMPLARS:
            return [
                Sample({InstructionLevel.CONCEPT: one.phrase}, one.indices, examples=one.examples)
                for one in draw_corrections(rng, scene, count)
            ]
        case Stage.SIMPLE:
            return [
                _sample(rng, scene, InstructionLevel.SIMPLE, wish.text, wish.indices)
                for wish in draw_instructions(rng, scene, count, favoured)
            ]
        case Stage.COMPLEX:
            return [
                _sample(rng, scene, InstructionLevel.COMPLEX, wish.text, wish.indices)
                for wish in draw_complex_instructions(rng, scene, count, favoured)
            ]
        case Stage.ALIGN:
            return draw_pairs(rng, scene, count)
        case Stage.JOINT:
            raise ValueError("stage joint asks for the texts of the other stages in turn")


def _sample(
    rng: np.random.Generator,
    scene: Scene,
    level: InstructionLevel,
    text: str,
    indices: tuple[int, ...],
) -> Sample:
    return Sample({level: reword(rng, scene, text, level)}, indices)
