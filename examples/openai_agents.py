"""OpenAI's Agents SDK with these tools: python examples/openai_agents.py PICTURE "QUESTION".

Needs `pip install openai-agents` and OPENAI_API_KEY (OPENAI_BASE_URL and MODEL for others). The
server may live in another environment: SAM3I names its command.
"""

import asyncio
import os
import sys
from pathlib import Path

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio
from openai import AsyncOpenAI

COMMAND = os.environ.get("SAM3I", "sam3i")
START_S = 60


async def ask(picture: Path, question: str) -> str:
    """Answer a question about a picture with the help of the tools."""
    set_tracing_disabled(True)
    arguments = ["serve", "--root", str(picture.parent.resolve())]
    async with MCPServerStdio(
        params={"command": COMMAND, "args": arguments}, client_session_timeout_seconds=START_S
    ) as server:
        agent = Agent(
            name="Looker",
            model=OpenAIChatCompletionsModel(
                model=os.environ.get("MODEL", "gpt-5-mini"), openai_client=AsyncOpenAI()
            ),
            mcp_servers=[server],
        )
        run = await Runner.run(agent, f"The picture is {picture.resolve()}. {question}")
        return str(run.final_output)


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(ask(Path(sys.argv[1]), sys.argv[2])) + "\n")
