"""Scenes, their phrases and instructions: repeatable, exact, and true."""

import numpy as np
import pytest

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.instructions import try_plan
from sam3i_agent.agent.planner.selection import select
from sam3i_agent.core.masks import Masks
from sam3i_agent.data.phrases import Concept, draw_concepts
from sam3i_agent.data.scenes import (
    DEFAULT_LIMITS,
    WITHHELD_COMBINATIONS,
    generate_scene,
)
from sam3i_agent.data.simple_texts import draw_instructions

SCENES = [generate_scene(11, index) for index in range(60)]


def test_the_same_seed_gives_the_same_scene():
    again = generate_scene(11, 7)
    np.testing.assert_array_equal(SCENES[7].image, again.image)
    assert not np.array_equal(SCENES[7].image, generate_scene(12, 7).image)


def test_masks_are_exclusive_and_mostly_visible():
    for scene in SCENES:
        covered = np.sum([item.mask for item in scene.objects], axis=0)
        assert covered.max() <= 1
        assert all(item.area > 100 for item in scene.objects)
        assert len(scene.objects) <= DEFAULT_LIMITS.max_objects


def test_training_scenes_never_show_withheld_pairs_and_withheld_scenes_do():
    for scene in SCENES:
        assert not {(item.colour, item.shape) for item in scene.objects} & WITHHELD_COMBINATIONS
    for index in range(20):
        scene = generate_scene(11, index, combinations="withheld")
        assert {(item.colour, item.shape) for item in scene.objects} & WITHHELD_COMBINATIONS


def test_phrases_mean_exactly_their_objects_and_a_third_are_absent():
    targets = [
        (scene, target)
        for index, scene in enumerate(SCENES)
        for target in draw_concepts(np.random.default_rng(index), scene, 6)
    ]
    for scene, target in targets:
        named = [i for i, item in enumerate(scene.objects) if target.concept.matches(item)]
        assert list(target.indices) == named
        for word in (target.concept.colour, target.concept.texture):
            assert word is None or word in target.phrase
    absent = sum(not target.indices for _, target in targets) / len(targets)
    assert 0.3 < absent < 0.6


def test_plural_and_generic_words():
    assert Concept().phrase(plural=True) == "things"
    scene = SCENES[4]
    item = scene.objects[0]
    assert item.colour in Concept(colour=item.colour).phrase()


def test_the_planner_and_perfect_masks_answer_every_simple_instruction():
    """Generator and planner were written apart: agreement is evidence for both."""
    asked = right = 0
    for index, scene in enumerate(SCENES):
        for wish in draw_instructions(np.random.default_rng([5, index]), scene, 4):
            plan = try_plan(wish.text)
            assert plan is not None, wish.text
            found = {phrase.text: _named(scene, phrase.text) for phrase in plan.phrases}
            chosen = select(plan, found, scene.image)
            indices = {
                i
                for i, item in enumerate(scene.objects)
                for one in chosen
                if (one.mask == item.mask).all()
            }
            asked += 1
            right += indices == set(wish.indices)
    assert asked > 150
    assert right == asked


def _named(scene, text):
    words = set(text.split())
    found = []
    for item in scene.objects:
        attributes = {item.shape, item.colour, item.texture, "thing", "object", "shape"}
        if words <= {str(word) for word in attributes}:
            found.append(
                Candidate(text, Masks.encode([item.mask], item.mask.shape), item.box_xyxy, 0.9)
            )
    return found


def test_all_kinds_of_hard_negatives_occur():
    """Absent things, one wrong attribute, and a relation the wrong way round."""
    kinds = {"relation": 0, "attribute": 0, "absent": 0}
    for index, scene in enumerate(SCENES):
        for target in draw_concepts(np.random.default_rng(index), scene, 6):
            if not target.indices:
                named = [one for one in (target.concept.shape, target.concept.colour) if one]
                half_right = any(
                    one in (item.shape, item.colour) for item in scene.objects for one in named
                )
                kinds["attribute" if half_right else "absent"] += 1
        for wish in draw_instructions(np.random.default_rng([5, index]), scene, 6):
            plan = try_plan(wish.text)
            assert plan is not None
            if not wish.indices and _named(scene, plan.targets[0].phrase.text):
                kinds["relation"] += 1
    assert min(kinds.values()) >= 5, kinds


@pytest.mark.parametrize("count", [1, 3])
def test_instruction_texts_differ(count):
    wishes = draw_instructions(np.random.default_rng(0), SCENES[4], count)
    assert len({wish.text for wish in wishes}) == len(wishes) <= count
