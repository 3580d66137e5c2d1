"""Texts about generated scenes, and what a simulated model knows of each."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from sam3i_agent.benchmarks.simulated.scene_plans import parts_of
from sam3i_agent.benchmarks.simulated.truth import KnownObject, Truth
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks, mask_ious
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.formats.registry import open_dataset
from sam3i_agent.data.phrases import Concept
from sam3i_agent.data.records import Record
from sam3i_agent.data.scene_files import write_scenes
from sam3i_agent.data.scenes import Colour, Noun, Scene, Shape, Texture, generate_scene

LEVELS = (InstructionLevel.SIMPLE, InstructionLevel.COMPLEX)
VOCABULARY = tuple(f"{colour} {shape}" for colour in Colour for shape in Shape)


@dataclass(frozen=True)
class Question:
    """One text about one scene, and its truth."""

    photo: Photo
    text: str
    level: InstructionLevel
    wanted: Masks
    truth: Truth
    number: int


def read_questions(count: int, series: int) -> list[Question]:
    """Draw scenes and return all their simple and complex texts.

    Args:
        count: of scenes.
        series: of scenes (`sam3i dataset scenes --seed`).
    """
    questions: list[Question] = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_scenes(count, Path(folder) / "scenes", seed=series)
        photos: dict[str, Photo] = {}
        for record in open_dataset(path).records:
            if record.file_name not in photos:
                photos[record.file_name] = read_photo(path.parent / record.file_name)
            scene = generate_scene(series, int(Path(record.file_name).stem))
            for level in LEVELS:
                if level not in record.texts:
                    continue
                questions.append(
                    Question(
                        photos[record.file_name],
                        record.texts[level][0],
                        level,
                        record.masks(),
                        truth_of(scene, record, record.texts[level][0]),
                        len(questions),
                    )
                )
    return questions


def truth_of(scene: Scene, record: Record, text: str) -> Truth:
    """Return what a simulated model knows about a record of a scene and a text about it."""
    objects = tuple(
        KnownObject(_words(one.shape, one.colour, one.texture), encode_mask(one.mask)["counts"])
        for one in scene.objects
    )
    size = (record.height, record.width)
    ious = mask_ious(record.masks(), Masks(size, (one.counts for one in objects)))
    targets = tuple(int(one) for one in ious.argmax(axis=1))
    return Truth(objects, targets, VOCABULARY, tuple(parts_of(text)))


def _words(shape: Noun, colour: Colour, texture: Texture) -> tuple[str, ...]:
    exact = Concept(shape, colour).phrase()
    textured = Concept(shape, colour, texture).phrase() if texture is not Texture.PLAIN else exact
    plain = Concept(shape).phrase()
    return tuple(dict.fromkeys([exact, textured, plain, Concept(colour=colour).phrase()]))
