"""The server as a process, over both transports and in both protocol eras, by the SDK's client."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import (
    CallToolResult,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestParams,
    ElicitResult,
    TextContent,
)

from tests.agent.scripted_server import Reply, serve
from tests.tools.servers import EXAMPLE, SERVE, http_server, stdio_server

CANCELLED_S = 1.0
"""Within which cancelled work has stopped."""
TWO_FIT = {"image": str(EXAMPLE), "instruction": "the square", "include": ["details"]}

Connect = Callable[..., Client]


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def over_http() -> Iterator[Connect]:
    """Makes a client of one server, which may ask its client's model."""
    with http_server(*SERVE, "--client-model") as (url, _):
        yield lambda **options: Client(url, **options)


@pytest.fixture(scope="module", params=["stdio", "http"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """The same, and with a server of its own over stdio."""
    if request.param == "http":
        return request.getfixturevalue("over_http")
    server = stdio_server(*SERVE, "--client-model")
    return lambda **options: Client(stdio_client(server), **options)


def _run(function: Callable[[], Any]) -> Any:
    return anyio.run(function)


async def _segment(client: Client, **arguments: Any) -> dict[str, Any]:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    answer = await client.call_tool("segment", arguments)
    assert not answer.is_error, answer.content
    jsonschema.validate(answer.structured_content, tools["segment"].output_schema)
    return answer.structured_content


def test_progress_and_log_messages_arrive(connect: Connect, era: str):
    steps: list[str] = []
    logged: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(message or "")

    async def on_log(params: Any) -> None:
        logged.append(f"{params.level}: {params.data}")

    async def run() -> None:
        async with connect(mode=era, logging_callback=on_log, log_level="info") as client:
            await client.call_tool("segment", TWO_FIT, progress_callback=on_progress)

    _run(run)
    assert any(step.startswith("route: ") for step in steps)
    assert any(line.startswith("warning: ambiguous") for line in logged)
    assert any(line.startswith("info: ") for line in logged)


@dataclass
class _Model:
    """A client's model that likes the first mask, and keeps what it was shown."""

    log: list[CreateMessageRequestParams]
    spoil: bool = False
    """Answer the first question about masks with prose."""

    async def __call__(
        self, context: Any, params: CreateMessageRequestParams
    ) -> CreateMessageResult:
        self.log.append(params)
        text = self.answer("\n".join(_texts(params)))
        content = TextContent(text=text)
        return CreateMessageResult(role="assistant", content=content, model="scripted")

    def answer(self, text: str) -> str:
        if '"targets"' in text:
            proposal = {"targets": ["diamond"], "helpers": [], "absent": False, "reason": ""}
            return json.dumps(proposal)
        if '"verdict"' in text:
            if self.spoil:
                self.spoil = False
                return "They all look fine to me."
            count = re.search(r"all (\d+) questions", text)
            yes = {"verdict": "accept", "reason": ""}
            if '"judgements"' in text:  # says yes to all, and chose but one before
                masks = range(1, text.count("found by") + 1)
                return json.dumps({"judgements": [{"number": one} | yes for one in masks]})
            return json.dumps({"answers": [yes] * int(count[1])} if count else yes)
        return f"Here you are: {json.dumps({'masks': [1], 'finished': True, 'absent': False})}"


def _texts(params: CreateMessageRequestParams) -> list[str]:
    return [one.content.text for one in params.messages if isinstance(one.content, TextContent)]


def _ask_model(connect: Connect, era: str, model: _Model) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with connect(mode=era, sampling_callback=model) as client:
            return await _segment(
                client,
                image=str(EXAMPLE),
                instruction="what is pointed?",
                route="agent",
                include=["details"],
            )

    result = _run(run)
    assert result["status"] == "selected" and result["count"] == 3
    assert result["details"]["usage"]["mllm_calls"] == len(model.log)
    return result


def test_the_clients_own_model_is_asked_once_for_each_round(connect: Connect, era: str):
    model = _Model([])
    _ask_model(connect, era, model)
    # a proposal, a selection, a sheet, and closer looks, all of a round in one
    assert len(model.log) == 4
    together = "\n".join(_texts(model.log[3]))
    assert "Question 2 of " in together and "diamond" in together
    pictures = [one for one in model.log[3].messages if one.content.type == "image"]
    count = int(re.search(r"all (\d+) questions", together)[1])
    assert len(pictures) == 1 + 2 * count  # the photo once, two views of each mask


def test_verdicts_in_prose_are_asked_for_again_together(over_http: Connect, era: str):
    model = _Model([], spoil=True)
    _ask_model(over_http, era, model)
    assert len(model.log) == 5
    assert "cannot be used" in "\n".join(_texts(model.log[3]))


def test_a_client_whose_model_refuses_gets_an_answer_that_says_so(over_http: Connect):
    async def refuse(context: Any, params: Any) -> Any:
        from mcp_types import ErrorData

        return ErrorData(code=-1, message="the user said no")

    async def run() -> dict[str, Any]:
        async with over_http(mode="legacy", sampling_callback=refuse) as client:
            return await _segment(client, image=str(EXAMPLE), instruction="x", route="agent")

    result = _run(run)
    assert result["status"] == "failed"
    assert any("the user said no" in warning for warning in result["warnings"])


def test_without_sampling_the_rules_answer(over_http: Connect, era: str):
    async def run() -> dict[str, Any]:
        async with over_http(mode=era) as client:
            return await _segment(client, **{**TWO_FIT, "instruction": "square", "route": "agent"})

    result = _run(run)
    assert result["count"] > 1 and result["details"]["usage"]["mllm_calls"] == 0


def _choose(connect: Connect, era: str, pick: Callable[[list[str]], Any]) -> dict[str, Any]:
    asked: list[Any] = []

    async def choose(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params)
        content = pick(params.requested_schema["properties"]["which"]["enum"])
        return ElicitResult(action="accept" if content else "decline", content=content)

    async def run() -> tuple[dict[str, Any], Any]:
        async with connect(mode=era, elicitation_callback=choose) as client:
            result = await _segment(client, **TWO_FIT)
            uri = re.search(r"sam3i://\S+", asked[0].message)[0]
            return result, await client.read_resource(uri)

    result, picture = _run(run)
    assert len(asked) == 1 and "Which one is meant?" in asked[0].message
    assert picture.contents[0].mime_type == "image/png"
    return result


def test_the_user_is_asked_which_one_is_meant(connect: Connect, era: str):
    result = _choose(connect, era, lambda choices: {"which": choices[1]})
    assert result["count"] == len(result["instances"]) == 1
    assert result["details"]["trace"][-1].startswith("user: number 2 of ")


@pytest.mark.parametrize(
    ("pick", "said"),
    [
        (lambda choices: {"which": choices[-1]}, "all"),
        (lambda choices: None, "did not choose"),
        (lambda choices: {"which": "the blue one"}, "did not choose"),
    ],
)
def test_all_candidates_come_back_without_a_choice(over_http: Connect, era: str, pick, said: str):
    result = _choose(over_http, era, pick)
    assert result["count"] > 1
    assert any(said in warning for warning in result["warnings"]) is (said != "all")


def test_without_elicitation_all_candidates_come_back(over_http: Connect, era: str):
    async def run() -> dict[str, Any]:
        async with over_http(mode=era) as client:
            return await _segment(client, **TWO_FIT)

    result = _run(run)
    assert result["count"] > 1
    assert any(warning.startswith("ambiguous: ") for warning in result["warnings"])


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_cancelling_stops_the_work(transport: str, era: str, tmp_path: Path):
    marks = tmp_path / "marks"
    command = ("tests.tools.slow_server", str(marks))

    async def run(client: Client) -> None:
        async with client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "segment", TWO_FIT)
                with anyio.fail_after(30):
                    while not marks.exists():
                        await anyio.sleep(0.02)
                group.cancel_scope.cancel()
            await anyio.sleep(CANCELLED_S)
            stopped = marks.stat().st_size
            await anyio.sleep(1.5)
            assert marks.stat().st_size == stopped  # no layer runs any more
            able = await client.call_tool("describe_capabilities", {})
            assert not able.is_error

    if transport == "stdio":
        anyio.run(run, Client(stdio_client(stdio_server(*command)), mode=era))
    else:
        with http_server(*command) as (url, _):
            anyio.run(run, Client(url, mode=era))


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_server_killed_within_a_call_is_an_error_not_a_hang(
    transport: str, era: str, tmp_path: Path
):
    asked = anyio.Event()

    def stall(body: Any, number: int) -> Reply:
        asked.set()
        time.sleep(3)
        return Reply({"role": "assistant", "content": ""})

    async def run(client: Client, kill: Callable[[], None]) -> None:
        async def call() -> None:
            with anyio.fail_after(20):
                answer = await client.call_tool("segment", {**TWO_FIT, "route": "agent"})
            outcome.append(answer)

        outcome: list[CallToolResult] = []
        with pytest.raises(BaseExceptionGroup) as caught:
            async with client, anyio.create_task_group() as group:
                group.start_soon(call)
                while not asked.is_set():
                    await anyio.sleep(0.02)
                kill()
        assert not outcome
        assert not caught.group_contains(TimeoutError)

    with serve(stall) as model, ExitStack() as stack:
        mllm = ("--mllm-url", model.url, "--mllm-model", "scripted")
        if transport == "stdio":
            name = tmp_path / "pid"
            command = f"echo $$ > {name}; exec {sys.executable} -m {' '.join((*SERVE, *mllm))}"
            server = StdioServerParameters(command="sh", args=["-c", command])
            client = Client(stdio_client(server), mode=era)
            anyio.run(run, client, lambda: os.kill(int(name.read_text()), signal.SIGKILL))
        else:
            url, process = stack.enter_context(http_server(*SERVE, *mllm))
            anyio.run(run, Client(url, mode=era), process.kill)
