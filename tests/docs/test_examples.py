"""The program in examples/ works against a server of chat completions."""

import json
import os
import subprocess
import sys

from tests.agent.scripted_server import Body, Reply, asked, call, say, serve
from tests.docs.pages import ROOT

PICTURE = ROOT / "examples" / "scene.png"
ANSWER = "There is one."


def test_the_chat_loop_hands_on_what_the_tools_found():
    def script(body: Body, number: int) -> Reply:
        if number:
            return say(ANSWER)
        assert asked(body) == "segment"
        return call(body, image=str(PICTURE), instruction="the red square", route="agent")

    with serve(script) as server:
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / "chat_loop.py", PICTURE, "How many red squares?"],
            env={**os.environ, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none"},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == ANSWER
    found = json.loads(server.log[1]["messages"][-1]["content"])
    assert found["count"] == 1
