"""LangGraph's chat agent with these tools: python examples/langgraph_agent.py PICTURE "QUESTION".

Needs `pip install langchain-openai` and OPENAI_API_KEY (OPENAI_BASE_URL and MODEL for others).
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from sam3i_agent.tools.langchain.tools import langchain_tools
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox


async def build_agent(model: BaseChatModel, folder: Path) -> Any:
    """Return a graph over messages whose model may segment the pictures of a folder."""
    source = ImageSource(ResultStore(), (folder.resolve(),))
    tools = await langchain_tools(build_server(Toolbox(SegmentationService(), source)))
    bound = model.bind_tools(tools)

    async def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("think", think)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", tools_condition, ["tools", END])
    builder.add_edge("tools", "think")
    return builder.compile()


async def ask(model: BaseChatModel, picture: Path, question: str) -> str:
    """Answer a question about a picture."""
    agent = await build_agent(model, picture.parent)
    first = HumanMessage(f"The picture is {picture.resolve()}. {question}")
    return (await agent.ainvoke({"messages": [first]}))["messages"][-1].text


if __name__ == "__main__":
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model=os.environ.get("MODEL", "gpt-5-mini"))
    sys.stdout.write(asyncio.run(ask(chat, Path(sys.argv[1]), sys.argv[2])) + "\n")
