"""A chat assistant without MCP that segments: python examples/chat_loop.py PICTURE "QUESTION".

Needs a server with function calls: OPENAI_API_KEY for OpenAI; OPENAI_BASE_URL and MODEL for others.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from sam3i_agent.tools.mcp.openai_schema import call_function, function_schemas
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox

MODEL = os.environ.get("MODEL", "gpt-5-mini")
MAX_TURNS = 8


async def chat(picture: Path, question: str) -> str:
    """Answer a question about a picture with the help of the tools."""
    source = ImageSource(ResultStore(), (picture.parent.resolve(),))
    server = build_server(Toolbox(SegmentationService(), source))
    tools: Any = await function_schemas(server)
    messages: list[Any] = [
        {"role": "user", "content": f"The picture is {picture.resolve()}. {question}"}
    ]
    async with AsyncOpenAI() as client:
        for _ in range(MAX_TURNS):
            completion = await client.chat.completions.create(
                model=MODEL, messages=messages, tools=tools
            )
            message: Any = completion.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            if not message.tool_calls:
                return message.content or ""
            pictures: list[Any] = []
            for call in message.tool_calls:
                name, arguments = call.function.name, call.function.arguments
                answer = await call_function(server, name, arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": answer.text})
                pictures += [
                    {"type": "image_url", "image_url": {"url": url}} for url in answer.pictures
                ]
            if pictures:
                messages.append({"role": "user", "content": pictures})
    return "(no answer within the limit of turns)"


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(chat(Path(sys.argv[1]), sys.argv[2])) + "\n")
