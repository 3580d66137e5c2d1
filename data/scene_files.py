"""Generated scenes written as a dataset, in the SAM3-I JSON format (`data.formats.sam3i`)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.complex_texts import draw_complex_instructions
from sam3i_agent.data.everyday import draw_scene
from sam3i_agent.data.formats.sam3i import sam3i_content, write_sam3i
from sam3i_agent.data.kinds import InstructionKind, SceneStyle
from sam3i_agent.data.phrases import draw_concepts
from sam3i_agent.data.records import Record
from sam3i_agent.data.rewording import reword
from sam3i_agent.data.samples import Sample, draw_pairs
from sam3i_agent.data.scenes import CANVAS_SIZE, Combinations, Scene
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
    style: SceneStyle = SceneStyle.SHAPES,
    advance: Callable[[], None] = lambda: None,
) -> Path:
    """Write `count` scenes of series `seed` and return the path of the JSON file.

    Args:
        count: 1 to `MAX_SCENES`.
        folder: gets `images/` and `annotations.json`; must be empty or absent.
        seed: names the series; training uses series 2 and 3 of the shipped model's seed.
        combinations: which colour-shape pairs the scenes may show.
        style: which kind of scenes.
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
    records: list[Record] = []
    try:
        (folder / IMAGES_FOLDER).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            scene = draw_scene(style, seed, index, combinations=combinations)
            name = f"{IMAGES_FOLDER}/{index:06d}.png"
            Image.fromarray(scene.image).save(folder / name)
            rng = np.random.default_rng([seed, index, 7])
            for sample in _draw_samples(rng, scene, combinations):
                records.append(_record(len(records) + 1, scene, name, sample))
            advance()
    except OSError as error:
        raise StorageError(f"{str(folder)!r} cannot be written: {error.strerror}") from error
    path = folder / ANNOTATIONS_NAME
    description = f"generated scenes, {style}, series {seed}, {combinations} combinations"
    write_sam3i(sam3i_content(records, description), folder, path)
    return path


def _draw_samples(
    rng: np.random.Generator, scene: Scene, combinations: Combinations
) -> list[Sample]:
    samples = [
        Sample(
            {InstructionLevel.CONCEPT: reword(rng, scene, target.phrase, InstructionLevel.CONCEPT)},
            target.indices,
            granularity_of(target.indices, target.indices),
            kinds={} if target.indices else {InstructionLevel.CONCEPT: InstructionKind.ABSENT},
        )
        for target in draw_concepts(rng, scene, CONCEPTS_PER_SCENE, combinations=combinations)
    ]
    for level, draw in (
        (InstructionLevel.SIMPLE, draw_instructions),
        (InstructionLevel.COMPLEX, draw_complex_instructions),
    ):
        samples += [
            Sample(
                {level: reword(rng, scene, wish.text, level)},
                wish.indices,
                wish.granularity,
                kinds={level: wish.kind} if wish.kind else {},
            )
            for wish in draw(rng, scene, INSTRUCTIONS_PER_SCENE)
        ]
    for pair in draw_pairs(rng, scene, PAIRS_PER_SCENE):
        # A pair's concept may mean more than its target, so it is no text of the record.
        texts = {level: pair.texts[level] for level in tuple(InstructionLevel)[1:]}
        samples.append(Sample(texts, pair.indices, pair.granularity, kinds=pair.kinds))
    return samples


def _record(id_: int, scene: Scene, file_name: str, sample: Sample) -> Record:
    masks = [scene.objects[index].mask for index in sample.indices]
    return Record(
        id=id_,
        file_name=file_name,
        height=CANVAS_SIZE,
        width=CANVAS_SIZE,
        texts={level: (text,) for level, text in sample.texts.items()},
        encoded_masks=tuple(encode_mask(mask)["counts"] for mask in masks),
        granularity=sample.granularity,
        kinds={level: str(kind) for level, kind in sample.kinds.items()},
    )
