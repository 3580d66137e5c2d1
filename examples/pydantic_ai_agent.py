"""Pydantic AI with these tools: python examples/pydantic_ai_agent.py PICTURE "QUESTION".

Needs `pip install "pydantic-ai-slim[mcp,openai]"` and OPENAI_API_KEY (OPENAI_BASE_URL and MODEL for
others). The server may live in another environment: SAM3I names its command.
"""

import asyncio
import os
import sys
from pathlib import Path

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel

COMMAND = os.environ.get("SAM3I", "sam3i")
START_S = 60


async def ask(picture: Path, question: str) -> str:
    """Answer a question about a picture with the help of the tools."""
    server = StdioTransport(COMMAND, ["serve", "--root", str(picture.parent.resolve())])
    model = OpenAIChatModel(os.environ.get("MODEL", "gpt-5-mini"))
    agent = Agent(model, toolsets=[MCPToolset(server, init_timeout=START_S)])
    async with agent:
        run = await agent.run(f"The picture is {picture.resolve()}. {question}")
    return run.output


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(ask(Path(sys.argv[1]), sys.argv[2])) + "\n")
