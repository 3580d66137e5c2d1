"""Plans applied to rectangles whose right answer is plain."""

import numpy as np
import pytest

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.planner.parsing import COLOUR_WORDS, plan_instruction
from sam3i_agent.agent.planner.selection import colour_share, select
from sam3i_agent.core.masks import Masks
from sam3i_agent.data.scenes import Colour, generate_scene
from tests.conftest import block


def _star(name: str, x0: int, y0: int, x1: int, y1: int, score: float = 0.9) -> Candidate:
    masks = Masks.encode([block(x0, y0, x1, y1)], (100, 100))
    return Candidate(name, masks, (x0, y0, x1, y1), score)


STARS = {
    "left": _star("star", 5, 40, 15, 50),  # small, left
    "middle": _star("star", 40, 42, 60, 62),  # larger, middle
    "right": _star("star", 80, 10, 95, 25),  # right, high
}
OTHERS = {
    "ring": [_star("ring", 30, 30, 75, 75)],  # around the middle star
    "heart": [_star("heart", 82, 70, 92, 80)],  # below the right star
    "red star": [STARS["middle"]],
}


PIXELS = np.zeros((100, 100, 3), np.uint8)


def _chosen(instruction: str) -> set[str]:
    found = {"star": list(STARS.values()), **OTHERS}
    picked = select(plan_instruction(instruction), found, PIXELS)
    return {name for name, star in STARS.items() if any(one is star for one in picked)}


@pytest.mark.parametrize(
    ("instruction", "names"),
    [
        ("all stars", {"left", "middle", "right"}),
        ("the leftmost star", {"left"}),
        ("the second star from the right", {"middle"}),
        ("the fourth star from the left", set()),
        ("the topmost star", {"right"}),
        ("the biggest star", {"middle"}),
        ("the second largest star", {"right"}),
        ("the smallest star", {"left"}),
        ("the stars on the left side", {"left"}),
        ("the star in the top right corner", {"right"}),
        ("the star in the middle", {"middle"}),
        ("the stars left of the heart", {"left", "middle"}),
        ("the star right of the ring", {"right"}),
        ("the star above the heart", {"left", "middle", "right"}),
        ("the star below the heart", set()),
        ("the star inside the ring", {"middle"}),
        ("the star nearest to the heart", {"middle"}),
        ("the star farthest from the heart", {"left"}),
        ("all stars except the red one", {"left", "right"}),
        ("the stars that are not red", {"left", "right"}),
        ("the smaller star left of the heart", {"left"}),
        ("the star nearest to the star inside the ring", {"left"}),
        ("the star left of the moon", set()),  # no such anchor
    ],
)
def test_constraints(instruction, names):
    assert _chosen(instruction) == names


def test_touching_allows_a_small_gap():
    found = {
        "star": [_star("star", 10, 10, 20, 20), _star("star", 60, 60, 70, 70)],
        "ring": [_star("ring", 22, 10, 40, 20)],
    }
    (one,) = select(plan_instruction("the star touching the ring"), found, PIXELS)
    assert one is found["star"][0]


def test_an_object_found_twice_counts_once():
    twice = [_star("red star", 10, 10, 30, 30, 0.8), _star("big star", 10, 10, 30, 29, 0.9)]
    found = {"red star": twice[:1], "big star": twice[1:]}
    chosen = select(plan_instruction("the red star and the big star"), found, PIXELS)
    assert chosen == [twice[1]]


def test_a_stated_count_keeps_the_best():
    stars = [_star("star", 10 * i, 10, 10 * i + 8, 18, score=0.5 + i / 10) for i in range(4)]
    chosen = select(plan_instruction("the two stars"), {"star": stars}, PIXELS)
    assert chosen == [stars[3], stars[2]]


def test_colours_of_scenes_are_told_apart():
    distinct = [colour for colour in Colour]
    for index in range(40):
        drawn = generate_scene(5, index)
        for item in drawn.objects:
            shares = {c: colour_share(drawn.image, item.mask, c) for c in distinct}
            assert shares[item.colour] > 0.3, (index, item.colour, shares)


@pytest.mark.parametrize("colour", sorted(COLOUR_WORDS))
def test_every_colour_word_can_be_measured(colour):
    pixels = np.full((4, 4, 3), 128, np.uint8)
    share = colour_share(pixels, np.ones((4, 4), bool), colour)
    assert share == (1.0 if colour in ("grey", "gray") else 0.0)
