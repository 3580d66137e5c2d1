"""Scenes of everyday things: repeatable, exact, varied; plain scenes stay what they were."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.complex_texts import (
    draw_complex_instructions,
    properties_of,
)
from sam3i_agent.data.everyday import draw_scene
from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.data.phrases import Concept, draw_concepts, plural_of
from sam3i_agent.data.rewording import (
    FOREIGN_NOUNS,
    SYNONYMS,
    UNSEEN_FOREIGN_NOUNS,
    reword,
)
from sam3i_agent.data.scenes import CANVAS_SIZE, Colour, Shape, Texture, generate_scene, is_withheld
from sam3i_agent.data.silhouettes import SILHOUETTES, Thing
from sam3i_agent.data.simple_texts import draw_instructions
from sam3i_agent.segmodel.tokenization import CONTEXT_LENGTH, InstructionTokenizer

SCENES = [draw_scene(SceneStyle.EVERYDAY, 11, index) for index in range(40)]


PLAIN_DIGEST = "ee64ca7425a4d8f79610bfd9d698c5bb8cb9e7582a5931677de9524555bdbf03"
"""Of what the figures in the documentation were measured on."""


def test_a_scene_is_a_function_of_its_style_and_seed():
    again = draw_scene(SceneStyle.EVERYDAY, 11, 7)
    np.testing.assert_array_equal(SCENES[7].image, again.image)
    plain = draw_scene(SceneStyle.SHAPES, 11, 7)
    np.testing.assert_array_equal(plain.image, generate_scene(11, 7).image)
    assert not np.array_equal(plain.image, again.image)


def test_plain_series_and_their_texts_are_to_the_bit_what_they_were_when_figures_were_taken():
    digest = hashlib.sha256()
    for index in range(30):
        scene = generate_scene(920, index)
        digest.update(f"{scene.image.mean():.0f}{[one.area for one in scene.objects]}".encode())
        rng = np.random.default_rng([920, index, 7])
        for concept in draw_concepts(rng, scene, 6):
            digest.update(f"{concept.phrase}{concept.indices}".encode())
        for draw in (draw_instructions, draw_complex_instructions):
            for wish in draw(rng, scene, 4):
                digest.update(f"{wish.text}{wish.indices}".encode())
    assert digest.hexdigest() == PLAIN_DIGEST


def test_masks_are_exclusive_visible_and_of_every_size():
    diameters = []
    for scene in SCENES:
        assert np.sum([item.mask for item in scene.objects], axis=0).max() <= 1
        for item in scene.objects:
            x0, y0, x1, y1 = item.box_xyxy
            diameters.append(max(x1 - x0, y1 - y0) / CANVAS_SIZE)
            assert item.area >= 40
    assert min(diameters) < 0.1 and max(diameters) > 0.45


def test_every_thing_is_a_silhouette_that_no_other_covers():
    """Overlap of the drawn masks, not of the numbers behind them."""
    from sam3i_agent.data.silhouettes import draw_silhouette

    assert len(Thing) >= 20 and SILHOUETTES.keys() == set(Thing)
    masks = {
        thing: draw_silhouette(thing, np.eye(2) * 30, np.array([32.0, 32.0]), 64)[0]
        for thing in Thing
    }
    for one in Thing:
        for other in Thing:
            union = (masks[one] | masks[other]).sum()
            assert one is other or (masks[one] & masks[other]).sum() / union < 0.8, (one, other)


@pytest.mark.parametrize("combinations", ["trained", "withheld"])
def test_withheld_pairs_are_in_withheld_scenes_alone(combinations):
    shown = [
        [is_withheld(item.colour, item.shape) for item in scene.objects]
        for index in range(20)
        for scene in [draw_scene(SceneStyle.EVERYDAY, 12, index, combinations=combinations)]
    ]
    assert all(any(one) == (combinations == "withheld") for one in shown)


def test_rewording_changes_everyday_texts_alone_and_they_fit_the_context():
    tokenizer = InstructionTokenizer(8192)
    plain = generate_scene(11, 0)
    changed = Counter()
    for index, scene in enumerate(SCENES):
        rng = np.random.default_rng([5, index])
        texts = [(InstructionLevel.CONCEPT, one.phrase) for one in draw_concepts(rng, scene, 4)]
        texts += [(InstructionLevel.SIMPLE, one.text) for one in draw_instructions(rng, scene, 4)]
        texts += [
            (InstructionLevel.COMPLEX, one.text) for one in draw_complex_instructions(rng, scene, 4)
        ]
        for level, text in texts:
            assert reword(rng, plain, text, level) == text
            said = reword(rng, scene, text, level)
            changed[said != text] += 1
            assert tokenizer.count_tokens(said) <= CONTEXT_LENGTH
    assert 0.35 < changed[True] / changed.total() < 0.75


def test_synonyms_and_foreign_nouns_name_nothing_else_in_a_scene():
    names = {str(word) for kind in (Shape, Thing, Colour, Texture) for word in kind}
    others = [other for synonyms in SYNONYMS.values() for other in synonyms]
    assert not names & set(others)
    assert not (set(FOREIGN_NOUNS) | set(UNSEEN_FOREIGN_NOUNS)) & (names | set(others))
    assert not set(FOREIGN_NOUNS) & set(UNSEEN_FOREIGN_NOUNS)


def test_nothing_matches_a_foreign_noun_and_plurals_are_english():
    assert Concept(foreign="giraffe").find(SCENES[0]) == ()
    assert [plural_of(one) for one in ("leaf", "fish", "cross", "cup")] == [
        "leaves", "fish", "crosses", "cups",
    ]  # fmt: skip


def test_every_thing_has_a_function_that_is_asked_for():
    said = properties_of(SceneStyle.EVERYDAY)
    assert all(any(thing in one.shapes for one in said) for thing in Thing)
    assert not any(one.shapes & set(Thing) for one in properties_of(SceneStyle.SHAPES))
    by_predicate = {text: one for one in said for text in one.predicates}
    asked = 0
    for index, scene in enumerate(SCENES):
        for wish in draw_complex_instructions(np.random.default_rng(index), scene, 5):
            one = by_predicate.get(wish.text.removeprefix("something that "))
            if one is not None:
                assert set(wish.indices) == set(one.find(scene))
                asked += 1
    assert asked > 10
