"""The segmentation graph inside another graph: python examples/langgraph_subgraph.py PICTURE THING.

Counts the things and says whether they fill more than a tenth of the picture.
"""

import asyncio
import sys
from typing import Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from sam3i_agent.tools.langchain.subgraph import segmentation_graph
from sam3i_agent.tools.service import SegmentationService

LARGE = 0.1


class Inspection(TypedDict, total=False):
    """Shares all but `report` with the graph inside."""

    image: str
    instruction: str
    route: str
    result: dict[str, Any]
    error: str
    report: str


def judge(state: Inspection) -> Inspection:
    """Turn masks into words."""
    if "error" in state:
        return {"report": state["error"]}
    image, found = state["result"]["image"], state["result"]["instances"]
    share = sum(one["area"] for one in found) / (image["width"] * image["height"])
    size = "much" if share > LARGE else "little"
    return {"report": f"{len(found)} x {state['instruction']}, {size} of the picture ({share:.0%})"}


builder = StateGraph(Inspection)
builder.add_node("segment", segmentation_graph(SegmentationService()))
builder.add_node("judge", judge)
builder.add_edge(START, "segment")
builder.add_edge("segment", "judge")
builder.add_edge("judge", END)
graph = builder.compile()

if __name__ == "__main__":
    image, instruction = sys.argv[1:]
    answer = asyncio.run(graph.ainvoke({"image": image, "instruction": instruction}))
    sys.stdout.write(answer["report"] + "\n")
