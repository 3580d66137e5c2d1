"""Generated scenes written as a dataset, in the SAM3-I JSON format (`data.formats.sam3i`)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.complex_texts import draw_complex_instructions
from sam3i_agent.data.formats.sam3i import TEXT_LISTS
from sam3i_agent.data.phrases import draw_concepts
from sam3i_agent.data.samples import Sample, draw_pairs
from sam3i_agent.data.scenes import CANVAS_SIZE, Combinations, Scene, generate_scene
from sam3i_agent.data.simple_texts import draw_instructions, granularity_of

ANNOTATIONS_NAME = "annotations.json"
IMAGES_FOLDER = "images"
CONCEPTS_PER_SCENE = 6
INSTRUCTIONS_PER_SCENE = 4
"""Of the simple and of the complex level each."""
PAIRS_PER_SCENE = 2
"""Targets that both a simple and a complex instruction mean."""
MAX_SCENES = 100_000


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
