"""The agent with a model behind real sockets: every way it may behave ends in a typed outcome."""

import asyncio
import json
import threading
import time

import pytest
from opentelemetry import trace

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language import openai_server
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.agent.language.side import Decision, ProposedPhrase, TriedPhrase, View
from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.contracts import Budgets, Route, RouteChoice, RoutingPolicy, RunStatus
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from tests.agent.scripted_server import Reply, asked, call, offered, question, say, serve
from tests.conftest import KnowingSegmenter, block

LEFT, RIGHT = (block(10, 10, 30, 30), 0.9), (block(60, 10, 90, 40), 0.8)
TEXT = "what would keep the rain off?"


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    monkeypatch.setattr(openai_server, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(openai_server, "_LONGEST_WAIT_S", 0.05)


@pytest.fixture(params=[RouteChoice.AGENT, RouteChoice.AGENT_TOOLS])
def route(request):
    """Each agent: whatever a server does, both end alike."""
    return request.param


def _perfect(body, number):
    match asked(body):
        case "segment_phrase":
            if "select_masks_and_return" in offered(body):
                return call(body, "select_masks_and_return", reason="the right one", masks=[2])
            return call(body, phrase="umbrella")
        case "propose_phrases":
            return call(body, targets=["umbrella"], helpers=["table"])
        case "judge_mask":
            return call(body, reason="the right one", verdict="accept")
        case "judge_masks":
            return call(body, judgements=[judgement(1, "reject"), judgement(2, "accept")])
        case _:
            return call(body, masks=[2], reason="the right one")


def judgement(number, verdict):
    return {"number": number, "reason": "so it looks", "verdict": verdict}


def _run(server, photo, answers=None, choice=(), route=RouteChoice.AGENT, **budgets):
    model = KnowingSegmenter(
        {"umbrella": [LEFT, RIGHT], "table": [(block(0, 80, 100, 100), 0.9)]}
        if answers is None
        else answers
    )
    result = segment_photo_sync(
        model,
        photo,
        TEXT,
        route=route,
        budgets=Budgets(**{"max_seconds": 20, **budgets}),
        language=language_factory(LanguageChoice(url=server.url, model="scripted", **dict(choice))),
    )
    assert result.usage.mllm_calls == len(server.log)
    assert result.usage.image_encodings == model.encodings <= 1
    return result


def test_a_perfect_model(grey_photo):
    with serve(_perfect) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.SELECTED
    assert [one.area for one in result.instances] == [900] and result.count == 1
    # one proposal, one selection, one sheet of verdicts (none for the helper): without a head,
    # that a candidate is left out is looked at twice
    assert [asked(body) for body in server.log] == [
        "propose_phrases", "select_masks", "judge_masks",
    ]  # fmt: skip
    assert result.usage.mllm_calls == 3 and result.usage.tokens == 300
    assert [line.split(":")[0] for line in result.trace] == [
        "route", "propose", "segment", "select", "weigh", "verify", "verify", "weigh",
    ]  # fmt: skip


def test_what_the_model_is_shown(grey_photo):
    with serve(_perfect) as server:
        _run(server, grey_photo)
    pictures = {
        asked(body): [part["type"] for part in body["messages"][1]["content"]].count("image_url")
        for body in server.log
    }
    assert pictures == {"propose_phrases": 1, "judge_masks": 3, "select_masks": 3}
    assert all(TEXT in question(body) for body in server.log)
    selection = next(body for body in server.log if asked(body) == "select_masks")
    assert '3: found by "table" (helper' in question(selection)


def _in_prose(body, number):
    match asked(body):
        case "propose_phrases":
            return say('Sure! I would try ```json\n{"targets": ["umbrella"]}\n``` first.')
        case "judge_masks":
            both = [judgement(1, "accept"), judgement(2, "accept")]
            return say(f'<think>{{"judgements": []}}</think> {json.dumps({"judgements": both})}')
        case _:
            return say('{"arguments": {"masks": [1, 2]}}')


def test_a_model_that_answers_in_prose(grey_photo):
    with serve(_in_prose) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.SELECTED and result.count == 2


def test_pictures_are_counted_and_have_a_budget(grey_photo):
    with serve(_perfect) as server:
        assert _run(server, grey_photo).usage.pictures == 7
    with serve(_perfect) as server:
        result = _run(server, grey_photo, max_pictures=3)
    assert result.status is RunStatus.BUDGET_EXHAUSTED and result.usage.pictures == 1
    assert "budget of 3 pictures" in result.warnings[0]


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize("knows_schemas", [True, False])
def test_a_server_without_function_calls_is_asked_otherwise(grey_photo, status, knows_schemas):
    def script(body, number):
        if "tools" in body or ("response_format" in body and not knows_schemas):
            return Reply(status=status, raw=b'{"error": {"message": "not supported"}}')
        return _in_prose(body, number)

    with serve(script) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.SELECTED
    assert sum("tools" in body for body in server.log) == 1  # remembered after the first
    assert sum("response_format" in body for body in server.log) == (2 if knows_schemas else 1)


def _always(reply):
    return lambda body, number: reply(body) if callable(reply) else reply


WRONG_TOOL = {
    "role": "assistant",
    "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "dance", "arguments": "{}"}}
    ],
}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (say('{"targets": ["umbrella"'), "no JSON object"),
        (say("An umbrella, I think."), "no JSON object"),
        (Reply(WRONG_TOOL), "'dance' does not exist"),
        (say("", refusal="I will not look at this."), "refused"),
        (say("I'm sorry, I cannot help with that."), "refused"),
        (say(""), "empty"),
        (Reply({"role": "assistant"}), "empty"),
        (say('{"targets": "umbrella"}'), "fields are wrong"),
        (say('{"targets": []}'), "targets is empty"),
    ],
)
def test_unusable_proposals_are_corrected_once_and_then_fail_their_round(grey_photo, reply, said):
    with serve(_always(reply)) as server:
        result = _run(server, grey_photo, max_rounds=2)
    assert result.status is RunStatus.BUDGET_EXHAUSTED
    assert [line for line in result.trace if "failed" in line and said in line]
    assert len(server.log) == 4  # two rounds, each with one correction
    assert "cannot be used" in server.log[1]["messages"][-1]["content"]


def test_a_correction_helps(grey_photo):
    def script(body, number):
        return say("hm") if number == 0 else _perfect(body, number)

    with serve(script) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.SELECTED and len(server.log) == 4


@pytest.mark.parametrize("numbers", [[0], [7], [-1], [3]])  # 3 is the helper
def test_wrong_mask_numbers_never_select(grey_photo, numbers):
    def script(body, number):
        if asked(body) == "select_masks":
            return call(body, masks=numbers)
        return _perfect(body, number)

    with serve(script) as server:
        result = _run(server, grey_photo, max_rounds=1)
    assert result.status is RunStatus.BUDGET_EXHAUSTED
    assert any("select: round 1 failed" in line for line in result.trace)
    assert result.count == 2  # the accepted masks are the best so far


def test_the_same_phrase_again_and_again_is_asked_once(grey_photo):
    def script(body, number):
        if asked(body) == "select_masks":
            return call(body, masks=[], finished=False)
        return _perfect(body, number)

    with serve(script) as server:
        result = _run(server, grey_photo, max_rounds=3)
    assert result.status is RunStatus.BUDGET_EXHAUSTED
    assert result.usage.prompts == 2  # umbrella and table, once each
    assert sum("have been tried" in line for line in result.trace) == 2


def test_rejected_masks_lead_to_other_phrases(grey_photo):
    def script(body, number):
        match asked(body):
            case "propose_phrases":
                return call(
                    body, targets=["umbrella" if "tried" not in question(body) else "awning"]
                )
            case "judge_mask":
                return call(body, verdict="accept" if "awning" in question(body) else "reject")
            case "judge_masks":
                return call(body, judgements=[judgement(1, "reject"), judgement(2, "accept")])
            case _:
                if "awning" in question(body):
                    return call(body, masks=[2], reason="that one")
                return call(body, masks=[], missing="the whole awning")

    with serve(script) as server:
        result = _run(server, grey_photo, {"umbrella": [LEFT], "awning": [RIGHT]})
    assert result.status is RunStatus.SELECTED and result.usage.rounds == 2
    assert [one.area for one in result.instances] == [900]
    assert result.usage.image_encodings == 1
    again = [body for body in server.log if asked(body) == "propose_phrases"][1]
    # the second proposal sees the marked picture, why it is doubted, and what was missed
    assert len([part for part in again["messages"][1]["content"] if "image_url" in part]) == 2
    assert "doubted" in question(again) and "the whole awning" in question(again)


def test_wordings_of_one_thing_are_judged_once(grey_photo):
    def script(body, number):
        if asked(body) == "propose_phrases":
            return call(body, targets=["umbrella", "parasol"])
        if asked(body) == "select_masks":
            return call(body, masks=[1])
        return _perfect(body, number)

    with serve(script) as server:
        result = _run(server, grey_photo, {"umbrella": [LEFT], "parasol": [LEFT]})
    assert any("1 mask is a double" in line for line in result.trace)
    assert len(server.log) == 2 and result.count == 1


def test_an_honest_nothing(grey_photo):
    with serve(lambda body, number: call(body, targets=[], absent=True, reason="dry")) as server:
        result = _run(server, grey_photo)
    assert result.status is RunStatus.NO_TARGET and result.count == 0
    assert len(server.log) == 1


def test_too_many_requests_then_success(grey_photo, route):
    def script(body, number):
        if number < 2:
            return Reply(status=429, raw=b"{}", headers={"retry-after": "0"})
        return _perfect(body, number)

    with serve(script) as server:
        result = _run(server, grey_photo, route=route)
    assert result.status is RunStatus.SELECTED
    asked_well = 3 if route is RouteChoice.AGENT else 2
    assert result.usage.mllm_calls == len(server.log) == 2 + asked_well


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=503, raw=b"{}"),
        Reply(drop=True),
        Reply(raw=b'{"choices": [{"mess', promised_bytes=500),
        Reply(raw=b'{"choices": [{"mess'),
    ],
    ids=["503", "dropped", "half a stream", "half a document"],
)
def test_a_server_that_never_answers_properly_is_a_failed_run(grey_photo, route, reply):
    with serve(_always(reply)) as server:
        result = _run(server, grey_photo, route=route)
    assert result.status is RunStatus.FAILED
    assert any("no usable answer in 4 tries" in warning for warning in result.warnings)
    assert len(server.log) == 4


def test_a_dropped_connection_is_tried_again(grey_photo, route):
    def script(body, number):
        return Reply(drop=True) if number == 0 else _perfect(body, number)

    with serve(script) as server:
        assert _run(server, grey_photo, route=route).status is RunStatus.SELECTED


def test_no_server_at_all_is_a_failed_run(grey_photo, route):
    result = segment_photo_sync(
        KnowingSegmenter(),
        grey_photo,
        TEXT,
        route=route,
        language=language_factory(LanguageChoice(url="http://127.0.0.1:9/v1", model="nobody")),
    )
    assert result.status is RunStatus.FAILED
    assert any("check --mllm-url" in warning for warning in result.warnings)


@pytest.mark.parametrize(("status", "hint"), [(401, "SAM3I_MLLM_API_KEY"), (404, "--mllm-model")])
def test_wrong_keys_and_models_say_what_to_do(grey_photo, route, status, hint):
    with serve(_always(Reply(status=status, raw=b'{"error": {"message": "no"}}'))) as server:
        result = _run(server, grey_photo, route=route)
    assert result.status is RunStatus.FAILED and len(server.log) == 1
    assert any(hint in warning for warning in result.warnings)


def test_a_stall_ends_within_the_time_budget(grey_photo, route):
    with serve(_always(Reply(delay_s=30.0, raw=b"{}"))) as server:
        started = time.monotonic()
        result = _run(server, grey_photo, route=route, max_seconds=1.0)
    assert time.monotonic() - started < 5
    assert result.status is RunStatus.BUDGET_EXHAUSTED
    assert any("1 seconds is used up" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("budgets", "said"),
    [({"max_mllm_calls": 1}, "1 model calls"), ({"max_tokens": 50}, "50 tokens")],
)
def test_spent_budgets_keep_the_best_so_far(grey_photo, route, budgets, said):
    with serve(_perfect) as server:
        result = _run(server, grey_photo, route=route, concurrency=1, **budgets)
    assert result.status is RunStatus.BUDGET_EXHAUSTED
    assert any(said in warning for warning in result.warnings)
    assert result.count == 2 and len(server.log) == 1


def test_no_call_is_made_where_none_is_allowed(grey_photo, route):
    with serve(_perfect) as server:
        result = _run(server, grey_photo, route=route, max_mllm_calls=0)
    assert result.status is RunStatus.BUDGET_EXHAUSTED and not server.log


@pytest.mark.parametrize("concurrency", [1, 5, 16])
def test_masks_are_judged_side_by_side_up_to_the_bound(grey_photo, concurrency):
    arrived, under_way, most = threading.Condition(), [], []

    def script(body, number):
        with arrived:
            under_way.append(number)
            most.append(len(under_way))
            arrived.notify_all()  # hold the answer until the bound is reached once
            arrived.wait_for(lambda: max(most) >= concurrency, timeout=10)
        time.sleep(0.02)  # time for one request too many to arrive
        with arrived:
            under_way.remove(number)
        return _perfect(body, number)

    verdicts, log = _judge(script, grey_photo, 16, look=2, concurrency=concurrency)
    assert len(verdicts) == len(log) == 16
    assert max(most) == concurrency


@pytest.mark.parametrize(("masks", "requests"), [(1, 1), (20, 1), (41, 2)])
def test_many_masks_are_judged_on_one_sheet(grey_photo, masks, requests):
    def script(body, number):
        if asked(body) == "judge_mask":
            return call(body, reason="round", verdict="accept")
        count = question(body).count("found by")
        verdicts = [
            judgement(one, "accept" if one % 2 else "reject") for one in range(1, count + 1)
        ]
        return call(body, judgements=verdicts)

    verdicts, log = _judge(script, grey_photo, masks)
    assert len(log) == requests and len(verdicts) == masks
    assert verdicts[0].decision is Decision.ACCEPT
    pictures = [one for one in log[0]["messages"][1]["content"] if one["type"] == "image_url"]
    assert len(pictures) == 3


def test_a_sheet_with_a_mask_left_out_is_asked_again(grey_photo):
    def script(body, number):
        verdicts = [judgement(1, "accept"), judgement(2, "reject"), judgement(3, "accept")]
        return call(body, judgements=verdicts[: 3 if number else 2])

    verdicts, log = _judge(script, grey_photo, 3)
    assert len(log) == 2 and "mask 3 has no judgement" in str(log[1]["messages"][-1])
    assert [one.decision for one in verdicts] == [
        Decision.ACCEPT, Decision.REJECT, Decision.ACCEPT,
    ]  # fmt: skip


def _judge(script, photo, count, look=1, concurrency=16):
    """Have so many masks judged; return the verdicts and the requests."""
    masks = [block(4 * (i % 20), 4 * (i // 20), 4 * (i % 20) + 3, 4 * (i // 20) + 3)
             for i in range(count)]  # fmt: skip
    candidates = tuple(
        Candidate("umbrella", Masks.encode([mask], photo.size_hw), (0, 0, 9, 9), 0.9)
        for mask in masks
    )
    phrase = TriedPhrase(phrase=ProposedPhrase(text="umbrella"), found=count)
    view = View(photo, TEXT, 1, tried=(phrase,), candidates=candidates)

    async def judge(url):
        meter = Meter(Budgets(concurrency=concurrency), MemoryLedger())
        language = language_factory(LanguageChoice(url=url, model="scripted"))(meter)
        try:
            return await language.verify(view, look)
        finally:
            await language.close()

    with serve(script) as server:
        return asyncio.run(judge(server.url)), server.log


def test_the_first_version_of_the_prompts_judges_one_by_one(grey_photo):
    choice = {"prompts": "v1"}
    with serve(_perfect) as server:
        result = _run(server, grey_photo, choice=choice)
    assert result.status is RunStatus.SELECTED and result.count == 1
    kinds = [asked(body) for body in server.log]
    assert kinds.count("judge_mask") == 2 and "judge_masks" not in kinds
    fields = server.log[0]["tools"][0]["function"]["parameters"]["properties"]
    assert list(fields) == ["targets", "helpers", "absent", "reason"]


def test_reasons_come_before_decisions(grey_photo):
    with serve(_perfect) as server:
        _run(server, grey_photo)
    for body in server.log:
        fields = list(body["tools"][0]["function"]["parameters"]["properties"])
        assert fields[0] in ("reason", "judgements")
    sheet = server.log[-1]["tools"][0]["function"]["parameters"]["properties"]["judgements"][
        "items"
    ]
    assert list(sheet["properties"]) == ["number", "reason", "verdict"]


def test_a_run_has_spans(grey_photo, monkeypatch):
    """Seen through the API alone, as an SDK would see them."""
    names: list[str] = []

    class Tracer(trace.NoOpTracer):
        def start_as_current_span(self, name, *args, **kwargs):
            names.append(name)
            return super().start_as_current_span(name, *args, **kwargs)

    for module in ("state", "run", "language.openai_server"):
        monkeypatch.setattr(f"sam3i_agent.agent.{module}.tracer", Tracer())
    with serve(_perfect) as server:
        _run(server, grey_photo)
    assert names[0] == "sam3i.run"
    assert [names.count(f"sam3i.{part}") for part in ("encode", "segment", "mllm")] == [1, 1, 3]


def test_reasoning_that_the_head_is_unsure_of_goes_to_the_model(grey_photo):
    levels = tuple(InstructionLevel)
    with serve(_perfect) as server:
        language = language_factory(LanguageChoice(url=server.url, model="scripted"))
        known = {"umbrella": [LEFT, RIGHT], "table": [LEFT], TEXT: [LEFT]}
        model = KnowingSegmenter(known, levels)  # its presence is 0.9
        loose = RoutingPolicy(agent_kinds=frozenset())
        sure = segment_photo_sync(model, grey_photo, TEXT, language=language, policy=loose)
        strict = RoutingPolicy(min_reasoning_presence=0.95, agent_kinds=frozenset())
        unsure = segment_photo_sync(model, grey_photo, TEXT, language=language, policy=strict)
        usual = segment_photo_sync(model, grey_photo, TEXT, language=language)
    assert sure.route is Route.DIRECT and sure.usage.mllm_calls == 0
    assert unsure.route is Route.AGENT
    assert any("takes reasoning" in line for line in unsure.trace)
    assert usual.route is Route.AGENT and any("measured better" in line for line in usual.trace)


def test_a_direct_answer_stands_where_the_model_cannot_be_reached(grey_photo):
    model = KnowingSegmenter({TEXT: [LEFT]}, tuple(InstructionLevel))
    result = segment_photo_sync(
        model,
        grey_photo,
        TEXT,
        language=language_factory(LanguageChoice(url="http://127.0.0.1:9/v1", model="nobody")),
        policy=RoutingPolicy(min_reasoning_presence=1.0),
    )
    assert result.status is RunStatus.SELECTED and result.route is Route.DIRECT
    assert any("could not check it" in warning for warning in result.warnings)
