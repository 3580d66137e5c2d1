"""What the offline planner reads, and what it refuses."""

import pytest

from sam3i_agent.agent.instructions import check_instruction, classify_level
from sam3i_agent.agent.planner.parsing import concept_text, plan_instruction, singular_of
from sam3i_agent.agent.planner.plan import (
    Axis,
    Excluding,
    HasRelation,
    InRegion,
    RankByPosition,
    RankBySize,
    Relation,
)
from sam3i_agent.core.errors import InputError, LanguageError
from sam3i_agent.core.levels import InstructionLevel


@pytest.mark.parametrize(
    ("instruction", "phrase", "constraints"),
    [
        ("red circle", "red circle", ()),
        ("Please segment all the Red Circles.", "red circle", ()),
        ("where is the arrow?", "arrow", ()),
        ("the leftmost star", "star", (RankByPosition(end=Axis.LEFT),)),
        ("the right circle", "circle", (RankByPosition(end=Axis.RIGHT),)),
        ("the lowest blue ring", "blue ring", (RankByPosition(end=Axis.BOTTOM),)),
        ("second circle from the right", "circle", (RankByPosition(end=Axis.RIGHT, rank=2),)),
        ("the circle third from the top", "circle", (RankByPosition(end=Axis.TOP, rank=3),)),
        ("the biggest thing", "thing", (RankBySize(largest_first=True),)),
        ("second smallest heart", "heart", (RankBySize(largest_first=False, rank=2),)),
        ("the star on the left side", "star", (InRegion(sides=(Axis.LEFT,)),)),
        ("the star at the bottom", "star", (InRegion(sides=(Axis.BOTTOM,)),)),
        ("the star in the top right corner", "star", (InRegion(sides=(Axis.TOP, Axis.RIGHT)),)),
        ("the top left star", "star", (InRegion(sides=(Axis.TOP, Axis.LEFT)),)),
        ("the star in the middle", "star", (InRegion(sides=()),)),
        ("cup of coffee in the middle of the picture", "cup of coffee", (InRegion(sides=()),)),
    ],
)
def test_phrases_ranks_and_regions(instruction, phrase, constraints):
    (target,) = plan_instruction(instruction).targets
    assert target.phrase.text == phrase
    assert target.constraints == constraints


@pytest.mark.parametrize(
    ("words", "relation"),
    [
        ("left of", Relation.LEFT_OF),
        ("that is to the right of", Relation.RIGHT_OF),
        ("on the left side of", Relation.LEFT_OF),
        ("directly above", Relation.ABOVE),
        ("underneath", Relation.BELOW),
        ("inside", Relation.INSIDE),
        ("nearest to", Relation.NEAREST),
        ("closest to", Relation.NEAREST),
        ("farthest from", Relation.FARTHEST),
        ("next to", Relation.NEXT_TO),
        ("overlapping", Relation.TOUCHING),
    ],
)
def test_relations(words, relation):
    (target,) = plan_instruction(f"the circle {words} the blue box").targets
    (constraint,) = target.constraints
    assert isinstance(constraint, HasRelation)
    assert constraint.relation is relation
    assert constraint.anchor.phrase.text == "blue box"


@pytest.mark.parametrize(
    "instruction",
    [
        "all circles except the red ones",
        "circles that are not red",
        "every circle but the red one",
        "all circles other than the red circle",
    ],
)
def test_exclusion(instruction):
    (target,) = plan_instruction(instruction).targets
    (constraint,) = target.constraints
    assert isinstance(constraint, Excluding)
    assert (target.phrase.text, constraint.phrase.text) == ("circle", "red circle")


def test_relations_nest_and_ranks_come_last():
    (target,) = plan_instruction("the larger star above the ring nearest to the heart").targets
    relation, rank = target.constraints
    assert rank == RankBySize(largest_first=True)
    assert relation.anchor.constraints[0].anchor.phrase.text == "heart"
    assert [phrase.text for phrase in target.phrases] == ["star", "ring", "heart"]


def test_several_targets_and_counts():
    plan = plan_instruction("the red circle and the blue squares")
    assert [target.phrase.text for target in plan.targets] == ["red circle", "blue square"]
    plan = plan_instruction("red and blue circles")
    assert [target.phrase.text for target in plan.targets] == ["red circle", "blue circle"]
    assert plan_instruction("the two stars").count == 2
    assert plan_instruction("both stars").count == 2
    assert plan_instruction("the star").singular
    assert not plan_instruction("the stars").singular


@pytest.mark.parametrize(
    "instruction",
    [
        "what would roll away",  # function
        "the man wearing a hat",  # a clause
        "something to cut paper with",  # intent
        "the thing used for writing",
        "the star twice as large as the ring",  # an amount
        "the second circle",  # counted from where?
        "left of",  # nothing named
        "the",
        "12345",
        "the circle left of the square and the star",  # joined to what?
        "a b c d e f g h i j",  # far too long for a noun phrase
        "star above ring above heart above cross above circle above arrow",  # nested too deep
    ],
)
def test_refusals_say_why(instruction):
    with pytest.raises(LanguageError) as caught:
        plan_instruction(instruction)
    assert len(caught.value.message) > 20 and caught.value.hint


@pytest.mark.parametrize(
    ("noun", "singular"),
    [
        ("circles", "circle"), ("crosses", "cross"), ("boxes", "box"), ("cherries", "cherry"),
        ("people", "person"), ("glass", "glass"), ("bus", "bus"), ("keys", "key"),
    ],
)  # fmt: skip
def test_singular(noun, singular):
    assert singular_of(noun) == singular


@pytest.mark.parametrize(
    ("instruction", "level"),
    [
        ("striped red circle", InstructionLevel.CONCEPT),
        ("all the cats", InstructionLevel.CONCEPT),
        ("the larger red circle left of the square", InstructionLevel.SIMPLE),
        ("the two cats", InstructionLevel.SIMPLE),
        ("what would keep the rain off?", InstructionLevel.COMPLEX),
    ],
)
def test_levels_from_text(instruction, level):
    assert classify_level(instruction) is level


def test_concept_text_drops_determiners_only():
    assert concept_text("Please find all the red circles!") == "red circles"
    assert concept_text("the") == "the"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("x" * 10_000, "10000 characters"),
        ("?!…", "no words"),
        ("赤い丸", "not look like English"),
        ("красный круг", "not look like English"),
        ("le cercle rouge à gauche", "not look like English"),
        ("der rote Kreis", "not look like English"),
    ],
)
def test_unusable_instructions(text, message):
    with pytest.raises(InputError, match=message):
        check_instruction(text)


def test_english_with_accents_is_read():
    assert check_instruction("  the  crème brûlée ") == "the crème brûlée"
