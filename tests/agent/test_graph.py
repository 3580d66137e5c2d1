"""The graph's routes, driven through its public entry with a segmenter that knows the answers."""

import json

import numpy as np
import pytest

from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.contracts import (
    LevelChoice,
    Route,
    RouteChoice,
    RoutingPolicy,
    RunStatus,
    SegmentationResult,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.rle import decode_mask
from tests.conftest import KnowingSegmenter, block

ALL_LEVELS = tuple(InstructionLevel)
LEFT, RIGHT = (block(10, 10, 30, 30), 0.9), (block(60, 10, 90, 40), 0.8)


def test_direct_gives_the_words_to_the_model(grey_photo):
    model = KnowingSegmenter({"red stars": [LEFT, RIGHT]})
    result = segment_photo_sync(model, grey_photo, "all the red stars", route=RouteChoice.DIRECT)
    assert result.status is RunStatus.SELECTED
    assert model.asked == [("red stars", InstructionLevel.CONCEPT)]
    assert [one.area for one in result.instances] == [400, 900]
    assert (result.usage.image_encodings, result.usage.prompts) == (1, 1)


def test_the_result_survives_json_and_keeps_masks(grey_photo):
    model = KnowingSegmenter({"star": [LEFT]})
    result = segment_photo_sync(model, grey_photo, "star")
    again = SegmentationResult.model_validate_json(result.model_dump_json())
    assert again == result
    keys = set(json.loads(result.model_dump_json()))
    assert keys == {
        "image", "instruction", "route", "level", "status", "presence", "instances", "trace",
        "usage", "warnings", "count", "run_id", "provenance",
    }  # fmt: skip
    (one,) = again.instances
    np.testing.assert_array_equal(decode_mask(one.mask.size, one.mask.counts), LEFT[0])
    assert one.box == (10, 10, 30, 30)


def test_the_agent_filters_by_relation_in_one_encoding(grey_photo):
    model = KnowingSegmenter({"star": [LEFT, RIGHT], "ring": [(block(40, 10, 50, 20), 0.7)]})
    result = segment_photo_sync(
        model, grey_photo, "the star right of the ring", route=RouteChoice.AGENT
    )
    assert [one.area for one in result.instances] == [900]
    assert model.encodings == result.usage.image_encodings == 1
    assert result.usage.prompts == 2
    assert [line.split(":")[0] for line in result.trace] == [
        "route", "propose", "segment", "select", "weigh",
    ]  # fmt: skip


def test_the_agent_checks_colours_on_pixels():
    pixels = np.full((100, 100, 3), 128, np.uint8)
    pixels[LEFT[0]] = (214, 32, 36)
    photo = Photo(pixels, "0" * 64)
    model = KnowingSegmenter({"red star": [LEFT, RIGHT]})
    result = segment_photo_sync(model, photo, "red star", route=RouteChoice.AGENT)
    assert [one.area for one in result.instances] == [400]
    assert any("not red" in line for line in result.trace)


def test_the_agent_tries_another_wording_and_never_the_same():
    pixels = np.full((100, 100, 3), 128, np.uint8)
    pixels[LEFT[0]] = (214, 32, 36)
    model = KnowingSegmenter({"circle": [LEFT, RIGHT]})
    result = segment_photo_sync(
        model, Photo(pixels, "0" * 64), "the red disc", route=RouteChoice.AGENT
    )
    texts = [text for text, _ in model.asked]
    assert texts == ["red disc", "red circle", "disc"]
    assert result.status is RunStatus.BUDGET_EXHAUSTED  # "circle" was left untried
    model.answers["disc"] = [LEFT, RIGHT]
    result = segment_photo_sync(
        model, Photo(pixels, "0" * 64), "the red disc", route=RouteChoice.AGENT
    )
    assert result.status is RunStatus.SELECTED
    assert [one.area for one in result.instances] == [400]
    assert model.encodings == 2  # one for each run


def test_nothing_there_is_said_honestly(grey_photo):
    for route in set(RouteChoice) - {RouteChoice.AGENT_TOOLS}:  # which rules cannot take
        result = segment_photo_sync(KnowingSegmenter(), grey_photo, "zebra", route=route)
        assert result.status is RunStatus.NO_TARGET
        assert result.instances == ()
        assert result.presence < 0.5


def test_what_the_planner_refuses_is_a_failed_run(grey_photo):
    model = KnowingSegmenter()
    result = segment_photo_sync(model, grey_photo, "what would roll away", route=RouteChoice.AGENT)
    assert result.status is RunStatus.FAILED
    assert any("cannot read" in warning for warning in result.warnings)
    assert model.encodings == 0


@pytest.mark.parametrize(
    ("instruction", "levels", "route"),
    [
        ("star", (InstructionLevel.CONCEPT,), Route.DIRECT),
        ("the leftmost star", (InstructionLevel.CONCEPT,), Route.AGENT),  # no head for it
        ("the leftmost star", ALL_LEVELS, Route.AGENT),  # a kind that the agent is better at
        ("what would roll away", ALL_LEVELS, Route.DIRECT),
        ("star " + "and the star " * 12, ALL_LEVELS, Route.AGENT),  # over 32 tokens
    ],
)
def test_auto_route(grey_photo, instruction, levels, route):
    model = KnowingSegmenter({"star": [LEFT], "the leftmost star": [LEFT]}, levels)
    result = segment_photo_sync(model, grey_photo, instruction)
    assert result.route is route
    assert result.trace[0].startswith("route: auto")


@pytest.mark.parametrize(
    ("instruction", "answers", "reason"),
    [
        ("the leftmost star", {}, "presence 0.10 is below 0.5"),
        ("the two stars", {"the two stars": [LEFT]}, "speaks of 2, 1 were found"),
        ("the leftmost star", {"the leftmost star": [LEFT, RIGHT]}, "speaks of one, 2"),
    ],
)
def test_doubtful_direct_answers_go_to_the_agent(grey_photo, instruction, answers, reason):
    model = KnowingSegmenter({"star": [LEFT, RIGHT], **answers}, ALL_LEVELS)
    by_doubt = RoutingPolicy(agent_kinds=frozenset())
    result = segment_photo_sync(model, grey_photo, instruction, policy=by_doubt)
    assert result.route is Route.AGENT
    assert any(line.startswith("escalate:") and reason in line for line in result.trace)
    assert [one.area for one in result.instances] == ([400, 900] if "two" in instruction else [400])
    assert result.usage.image_encodings == model.encodings == 1


def test_levels_that_disagree_send_a_request_to_the_agent(grey_photo):
    class TwoMinds(KnowingSegmenter):
        def encode(self, photo):
            image = super().encode(photo)
            answer = image._answer

            def by_level(prompt):
                place = LEFT if prompt.level is InstructionLevel.COMPLEX else RIGHT
                self.answers["the leftmost star"] = [place]
                return answer(prompt)

            image._answer = by_level
            return image

    model = TwoMinds({"star": [LEFT, RIGHT]}, ALL_LEVELS)
    by_doubt = RoutingPolicy(agent_kinds=frozenset())
    result = segment_photo_sync(model, grey_photo, "the leftmost star", policy=by_doubt)
    assert any("agree by 0.00 only" in line for line in result.trace)
    assert [one.area for one in result.instances] == [400]
    policy = RoutingPolicy(check_levels=False, agent_kinds=frozenset())
    trusting = segment_photo_sync(model, grey_photo, "the leftmost star", policy=policy)
    assert trusting.route is Route.DIRECT


def test_rules_do_not_ask_the_other_level_where_they_take_over_in_any_case(grey_photo):
    model = KnowingSegmenter({"star": [LEFT, RIGHT], "the leftmost star": [LEFT]}, ALL_LEVELS)
    result = segment_photo_sync(model, grey_photo, "the leftmost star")
    assert any(line.startswith("escalate: a text of order") for line in result.trace)
    levels = [level for _, level in model.asked]
    assert levels == [InstructionLevel.SIMPLE, InstructionLevel.CONCEPT]


def test_direct_reads_a_missing_level_as_concept_and_says_so(grey_photo):
    model = KnowingSegmenter({"leftmost star": [LEFT]})
    result = segment_photo_sync(model, grey_photo, "the leftmost star", route=RouteChoice.DIRECT)
    assert result.level is InstructionLevel.CONCEPT
    assert any("no head for simple" in warning for warning in result.warnings)
    with pytest.raises(InputError, match="no instruction head for level simple"):
        segment_photo_sync(model, grey_photo, "star", level=LevelChoice.SIMPLE)


def test_texts_beyond_the_context_are_never_cut_silently(grey_photo):
    result = segment_photo_sync(
        KnowingSegmenter(), grey_photo, "very " * 40 + "red star", route=RouteChoice.DIRECT
    )
    assert any("44 tokens; the model read the first 32" in warning for warning in result.warnings)


def test_counts_that_differ_from_the_words_are_reported(grey_photo):
    model = KnowingSegmenter({"star": [LEFT, RIGHT]})
    result = segment_photo_sync(model, grey_photo, "the three stars", route=RouteChoice.AGENT)
    assert "the instruction speaks of 3, 2 were found" in result.warnings


def test_max_instances_keeps_the_best(grey_photo):
    model = KnowingSegmenter({"star": [RIGHT, LEFT]})
    result = segment_photo_sync(model, grey_photo, "star", max_instances=1)
    assert [round(one.score, 2) for one in result.instances] == [0.9]
    assert any("the best 1 are kept" in warning for warning in result.warnings)


def test_joint_asks_at_all_levels_in_one_batch_and_keeps_the_surest(grey_photo):
    model = KnowingSegmenter({"star": [LEFT], "the star": [RIGHT]}, ALL_LEVELS)
    result = segment_photo_sync(
        model, grey_photo, "the star", route=RouteChoice.DIRECT, level=LevelChoice.JOINT
    )
    assert model.asked == [
        ("star", InstructionLevel.CONCEPT),
        ("the star", InstructionLevel.SIMPLE),
        ("the star", InstructionLevel.COMPLEX),
    ]
    assert result.level is InstructionLevel.CONCEPT  # 0.9 against 0.8
    assert [one.area for one in result.instances] == [400]
    assert (result.usage.image_encodings, result.usage.prompts) == (1, 3)
    model.answers["the star"] = [(RIGHT[0], 0.95)]
    result = segment_photo_sync(
        model, grey_photo, "the star", route=RouteChoice.DIRECT, level=LevelChoice.JOINT
    )
    assert result.level is InstructionLevel.SIMPLE


@pytest.mark.parametrize(("trusted", "route"), [(0.9, Route.DIRECT), (0.95, Route.AGENT)])
def test_a_sure_head_stands_where_rules_find_nothing(grey_photo, trusted, route):
    text = "the leftmost zvezda"  # a word that the segmenter does not know by itself
    model = KnowingSegmenter({text: [LEFT]}, ALL_LEVELS)
    policy = RoutingPolicy(trusted_presence=trusted)
    result = segment_photo_sync(model, grey_photo, text, policy=policy)
    assert result.route is route
    assert result.count == (1 if route is Route.DIRECT else 0)
