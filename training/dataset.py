"""Datasets on disk, in the SAM3-I JSON format: reading them, and writing generated scenes as one.

COCO JSON with one `images` record per image and target. A record's `text_inst_input` has the lists
`concept`, `simple_query` and `complex_query`; each text in them means exactly the record's
annotations, and a record without annotations asks for something that is not there.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam3i_agent.segmodel.errors import InputError, StorageError
from sam3i_agent.segmodel.files import write_whole
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.masks import Masks
from sam3i_agent.segmodel.rle import encode_mask, encode_segmentation
from sam3i_agent.training.instructions import draw_instructions, granularity_of
from sam3i_agent.training.phrases import draw_concepts
from sam3i_agent.training.reasoning import draw_complex_instructions
from sam3i_agent.training.samples import Sample, draw_pairs
from sam3i_agent.training.scenes import CANVAS_SIZE, Combinations, Scene, generate_scene

ANNOTATIONS_NAME = "annotations.json"
IMAGES_FOLDER = "images"
TEXT_LISTS = {
    InstructionLevel.CONCEPT: "concept",
    InstructionLevel.SIMPLE: "simple_query",
    InstructionLevel.COMPLEX: "complex_query",
}
"""Level to the key of its texts in `text_inst_input`."""
CONCEPTS_PER_SCENE = 6
INSTRUCTIONS_PER_SCENE = 4
"""Of the simple and of the complex level each."""
PAIRS_PER_SCENE = 2
"""Targets that both a simple and a complex instruction mean."""
MAX_SCENES = 100_000


@dataclass(frozen=True)
class Record:
    """One image and one target in it."""

    id: int
    file_name: str
    """Relative to the JSON file's folder."""
    height: int
    width: int
    texts: dict[InstructionLevel, tuple[str, ...]]
    """By level, only levels that have some; each means exactly the record's masks."""
    encoded_masks: tuple[str, ...]
    """Compressed RLE counts; none where the texts ask for something absent."""
    granularity: str = "1to1"
    annotation_ids: tuple[int, ...] = ()
    """Of the masks, as the dataset numbers them."""
    encoded_ignored: tuple[str, ...] = ()
    """Pixels that do not count in an evaluation."""

    def masks(self) -> Masks:
        """Return the T masks of height x width pixels."""
        return Masks((self.height, self.width), self.encoded_masks)


def read_records(annotations: Path, levels: Sequence[InstructionLevel] = ()) -> list[Record]:
    """Read the records that have texts of all `levels`.

    Args:
        annotations: the JSON file. Segmentations may be RLE or COCO polygons.
        levels: what a record must have.

    Raises:
        InputError: the file cannot be read, is no such dataset, or no record has the texts.
    """
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{str(annotations)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{annotations.name!r} is no SAM3-I dataset: {error!r}") from error
    records = records_of(content, annotations.name)
    found = [record for record in records if all(level in record.texts for level in levels)]
    if not found:
        wanted = " and a ".join(levels) or "any"
        raise InputError(f"no record of {annotations.name!r} has a {wanted} text")
    return found


def records_of(content: Any, name: str) -> list[Record]:
    """Return the records of a parsed SAM3-I file.

    Args:
        content: the JSON value.
        name: of the file, for messages.

    Raises:
        InputError: it is no such dataset.
    """
    try:
        sizes = {one["id"]: (one["height"], one["width"]) for one in content["images"]}
        masks: dict[int, list[tuple[int, str]]] = {image_id: [] for image_id in sizes}
        for one in content["annotations"]:
            image_id = one["image_id"]
            counts = encode_segmentation(one["segmentation"], *sizes[image_id])
            masks[image_id].append((one["id"], counts))
        return [
            Record(
                id=one["id"],
                file_name=one["file_name"],
                height=one["height"],
                width=one["width"],
                texts={
                    level: tuple(one["text_inst_input"][key])
                    for level, key in TEXT_LISTS.items()
                    if one["text_inst_input"].get(key)
                },
                encoded_masks=tuple(counts for _, counts in masks[one["id"]]),
                granularity=one.get("granularity", "1to1"),
                annotation_ids=tuple(id_ for id_, _ in masks[one["id"]]),
            )
            for one in content["images"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name!r} is no SAM3-I dataset: {error!r}") from error


def write_scenes(
    count: int,
    folder: Path,
    *,
    seed: int = 0,
    combinations: Combinations = "trained",
    advance: Callable[[], None] = lambda: None,
) -> Path:
    """Write `count` scenes of series `seed` and return the path of the JSON file.

    Args:
        count: 1 to `MAX_SCENES`.
        folder: gets `images/` and `annotations.json`; must be empty or absent.
        seed: names the series; training uses series 2 and 3 of the shipped model's seed.
        combinations: which colour-shape pairs the scenes may show.
        advance: called after each scene.

    Raises:
        InputError: a number is out of range, or the folder holds something.
        StorageError: the folder cannot be written.
    """
    if not 1 <= count <= MAX_SCENES:
        raise InputError(f"the number of scenes must be 1 to {MAX_SCENES}, got {count}")
    if seed < 0:
        raise InputError(f"the seed must be 0 or more, got {seed}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{str(folder)!r} exists and is not an empty folder", "give another one")
    content: dict[str, Any] = {
        "info": {
            "description": f"generated scenes, series {seed}, {combinations} combinations",
            "version": "1",
        },
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "object"}],
    }
    try:
        (folder / IMAGES_FOLDER).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            scene = generate_scene(seed, index, combinations=combinations)
            name = f"{IMAGES_FOLDER}/{index:06d}.png"
            Image.fromarray(scene.image).save(folder / name)
            _add_records(
                content, scene, name, np.random.default_rng([seed, index, 7]), combinations
            )
            advance()
        path = folder / ANNOTATIONS_NAME
        write_whole(path, json.dumps(content))
    except OSError as error:
        raise StorageError(f"{str(folder)!r} cannot be written: {error.strerror}") from error
    return path


def _add_records(
    content: dict[str, Any],
    scene: Scene,
    file_name: str,
    rng: np.random.Generator,
    combinations: Combinations,
) -> None:
    samples = [
        Sample(
            {InstructionLevel.CONCEPT: target.phrase},
            target.indices,
            granularity_of(target.indices, target.indices),
        )
        for target in draw_concepts(rng, scene, CONCEPTS_PER_SCENE, combinations=combinations)
    ]
    for level, draw in (
        (InstructionLevel.SIMPLE, draw_instructions),
        (InstructionLevel.COMPLEX, draw_complex_instructions),
    ):
        samples += [
            Sample({level: wish.text}, wish.indices, wish.granularity)
            for wish in draw(rng, scene, INSTRUCTIONS_PER_SCENE)
        ]
    for pair in draw_pairs(rng, scene, PAIRS_PER_SCENE):
        # A pair's concept may mean more than its target, so it is no text of the record.
        texts = {level: pair.texts[level] for level in tuple(InstructionLevel)[1:]}
        samples.append(Sample(texts, pair.indices, pair.granularity))
    for sample in samples:
        _add_record(content, scene, file_name, sample)


def _add_record(content: dict[str, Any], scene: Scene, file_name: str, sample: Sample) -> None:
    image_id = len(content["images"]) + 1
    content["images"].append(
        {
            "id": image_id,
            "file_name": file_name,
            "width": CANVAS_SIZE,
            "height": CANVAS_SIZE,
            "text_inst_input": {
                key: [sample.texts[level]] if level in sample.texts else []
                for level, key in TEXT_LISTS.items()
            },
            "granularity": sample.granularity,
        }
    )
    for index in sample.indices:
        item = scene.objects[index]
        packed = encode_mask(item.mask)
        x0, y0, x1, y1 = item.box_xyxy
        content["annotations"].append(
            {
                "id": len(content["annotations"]) + 1,
                "image_id": image_id,
                "category_id": 1,
                "segmentation": packed,
                "area": item.area,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": 0,
            }
        )
