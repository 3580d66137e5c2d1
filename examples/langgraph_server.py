"""The graph that LangGraph's server and Studio show: `langgraph dev`, see langgraph.json.

SAM3I_MODEL chooses the model.
"""

import os

from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.tools.langchain.subgraph import segmentation_graph
from sam3i_agent.tools.service import SegmentationService

MODEL = os.environ.get("SAM3I_MODEL", "tiny")

graph = segmentation_graph(SegmentationService(ModelChoice(MODEL)))
