"""The claims about the shipped model, measured on held-out scenes by one command."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks, union_iou
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import VISUAL, Exemplar, Prompt
from sam3i_agent.data.corrections import draw_corrections
from sam3i_agent.data.everyday import draw_scene
from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.data.rewording import UNSEEN_FOREIGN_NOUNS
from sam3i_agent.data.scene_files import write_scenes
from sam3i_agent.data.scenes import Combinations
from sam3i_agent.evaluation.benchmark import BenchmarkReport
from sam3i_agent.evaluation.compare.comparison import compare_routes
from sam3i_agent.evaluation.compare.curves import calibration_error
from sam3i_agent.evaluation.compare.statistics import Comparison
from sam3i_agent.segmodel.segmenter import Segmenter

HELD_OUT_SEED = 920
WITHHELD_SEED = 921
"""Series that no training run uses; see `training/configs/`."""
_CORRECTIONS = 3
"""Prompts with example boxes drawn for each scene."""


@dataclass(frozen=True)
class Claim:
    """One line of the scorecard; values and bars in percent."""

    name: str
    metric: str
    value: float
    bar: float
    records: int

    @property
    def holds(self) -> bool:
        """Whether the bar is reached."""
        return self.value >= self.bar


def measure_claims(
    segmenter: Segmenter,
    base: Segmenter,
    count: int,
    advance: Callable[[str, int, int], None] = lambda what, done, total: None,
    *,
    style: SceneStyle = SceneStyle.SHAPES,
) -> list[Claim]:
    """Measure the direct route at all levels, words that no training text has, example boxes.

    Args:
        segmenter: a model with an instruction head.
        base: the same model without it.
        count: scenes of each of the two series.
        advance: called with what is measured, records done and in all.
        style: which kind of scenes.
    """
    with tempfile.TemporaryDirectory() as folder:

        def scenes(seed: int, combinations: Combinations) -> Path:
            target = Path(folder) / f"{seed}"
            return write_scenes(count, target, seed=seed, combinations=combinations, style=style)

        def run(model: Segmenter, path: Path, what: str, *levels: InstructionLevel) -> Comparison:
            return compare_routes(
                path,
                (RouteChoice.DIRECT,),
                model,
                levels=levels,
                read_as=None,
                advance=lambda done, total: advance(what, done, total),
            )

        held_out = scenes(HELD_OUT_SEED, "trained")
        withheld = scenes(WITHHELD_SEED, "withheld")
        answered = run(segmenter, held_out, "all levels", *InstructionLevel)
        levels = [_report(answered, level) for level in InstructionLevel]
        concept, simple, complex_ = levels
        before = _report(run(base, held_out, "concept without the head", InstructionLevel.CONCEPT))
        composed = _report(run(segmenter, withheld, "withheld pairs", InstructionLevel.CONCEPT))
        foreign = _measure_foreign_nouns(
            base, style, count, lambda done: advance("foreign nouns", done, count)
        )
        like, unlike = _measure_examples(
            base, style, count, lambda done: advance("example boxes", done, count)
        )
    said = [one for some in answered.answers.values() for one in some]
    absent = sum(one.records - one.positives for one in levels)
    right = sum((one.nothing_right or 0) * (one.records - one.positives) for one in levels)
    return [
        Claim("concept", "cgF1@0.5", concept.cgf1_50, 70, concept.records),
        Claim("concept, gain by the head", "cgF1@0.5", concept.cgf1_50 - before.cgf1_50, 0,
              concept.records),
        Claim("simple, direct", "gIoU", simple.giou, 60, simple.records),
        Claim("complex, direct", "gIoU", complex_.giou, 50, complex_.records),
        Claim("absent targets, all levels", "right nothing", right / max(1, absent), 85, absent),
        Claim("presence, all levels", "100 - ECE", 100 - calibration_error(said), 90, len(said)),
        Claim("withheld colour-shape pairs", "cgF1@0.5", composed.cgf1_50, 50, composed.records),
        Claim("nouns of nothing in scenes", "right nothing", 100 * float(np.mean(foreign)), 85,
              len(foreign)),
        Claim("like the boxes, no words", "gIoU", 100 * float(np.mean(like)), 75, len(like)),
        Claim("a phrase, not like the box", "gIoU", 100 * float(np.mean(unlike)), 55, len(unlike)),
    ]  # fmt: skip


def _report(
    comparison: Comparison, level: InstructionLevel = InstructionLevel.CONCEPT
) -> BenchmarkReport:
    return BenchmarkReport.of(comparison, level, RouteChoice.DIRECT)


def _measure_foreign_nouns(
    segmenter: Segmenter, style: SceneStyle, count: int, advance: Callable[[int], None]
) -> list[bool]:
    """Return whether each noun that names nothing in any scene, one a scene, got nothing."""
    right: list[bool] = []
    for number in range(count):
        scene = draw_scene(style, HELD_OUT_SEED, number)
        photo = Photo(scene.image, f"scene {number}")
        noun = UNSEEN_FOREIGN_NOUNS[number % len(UNSEEN_FOREIGN_NOUNS)]
        (found,) = segmenter.encode(photo, keep=False).segment([Prompt(noun)])
        right.append(len(found.masks) == 0)
        advance(number + 1)
    return right


def _measure_examples(
    segmenter: Segmenter, style: SceneStyle, count: int, advance: Callable[[int], None]
) -> tuple[list[float], list[float]]:
    """Return the IoUs of prompts of boxes alone, and of phrases with a box that rejects a kind."""
    like: list[float] = []
    unlike: list[float] = []
    for number in range(count):
        scene = draw_scene(style, HELD_OUT_SEED, number)
        rng = np.random.default_rng([HELD_OUT_SEED, number, 2])
        size = (scene.image.shape[0], scene.image.shape[1])
        image = segmenter.encode(Photo(scene.image, f"scene {number}"), keep=False)
        for asked in draw_corrections(rng, scene, _CORRECTIONS):
            rejected = [index for index, positive in asked.examples if not positive]
            if asked.phrase != VISUAL and not rejected:
                continue  # the phrase alone says as much
            exemplars = tuple(
                Exemplar(scene.objects[index].box_xyxy, positive)
                for index, positive in asked.examples
            )
            (found,) = image.segment([Prompt(asked.phrase, exemplars=exemplars)])
            wanted = Masks.encode([scene.objects[i].mask for i in asked.indices], size)
            (like if asked.phrase == VISUAL else unlike).append(union_iou(found.masks, wanted))
        advance(number + 1)
    return like, unlike
