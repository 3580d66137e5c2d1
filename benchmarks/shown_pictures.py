"""The pictures that a language model is shown, on a generated photo, for people to look at."""

from collections.abc import Sequence
from pathlib import Path

from sam3i_agent.agent.language.pictures import PHOTO_SIDE, SHEET_SHARE
from sam3i_agent.core.drawing import draw_marks, draw_sheet
from sam3i_agent.data.scenes import SceneLimits, generate_scene

_SEED = 7
_CROWDED = SceneLimits(min_objects=40, max_objects=60, min_diameter=0.05, max_diameter=0.12)


def write_shown_pictures(out: Path, counts: Sequence[int]) -> list[Path]:
    """Write the marked photo and the sheet of cut-outs for each number of masks.

    Args:
        out: folder; made where it is missing.
        counts: numbers of masks; every third one is drawn as doubted.
    """
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for count in counts:
        scene = generate_scene(_SEED, 0)
        number = 0
        while len(scene.objects) < count:
            number += 1
            scene = generate_scene(_SEED, number, limits=_CROWDED)
        masks = [one.mask for one in scene.objects[:count]]
        doubted = set(range(3, count + 1, 3))
        pictures = {
            "marked": draw_marks(scene.image, masks, max_side=PHOTO_SIDE, doubted=doubted),
            "sheet": draw_sheet(scene.image, masks, max_side=round(PHOTO_SIDE * SHEET_SHARE)),
        }
        for name, picture in pictures.items():
            path = out / f"{name}-{count}.png"
            picture.save(path)
            written.append(path)
    return written
