"""Plans in words: how they are read, what geometry makes of them, and models that cannot see."""

import asyncio
import json

import numpy as np
import pytest
from pydantic import ValidationError

from sam3i_agent.agent.instructions import kind_of
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.conversation import Conversation
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.agent.language.mllm import MllmLanguage
from sam3i_agent.agent.language.replies import ProposeReply
from sam3i_agent.agent.language.side import Role, View
from sam3i_agent.agent.planner.worded import PlanPart, read_parts
from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.contracts import Budgets, Route, RouteChoice, RunStatus, TextKind
from sam3i_agent.core.errors import LanguageError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from tests.conftest import KnowingSegmenter, block

STARS = {
    "left": block(5, 40, 15, 50),
    "middle": block(40, 42, 60, 62),
    "right": block(80, 10, 95, 25),
}
RING = block(66, 60, 76, 70)
ANSWERS = {"star": [(one, 0.9) for one in STARS.values()], "ring": [(RING, 0.9)]}
HEADED = (InstructionLevel.CONCEPT, InstructionLevel.SIMPLE, InstructionLevel.COMPLEX)


class Scripted(Conversation):
    """Answers from a list, and remembers what it was asked."""

    def __init__(self, *replies, meter=None):
        super().__init__("scripted", meter or Meter(Budgets(), MemoryLedger()))
        self.replies, self.asked = list(replies), []

    async def _request(self, question):
        self.asked.append(question)
        self._meter.ledger.begin(0)
        if not self.replies:
            raise LanguageError("gone")
        return {"role": "assistant", "content": self.replies.pop(0)}, 7


def _run(photo, *replies, text="the second star from the left", route=RouteChoice.AGENT_PLAN,
         text_only=False, levels=(InstructionLevel.CONCEPT,), answers=None):  # fmt: skip
    asked: list = []

    def language(meter):
        conversation = Scripted(*replies, meter=meter)
        conversation.asked = asked
        return MllmLanguage(conversation, text_only=text_only)

    segmenter = KnowingSegmenter(ANSWERS if answers is None else answers, levels)
    result = segment_photo_sync(segmenter, photo, text, route=route, language=language)
    return result, asked


def _names(result):
    return {
        name
        for name, mask in STARS.items()
        for one in range(len(result.masks()))
        if (result.masks()[one] == mask).all()
    }


def _reply(*parts, targets=("star",), **more):
    return json.dumps({"targets": list(targets), "plan": list(parts), **more})


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ({"phrase": "star", "order": "left", "rank": 2}, {"middle"}),
        ({"phrase": "star", "order": "right"}, {"right"}),
        ({"phrase": "star", "size": "smallest"}, {"left"}),
        ({"phrase": "star", "side": "top right"}, {"right"}),
        ({"phrase": "star", "relation": "left of", "to": "ring"}, {"left", "middle"}),
        ({"phrase": "star", "relation": "nearest to", "to": "the ring"}, {"middle"}),
        ({"phrase": "the star", "relation": "To the right of", "to": "ring"}, {"right"}),
        ({"phrase": "Star", "order": None, "number": 2, "side": "", "more": 1}, {"left", "middle"}),
    ],
)  # fmt: skip
def test_geometry_carries_a_plan_out_with_one_question(grey_photo, part, names):
    result, asked = _run(grey_photo, _reply(part))
    assert _names(result) == names and result.status is RunStatus.SELECTED
    assert result.route is Route.AGENT_PLAN and result.usage.mllm_calls == len(asked) == 1


def test_a_helper_may_have_a_plan_of_its_own(grey_photo):
    answers = {**ANSWERS, "ring": [(RING, 0.9), (block(0, 60, 30, 95), 0.9)]}
    result, _ = _run(
        grey_photo,
        _reply(
            {"phrase": "star", "relation": "nearest to", "to": "ring"},
            {"phrase": "ring", "size": "largest"},
            helpers=["ring"],
        ),
        answers=answers,
    )
    assert _names(result) == {"left"}


def test_exceptions_and_colours_are_measured():
    pixels = np.full((100, 100, 3), 200, np.uint8)
    pixels[STARS["left"]] = (220, 20, 20)
    photo = Photo(pixels, "0" * 64)
    result, _ = _run(photo, _reply({"phrase": "star", "colour": "red"}))
    assert _names(result) == {"left"}
    answers = {**ANSWERS, "red star": [(STARS["left"], 0.8)]}
    result, asked = _run(
        photo, _reply({"phrase": "star", "without": ["red star"]}), answers=answers
    )
    assert _names(result) == {"middle", "right"} and len(asked) == 1


@pytest.mark.parametrize(
    "part",
    [
        {"phrase": "star", "relation": "left of"},  # of what?
        {"phrase": "star", "relation": "married to", "to": "ring"},
        {"phrase": "star", "order": "north"},
        {"phrase": "star", "rank": 0},
        {"phrase": "star", "size": "largish"},
        {"phrase": "", "order": "left"},
        {"order": "left"},
        "the left one",
    ],
)
def test_a_malformed_plan_is_corrected_once_and_then_left_out(grey_photo, part):
    with pytest.raises(ValidationError):
        ProposeReply.model_validate({"targets": ["star"], "plan": [part]})
    bad, good = _reply(part), _reply({"phrase": "star", "order": "left"})
    conversation = Scripted(bad, good)
    proposal = asyncio.run(MllmLanguage(conversation).propose(View(grey_photo, "it", 1)))
    assert proposal.plan is not None and len(conversation.asked) == 2
    assert "plan" in conversation.asked[1].messages[-1]["content"]  # what was wrong with it
    conversation = Scripted(bad, bad)
    proposal = asyncio.run(MllmLanguage(conversation).propose(View(grey_photo, "it", 1)))
    assert proposal.plan is None and [one.text for one in proposal.phrases] == ["star"]


def test_what_only_the_plan_names_is_segmented_and_not_shown(grey_photo):
    plan = _reply({"phrase": "thing", "relation": "left of", "to": "ring"}, targets=["big star"])
    conversation = Scripted(plan)
    proposal = asyncio.run(MllmLanguage(conversation).propose(View(grey_photo, "it", 1)))
    assert [(one.text, one.role) for one in proposal.phrases] == [
        ("big star", Role.TARGET), ("thing", Role.POOL), ("ring", Role.HELPER),
    ]  # fmt: skip
    things = [(one, 0.9) for one in STARS.values()] + [(RING, 0.9)]
    answers = {"big star": [(STARS["middle"], 0.9)], "thing": things, "ring": [(RING, 0.9)]}
    _, (_, selection) = _run(grey_photo, plan, route=RouteChoice.AGENT, answers=answers)
    assert selection.function == "select_masks"
    text = selection.messages[1]["content"][0]["text"]
    # the middle star, the left one and the helper: not all that are things
    assert text.count("found by") == 3 and text.count("suggested: your plan") == 2


def test_a_model_that_cannot_see_gets_no_picture_and_one_question(grey_photo):
    result, asked = _run(
        grey_photo,
        _reply({"phrase": "star", "order": "right"}),
        route=RouteChoice.AGENT,
        text_only=True,
        text="the rightmost star",
    )
    assert _names(result) == {"right"} and result.route is Route.AGENT_PLAN
    (question,) = asked
    assert asyncio.run(question.illustrated())[1]["content"] == question.messages[1]["content"]
    assert "the rightmost star" in question.messages[1]["content"][0]["text"]


@pytest.mark.parametrize("replies", [['{"targets": []}'], ["hm", "hm"]])
def test_what_cannot_be_planned_goes_to_the_head(grey_photo, replies):
    answers = {"the odd one out": [(RING, 0.9)]}
    result, _ = _run(
        grey_photo, *replies, text="the odd one out", text_only=True, levels=HEADED, answers=answers
    )
    assert result.status is RunStatus.SELECTED and result.route is Route.DIRECT
    assert [one.area for one in result.instances] == [100]


def test_without_a_head_what_cannot_be_planned_has_failed_and_says_so(grey_photo):
    result, _ = _run(grey_photo, '{"targets": []}', text_only=True)
    assert result.status is RunStatus.FAILED and "named nothing" in result.warnings[0]


def test_an_unreachable_model_leaves_the_direct_answer(grey_photo):
    answers = {"the odd one out": [(RING, 0.9)]}
    result, _ = _run(grey_photo, text="the odd one out", levels=HEADED, answers=answers)
    assert result.route is Route.DIRECT and "gone" in result.warnings[0]


def test_rules_plan_alone_on_this_route_too(grey_photo):
    segmenter = KnowingSegmenter(ANSWERS)
    result = segment_photo_sync(
        segmenter, grey_photo, "the star nearest to the ring", route=RouteChoice.AGENT_PLAN
    )
    assert _names(result) == {"middle"} and result.route is Route.AGENT_PLAN


def test_a_plan_that_says_no_more_than_names_is_none(grey_photo):
    names = [{"phrase": "star"}, {"phrase": "ring"}]
    assert read_parts(list(map(PlanPart.model_validate, names)), []) is None
    named, _ = _run(grey_photo, _reply(*names, targets=["star"]))
    plain, _ = _run(grey_photo, _reply(targets=["star"]))
    assert _names(named) == _names(plain) == set(STARS)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("red stars", TextKind.NAME),
        ("the second star from the left", TextKind.ORDER),
        ("the largest red star", TextKind.SIZE),
        ("the star left of the ring", TextKind.RELATION),
        ("the stars on the left side", TextKind.POSITION),
        ("all stars except the red one", TextKind.EXCEPTION),
        ("what would roll down a slope?", TextKind.REASONING),
    ],
)
def test_kinds_of_texts(text, kind):
    assert kind_of(text) is kind


def test_auto_gives_a_kind_to_the_agent_and_asks_a_blind_model_for_a_plan_alone(grey_photo):
    text = "the rightmost star"
    answers = {**ANSWERS, text: [(STARS["right"], 0.95)]}  # the head is sure, at both levels
    plan = _reply({"phrase": "star", "order": "right"})
    # Plan and head agree: the one question is enough.
    seen, asked = _run(
        grey_photo, plan, text=text, route=RouteChoice.AUTO, levels=HEADED, answers=answers
    )
    assert seen.route is Route.AGENT and len(asked) == 1 and _names(seen) == {"right"}
    assert any("the head agrees" in line for line in seen.trace)
    blind, asked = _run(
        grey_photo, plan, text=text, route=RouteChoice.AUTO, levels=HEADED, answers=answers,
        text_only=True,
    )  # fmt: skip
    assert blind.route is Route.AGENT_PLAN and len(asked) == 1 and _names(blind) == {"right"}
