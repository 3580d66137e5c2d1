"""One conversation in which a model calls the segmenter: what it sees, and how it ends."""

import json

import pytest

from sam3i_agent.agent.language import openai_server
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.agent.tool_calling.asking import MAX_PICTURES, MAX_TEXT_TOKENS
from sam3i_agent.agent.tool_calling.graph import CALLS_PER_ROUND
from sam3i_agent.core.contracts import Budgets, Route, RouteChoice, RunStatus
from sam3i_agent.core.errors import InputError
from tests.agent.scripted_server import Reply, asked, call, offered, say, serve, write
from tests.conftest import KnowingSegmenter, block

LEFT, RIGHT = (block(10, 10, 30, 30), 0.9), (block(60, 10, 90, 40), 0.8)
TEXT = "what would keep the rain off?"
FOUND = {"umbrella": [LEFT, RIGHT], "awning": [RIGHT]}


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    monkeypatch.setattr(openai_server, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(openai_server, "_LONGEST_WAIT_S", 0.05)


def _run(server, photo, choice=(), answers=FOUND, **budgets):
    result = segment_photo_sync(
        KnowingSegmenter(answers),
        photo,
        TEXT,
        route=RouteChoice.AGENT_TOOLS,
        budgets=Budgets(**{"max_seconds": 20, "concurrency": 1, **budgets}),
        language=language_factory(LanguageChoice(url=server.url, model="scripted", **dict(choice))),
    )
    assert result.route is Route.AGENT_TOOLS
    assert result.usage.mllm_calls == len(server.log)
    return result


def _plays(*replies, verdicts=("accept", "reject")):
    """A model that makes these calls one after the other, and gives these verdicts."""
    left, judged = list(replies), list(verdicts)

    def script(body, number):
        if asked(body) == "judge_mask":
            return call(body, verdict=judged.pop(0))
        name, arguments = left.pop(0)
        return call(body, name, **arguments)

    return script


def _segment(phrase):
    return "segment_phrase", {"reason": "it keeps dry", "phrase": phrase}


EXAMINE = ("examine_each_mask", {"reason": "small"})
NOTHING = ("report_no_mask", {"reason": "dry"})


def _select(*masks):
    return "select_masks_and_return", {"masks": list(masks)}


def _text(message):
    content = message["content"]
    return content if isinstance(content, str) else content[0]["text"]


def _pictures(body):
    return [
        part["image_url"]["url"]
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def test_a_conversation_from_the_first_call_to_the_last(grey_photo):
    with serve(_plays(_segment("the umbrella."), EXAMINE, _select(1))) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.SELECTED and [one.area for one in result.instances] == [400]
    assert [line.split(":")[0] for line in result.trace] == [
        "route", "call", "segment", "call", "verify", "verify", "call",
    ]  # fmt: skip
    assert [offered(body) for body in server.log] == [
        ["segment_phrase", "report_no_mask"],
        ["segment_phrase", "examine_each_mask", "select_masks_and_return", "report_no_mask"],
        ["judge_mask"],
        ["judge_mask"],
        ["segment_phrase", "select_masks_and_return", "report_no_mask"],
    ]
    assert all(body["tool_choice"] == "required" for body in (server.log[0], server.log[-1]))
    # the photo; then the masks; then also those that are left, each picture in its own message
    assert [len(_pictures(body)) for body in server.log] == [1, 2, 3, 3, 3]
    last = server.log[-1]["messages"]
    assert [one["role"] for one in last] == ["system", "user", *["assistant", "user"] * 2]
    assert "found 2 masks" in _text(last[3]) and "accepted 1 of 2" in _text(last[5])
    assert result.usage.rounds == 1 and result.usage.pictures == 12


def test_masks_of_a_call_replace_those_before(grey_photo):
    with serve(_plays(_segment("umbrella"), _segment("awning"), _select(1))) as server:
        result = _run(server, grey_photo)
    assert [one.area for one in result.instances] == [900] and result.count == 1
    said = _text(server.log[2]["messages"][1])
    assert '"umbrella"' in said and '"awning"' not in said  # tried before, and gone
    assert len(server.log[2]["messages"]) == 4 and len(_pictures(server.log[2])) == 2


def test_an_honest_nothing(grey_photo):
    with serve(_plays(NOTHING)) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.NO_TARGET and len(server.log) == 1


def test_a_phrase_that_finds_nothing_shows_no_picture(grey_photo):
    with serve(_plays(_segment("tent"), _segment("awning"), _select(1))) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.SELECTED
    assert "found nothing" in _text(server.log[1]["messages"][-1])
    assert len(_pictures(server.log[1])) == 1
    assert offered(server.log[1]) == ["segment_phrase", "report_no_mask"]


def test_masks_that_are_all_rejected_are_gone(grey_photo):
    play = _plays(_segment("umbrella"), EXAMINE, NOTHING, verdicts=("reject", "reject"))
    with serve(play) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.NO_TARGET
    assert "None of the 2" in _text(server.log[-1]["messages"][-1])
    assert "select_masks_and_return" not in offered(server.log[-1])


WRONG_CALLS = [
    (("dance", {}), "no function dance"),
    (("select_masks_and_return", {"masks": [1]}), "no function select_masks_and_return to call"),
    (("segment_phrase", {"phrase": " . "}), "no words"),
    (("segment_phrase", {"phrase": ""}), "fields are wrong"),
    (("segment_phrase", {"phrase": "x" * 81}), "fields are wrong"),
    (("segment_phrase", {}), "fields are wrong"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG_CALLS)
def test_a_wrong_call_is_corrected_once(grey_photo, wrong, said):
    with serve(_plays(wrong, _segment("umbrella"), _select(2))) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.SELECTED and len(server.log) == 3
    assert said in _text(server.log[1]["messages"][-1])
    # what was wrong is no part of the history afterwards
    assert len(server.log[2]["messages"]) == 4


@pytest.mark.parametrize("masks", [[0], [3], [-1], []])
def test_wrong_mask_numbers_never_select(grey_photo, masks):
    play = _plays(_segment("umbrella"), *[_select(*masks)] * 2)
    with serve(play) as server:
        result = _run(server, grey_photo, max_rounds=1)
    assert result.status is RunStatus.BUDGET_EXHAUSTED and result.count == 2
    assert any("call: 2 failed" in line for line in result.trace)


def test_a_phrase_is_segmented_once_however_it_is_written(grey_photo):
    with serve(_plays(_segment("umbrella"), _segment("The Umbrella"), _select(1))) as server:
        result = _run(server, grey_photo)
    assert result.usage.prompts == 1
    assert "has been tried" in _text(server.log[2]["messages"][-1])


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (say("An umbrella, I think."), "holds no call"),
        (say(""), "holds no call"),
        (Reply({"role": "assistant"}), "holds no call"),
        (say("", refusal="I will not look at this."), "refused"),
        (say("I'm sorry, I cannot help with that."), "refused"),
        (say('{"function": "segment_phrase", "arguments": {"phrase": "x"}}'), "holds no call"),
        (say("<call>{</call>"), "no JSON object"),
        (say('<call>["segment_phrase"]</call>'), "no JSON object"),
        (say('<call>{"function": "segment_phrase"}</call>'), "no JSON object"),
        (say('I call <call>{"function": "report_no_mask", "arguments": {}}</call>'), "no call"),
        (say('<call>{"function": "report_no_mask", "arguments": {}}</call>\n' * 2), "2 calls"),
        (write("dance"), "no function dance"),
        (write("segment_phrase", phrase=7), "fields are wrong"),
    ],
)
def test_unusable_replies_are_corrected_once_and_then_cost_a_round(grey_photo, reply, said):
    with serve(lambda body, number: reply) as server:
        result = _run(server, grey_photo, max_rounds=2)
    assert result.status is RunStatus.BUDGET_EXHAUSTED and result.usage.rounds == 2
    assert [line for line in result.trace if "failed" in line and said in line]
    assert len(server.log) == 4  # two rounds, each with one correction
    assert "<call>" in _text(server.log[1]["messages"][-2 if "tools" not in server.log[1] else -1])


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_server_without_tool_calls_gets_the_text_protocol(grey_photo, status):
    steps = [write("segment_phrase", phrase="umbrella"), write("examine_each_mask"),
             write("select_masks_and_return", masks=[1])]  # fmt: skip

    def script(body, number):
        if "tools" in body or "response_format" in body:
            return Reply(status=status, raw=b'{"error": {"message": "tools are not supported"}}')
        if asked(body) == "judge_mask":
            return say('{"verdict": "accept"}')
        return steps.pop(0)

    with serve(script) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.SELECTED and result.count == 1
    assert sum("tools" in body for body in server.log) == 1  # found out once
    order = _text(server.log[-1]["messages"][-1])
    assert "<call>" in order and "- select_masks_and_return: " in order
    assert '"masks": {' in order


def test_a_server_can_be_asked_in_words_from_the_start(grey_photo):
    steps = [write("segment_phrase", phrase="awning"), write("select_masks_and_return", masks=[1])]
    with serve(lambda body, number: steps.pop(0)) as server:
        result = _run(server, grey_photo, {"ask_by": "plain-words"})
    assert result.status is RunStatus.SELECTED and not any("tools" in one for one in server.log)


def test_a_server_that_passes_over_its_tools_is_asked_in_words_from_then_on(grey_photo):
    steps = [say("An umbrella would."), write("segment_phrase", phrase="awning"),
             write("select_masks_and_return", masks=[1])]  # fmt: skip
    with serve(lambda body, number: steps.pop(0)) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.SELECTED
    assert ["tools" in body for body in server.log] == [True, False, False]


def test_a_history_of_thirty_rounds_stays_as_small_as_it_is_said_to_be(grey_photo):
    rounds, phrases = 30, iter(range(10_000))

    def script(body, number):
        if asked(body) == "judge_mask":
            return call(body, verdict="accept")
        if "examine_each_mask" in offered(body) and number < 40:
            return call(body, "examine_each_mask", reason="why " * 500)
        name = f"umbrella {next(phrases):04} " + "x" * 60
        return call(body, "segment_phrase", reason="why " * 500, phrase=name)

    class Generous(dict):
        def get(self, key, default=None):
            return [LEFT, RIGHT]

    with serve(script) as server:
        result = _run(
            server, grey_photo, answers=Generous(), max_rounds=rounds, max_mllm_calls=1000,
            max_seconds=300,
        )  # fmt: skip
    assert result.status is RunStatus.BUDGET_EXHAUSTED and result.usage.rounds == rounds
    asked_next = [body for body in server.log if "segment_phrase" in offered(body)]
    assert len(asked_next) == rounds * CALLS_PER_ROUND
    assert max(len(_pictures(body)) for body in server.log) == MAX_PICTURES
    texts = [sum(len(_text(one)) for one in body["messages"]) // 4 for body in asked_next]
    assert max(texts) <= MAX_TEXT_TOKENS and len(set(texts[70:])) <= 4  # and grows no more


def test_rules_cannot_be_talked_to(grey_photo):
    with pytest.raises(InputError, match="needs a language model"):
        segment_photo_sync(KnowingSegmenter(), grey_photo, "star", route=RouteChoice.AGENT_TOOLS)
    with serve(_plays()) as server, pytest.raises(InputError, match="that sees"):
        _run(server, grey_photo, {"text_only": True})


def test_calls_are_quoted_in_the_form_in_which_they_can_be_repeated(grey_photo):
    with serve(_plays(_segment("umbrella"), _select(1))) as server:
        _run(server, grey_photo)
    quoted = _text(server.log[1]["messages"][2]).removeprefix("<call>").removesuffix("</call>")
    assert json.loads(quoted)["arguments"] == {"reason": "it keeps dry", "phrase": "umbrella"}
