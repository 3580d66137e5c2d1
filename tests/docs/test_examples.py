"""The program in examples/ works against a server of chat completions."""

import asyncio
import json
import runpy

import pytest

from tests.agent.scripted_server import Body, Reply, asked, call, say, serve
from tests.docs.pages import ROOT

PICTURE = ROOT / "examples" / "scene.png"
ANSWER = "There is one."


def test_the_chat_loop_hands_on_what_the_tools_found(monkeypatch: pytest.MonkeyPatch):
    def script(body: Body, number: int) -> Reply:
        if number:
            return say(ANSWER)
        assert asked(body) == "segment"
        return call(body, image=str(PICTURE), instruction="the red square", route="agent")

    chat = runpy.run_path(str(ROOT / "examples" / "chat_loop.py"))["chat"]
    with serve(script) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        assert asyncio.run(chat(PICTURE, "How many red squares?")) == ANSWER
    told, shown = server.log[1]["messages"][-2:]
    assert told["role"] == "tool" and json.loads(told["content"])["count"] == 1
    (picture,) = shown["content"]  # a message of the user's: those of tools hold no pictures
    assert shown["role"] == "user"
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")
