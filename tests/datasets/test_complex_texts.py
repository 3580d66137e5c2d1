"""Complex instructions: true of their objects, varied, and never naming them."""

import re
from collections import Counter

import numpy as np
import pytest

from sam3i_agent.agent.instructions import check_instruction, classify_level
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.complex_texts import PROPERTIES, draw_complex_instructions
from sam3i_agent.data.samples import draw_pairs
from sam3i_agent.data.scenes import Colour, Shape, Texture, generate_scene
from sam3i_agent.segmodel.tokenization import CONTEXT_LENGTH, InstructionTokenizer

SCENES = [generate_scene(31, index) for index in range(150)]
DRAWN = [
    (scene, wish)
    for index, scene in enumerate(SCENES)
    for wish in draw_complex_instructions(np.random.default_rng([4, index]), scene, 6)
]


def test_no_instruction_names_a_shape_colour_or_texture():
    names = {str(word) for kind in (Shape, Colour, Texture) for word in kind}
    for _, wish in DRAWN:
        words = {word.rstrip("s") for word in re.findall(r"[a-z]+", wish.text)}
        assert not words & names, wish.text


def test_every_text_fits_the_context_and_most_are_known_as_complex():
    tokenizer = InstructionTokenizer(8192)
    levels = Counter(classify_level(check_instruction(wish.text)) for _, wish in DRAWN)
    assert max(tokenizer.count_tokens(wish.text) for _, wish in DRAWN) <= CONTEXT_LENGTH
    assert levels[InstructionLevel.COMPLEX] / levels.total() > 0.97


def test_all_granularities_and_absent_targets_occur():
    granularities = Counter(wish.granularity for _, wish in DRAWN)
    assert min(granularities[one] for one in ("1to1", "1toN", "1toAll")) > 20
    absent = sum(not wish.indices for _, wish in DRAWN) / len(DRAWN)
    assert 0.1 < absent < 0.35


def _true_of(predicate):
    return next(one for one in PROPERTIES if predicate in one.predicates)


@pytest.mark.parametrize(
    ("predicate", "shape"),
    [("would roll down a slope", Shape.RING), ("stands for love", Shape.HEART)],
)
def test_predicates_mean_their_shapes(predicate, shape):
    assert shape in _true_of(predicate).shapes


def test_property_questions_mean_all_that_they_are_true_of():
    """Texts are read back by their predicates, not by the code that drew them."""
    by_predicate = {text: one for one in PROPERTIES for text in one.predicates}
    questions = 0
    for scene, wish in DRAWN:
        if not re.match(r"(what(ever)? |something|anything|which of these|I need)", wish.text):
            continue
        if re.search(r"nearest|close|hangs|sits|comes", wish.text):
            continue
        said = [one for text, one in by_predicate.items() if text in wish.text]
        # "is given for top marks" and the like contain no other predicate
        wanted = {
            index
            for index, item in enumerate(scene.objects)
            if all(one.matches(item) for one in said)
        }
        assert set(wish.indices) == wanted, wish.text
        questions += 1
    assert questions > 100


def test_comparisons_hold_in_the_picture():
    kinds = Counter()
    for scene, wish in DRAWN:
        areas = [item.area for item in scene.objects]
        if wish.text in (
            "the one that takes up the most space",
            "the one that could hide any of the others",
        ):
            assert areas[wish.indices[0]] == max(areas)
            kinds["largest"] += 1
        if wish.text in ("what hangs highest", "the one that would fall the farthest"):
            tops = [item.centre_xy[1] for item in scene.objects]
            assert tops[wish.indices[0]] == min(tops)
            kinds["highest"] += 1
    assert min(kinds["largest"], kinds["highest"]) > 3


def test_the_odd_one_out_has_no_companion():
    odd = [
        (scene, wish)
        for index in range(400)
        for scene in [generate_scene(32, index)]
        for wish in draw_complex_instructions(np.random.default_rng([8, index]), scene, 4)
        if re.search("odd|does not", wish.text)
    ]
    assert len(odd) > 3
    for scene, wish in odd:
        one = scene.objects[wish.indices[0]]
        others = [item for item in scene.objects if item is not one]
        same_shape = len({item.shape for item in others}) == 1 and others[0].shape != one.shape
        same_colour = len({item.colour for item in others}) == 1 and others[0].colour != one.colour
        assert same_shape or same_colour


def test_pairs_mean_the_same_objects_at_both_levels():
    pairs = [
        pair
        for index, scene in enumerate(SCENES)
        for pair in draw_pairs(np.random.default_rng([6, index]), scene, 3)
    ]
    assert len(pairs) > 200
    assert all(pair.texts.keys() == set(InstructionLevel) for pair in pairs)
    levels = Counter(classify_level(pair.texts[InstructionLevel.SIMPLE]) for pair in pairs)
    assert levels[InstructionLevel.COMPLEX] == 0
    assert any(not pair.indices for pair in pairs)
