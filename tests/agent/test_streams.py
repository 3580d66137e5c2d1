"""A server's replies as they really come: slow, in pieces, cut off, in one piece, with thoughts."""

import asyncio
import itertools
import json
import threading
import time

import pytest

from sam3i_agent.agent.language import openai_server
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.agent.language.openai_server import ChatClient
from sam3i_agent.agent.language.replies import VerifyReply
from sam3i_agent.agent.language.side import View
from sam3i_agent.agent.language.streaming import IncomingReply
from sam3i_agent.core.contracts import Budgets
from sam3i_agent.core.errors import BudgetError, LanguageError
from tests.agent.scripted_server import END, USAGE, Reply, call, delta, say, serve

YES = '{"verdict": "accept", "reason": "it is round"}'
REFUSAL = b'{"error": {"message": "%s"}}'


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    monkeypatch.setattr(openai_server, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(openai_server, "_LONGEST_WAIT_S", 0.05)


class Asker:
    """Asks a server whether a mask fits; each question is another one."""

    def __init__(self, server, photo, max_seconds=20.0, **settings):
        self.ledger = MemoryLedger()
        self._meter = Meter(Budgets(max_seconds=max_seconds), self.ledger)
        self._choice = LanguageChoice(url=server.url, model="scripted", **settings)
        self._view = View(photo, "the star", 1)

    def ask(self, times: int = 1) -> VerifyReply:
        """Return the last reply."""

        async def one_by_one(client):
            return [await self._ask(client, number) for number in range(times)]

        return self._run(one_by_one)[-1]

    def ask_together(self, count: int) -> list[VerifyReply]:
        """Return the replies to questions that are asked at one time."""

        async def together(client):
            return await asyncio.gather(*(self._ask(client, number) for number in range(count)))

        return self._run(together)

    def _run(self, work):
        async def run():
            client = ChatClient(self._choice, self._meter)
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(run())

    async def _ask(self, client, number):
        async def draw():
            return "data:image/png;base64,AAAA"

        return await client.ask(
            f"verify/{number}", "judge_mask", "Is it?", [draw], VerifyReply, view=self._view
        )


def _yes(body, number):
    return call(body, verdict="accept", reason="it is round")


def _first(reply):
    """Answer so once, and properly from then on."""
    return lambda body, number: reply if number == 0 else _yes(body, number)


def test_a_reply_that_takes_longer_than_the_timeout_but_streams_is_used(grey_photo):
    def script(body, number):
        return Reply(_yes(body, number).message, pace_s=0.1)

    with serve(script) as server:
        started = time.monotonic()
        reply = Asker(server, grey_photo, timeout_s=0.3).ask()
    assert reply.verdict == "accept" and reply.reason == "it is round"
    assert time.monotonic() - started > 0.6 and len(server.log) == 1


@pytest.mark.parametrize("cut_after", [0, 3])
def test_a_reply_that_stalls_is_given_up_and_asked_for_again(grey_photo, cut_after):
    stalling = Reply(say(YES).message, cut_after=cut_after, silence_s=5)
    with serve(_first(stalling)) as server:
        started = time.monotonic()
        assert Asker(server, grey_photo, timeout_s=0.2).ask().verdict == "accept"
    assert time.monotonic() - started < 2 and len(server.log) == 2


def test_a_server_that_always_stalls_is_said_to(grey_photo):
    with serve(lambda *_: Reply(delay_s=5, raw=b"{}")) as server:
        asker = Asker(server, grey_photo, timeout_s=0.05)
        with pytest.raises(LanguageError, match=r"in 4 tries: nothing came for 0\.05 s"):
            asker.ask()
        assert asker.ledger.calls == 4


def test_a_reply_that_never_ends_ends_with_the_time_budget(grey_photo):
    endless = Reply(pieces=itertools.repeat(delta(content=" and")), pace_s=0.02)
    with serve(lambda *_: endless) as server:
        started = time.monotonic()
        with pytest.raises(BudgetError, match=r"0\.5 seconds"):
            Asker(server, grey_photo, max_seconds=0.5, timeout_s=10).ask()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "broken",
    [
        Reply(say(YES).message, cut_after=3),
        Reply(pieces=[delta(content='{"verdict": ')]),  # ends in order, without a reason to end
        Reply(pieces=[delta(content='{"ver'), {"error": {"message": "out of memory"}}]),
    ],
    ids=["dropped", "no finish reason", "an error in the stream"],
)
def test_a_stream_that_breaks_off_is_asked_for_again(grey_photo, broken):
    with serve(_first(broken)) as server:
        assert Asker(server, grey_photo).ask().reason == "it is round"
    assert len(server.log) == 2
    with serve(lambda *_: broken) as server, pytest.raises(LanguageError, match="in 4 tries"):
        Asker(server, grey_photo).ask()


def test_a_server_whose_streams_have_no_end_is_asked_for_whole_replies(grey_photo):
    def script(body, number):
        return Reply(say(YES).message, pieces=[delta(content=YES)])

    with serve(script) as server:
        assert Asker(server, grey_photo).ask(times=2).verdict == "accept"
    assert [body.get("stream", False) for body in server.log] == [True, False, False]


def test_an_answer_in_one_piece_to_a_stream_request_is_understood(grey_photo):
    with serve(lambda *_: Reply(say(YES).message, whole=True)) as server:
        asker = Asker(server, grey_photo)
        assert asker.ask(times=2).verdict == "accept"
    assert asker.ledger.tokens == 200 and len(server.log) == 2


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_streams_is_asked_without_from_then_on(grey_photo, status):
    def script(body, number):
        if "stream" in body:
            return Reply(status=status, raw=REFUSAL % b"Streaming is not supported")
        return _yes(body, number)

    with serve(script) as server:
        assert Asker(server, grey_photo).ask(times=2).verdict == "accept"
    assert [("stream" in body, "tools" in body) for body in server.log] == [
        (True, True), (False, True), (False, True),
    ]  # fmt: skip


def test_a_server_that_refuses_streams_without_a_word_is_found_out(grey_photo):
    def script(body, number):
        return Reply(status=400, raw=b"{}") if "stream" in body else _yes(body, number)

    with serve(script) as server:
        assert Asker(server, grey_photo).ask(times=2).verdict == "accept"
    assert len(server.log) == 5 and "tools" in server.log[-1]


def test_a_server_that_knows_no_stream_options_still_streams(grey_photo):
    def script(body, number):
        if "stream_options" in body:
            return Reply(status=422, raw=REFUSAL % b"extra fields: stream_options")
        return _yes(body, number)

    with serve(script) as server:
        asker = Asker(server, grey_photo)
        asker.ask()
    assert server.log[1]["stream"] and "tools" in server.log[1]
    # nobody has counted: the picture counts as many, and the words by their letters
    assert 1_000 < asker.ledger.tokens < 2_000


def test_one_refused_question_does_not_stop_the_streams_of_a_server_that_can(grey_photo):
    def script(body, number):
        return Reply(status=400, raw=b"{}") if number else _yes(body, number)

    with serve(script) as server, pytest.raises(LanguageError, match="answered 400"):
        Asker(server, grey_photo).ask(times=2)
    assert all(body["stream"] for body in server.log)


def test_questions_that_are_refused_together_step_down_once(grey_photo):
    together = threading.Barrier(4)

    def script(body, number):
        if "tools" in body:
            together.wait(timeout=5)
            return Reply(status=400, raw=b"{}")
        return say(YES)

    with serve(script) as server:
        Asker(server, grey_photo).ask_together(4)
    assert len(server.log) == 8
    assert all("response_format" in body for body in server.log[4:])


def test_settings_arrive_with_every_request(grey_photo):
    settings = {
        "temperature": 0.25, "max_tokens": 500, "reasoning_effort": "low",
        "extra": {"top_k": 5, "max_tokens": 600, "stream": False},
    }  # fmt: skip
    with serve(_yes) as server:
        Asker(server, grey_photo, **settings).ask()
    (body,) = server.log
    wanted = {"temperature": 0.25, "reasoning_effort": "low", "top_k": 5, "max_tokens": 600}
    assert {name: body[name] for name in wanted} == wanted and body["stream"] is False


def test_without_settings_the_server_decides(grey_photo):
    with serve(_yes) as server:
        Asker(server, grey_photo).ask()
    assert set(server.log[0]) == {
        "model", "messages", "tools", "tool_choice", "stream", "stream_options",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "hint"),
    [({"max_tokens": 9}, "leave out --mllm-max-tokens"), ({"extra": {"max_tokens": 9}}, "extra")],
)
def test_a_setting_that_a_server_refuses_is_named(grey_photo, settings, hint):
    refusal = Reply(status=400, raw=REFUSAL % b"Unsupported parameter: 'max_tokens'")
    with serve(lambda *_: refusal) as server:
        with pytest.raises(LanguageError, match=hint):
            Asker(server, grey_photo, **settings).ask()
    assert len(server.log) == 1


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("whole", [True, False])
def test_thoughts_are_kept_and_neither_parsed_nor_sent_back(grey_photo, field, whole):
    thought = 'Round? {"verdict": "reject"} ' + "hm " * 400 + "So it is round."

    def script(body, number):
        text = "I am sure." if number == 0 else YES
        return Reply(say(text, **{field: thought}).message, whole=whole)

    with serve(script) as server:
        asker = Asker(server, grey_photo)
        reply = asker.ask()
    assert reply.verdict == "accept"
    assert reply.thought.startswith("…") and reply.thought.endswith("So it is round.")
    assert "thought" not in reply.model_dump()
    assert "Round?" not in json.dumps(server.log[1]["messages"])
    assert all(json.loads(one)[field] == thought for one in asker.ledger.entries.replies.values())


def test_thoughts_in_the_text_are_kept_too(grey_photo):
    with serve(lambda *_: say(f"<think>It looks round.</think>{YES}")) as server:
        assert Asker(server, grey_photo).ask().thought == "It looks round."


def test_a_correction_quotes_the_answer_without_its_thoughts(grey_photo):
    def script(body, number):
        return say(YES) if number else say("<think>Round, then?</think>Yes.")

    with serve(script) as server:
        Asker(server, grey_photo).ask()
    assert server.log[1]["messages"][2] == {"role": "assistant", "content": "Yes."}


def _call(text, **more):
    return {"function": {"arguments": text, **more}}


@pytest.mark.parametrize(
    "pieces",
    [
        # as the API's maker streams
        [
            delta(role="assistant"),
            delta(tool_calls=[{"index": 0, "id": "a", **_call("", name="f")}]),
            delta(tool_calls=[{"index": 0, **_call('{"x":')}]),
            delta(tool_calls=[{"index": 0, **_call(" 1}")}]),
            END, USAGE,
        ],
        # role, id and name in every piece
        [
            delta(role="a", tool_calls=[{"index": 0, "id": "a", **_call('{"x":', name="f")}]),
            delta(role="a", tool_calls=[{"index": 0, "id": "a", **_call(" 1}", name="f")}]),
            END, USAGE,
        ],
        # another id in every piece
        [
            delta(tool_calls=[{"index": 0, "id": "a", **_call('{"x":', name="f")}]),
            delta(tool_calls=[{"index": 0, "id": "b", **_call(" 1}")}]),
            END, USAGE,
        ],
        # no index, the arguments as an object, the tokens before the end
        [delta(tool_calls=[{"id": "a", **_call({"x": 1}, name="f")}]), USAGE, END],
        # two calls under one index: the first one counts
        [
            delta(tool_calls=[{"index": 0, "id": "a", **_call('{"x": 1}', name="f")}]),
            delta(tool_calls=[{"index": 0, "id": "b", **_call('{"x": 2}', name="f")}]),
            END, USAGE,
        ],
        # pieces of no known form in between
        [
            None, [], {"choices": None}, {"choices": ["x"]}, {"choices": [{"delta": None}]},
            delta(tool_calls=["x", None]), {"usage": {"total_tokens": "many"}},
            delta(tool_calls=[{"index": "0", **_call('{"x": 1}', name="f")}]),
            {"choices": [{"finish_reason": "stop"}]}, USAGE,
        ],
    ],
)  # fmt: skip
def test_calls_are_put_together_however_a_server_parts_them(pieces):
    reply = IncomingReply()
    for piece in pieces:
        reply.add(piece)
    function = reply.message["tool_calls"][0]["function"]
    assert function["name"] == "f" and json.loads(function["arguments"]) == {"x": 1}
    assert reply.finished and reply.tokens == 100


def test_a_content_of_parts_is_parted_into_thought_and_answer():
    reply = IncomingReply()
    reply.add(delta(content=[{"type": "thinking", "text": "hm"}, {"type": "text", "text": "yes"}]))
    assert reply.message["content"] == "yes" and reply.message["reasoning_content"] == "hm"
