"""The server with a model whose every layer takes its time and leaves a mark, to be cancelled.

python -m tests.tools.slow_server MARKS [--http HOST:PORT]
"""

import sys
import time
from pathlib import Path

from transformers.models.sam3.modeling_sam3 import Sam3ViTLayer

from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.access.access import Access
from sam3i_agent.tools.serving.http import parse_address, serve_http
from sam3i_agent.tools.serving.settings import ServeSettings
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox

LAYER_S = 0.4


def main() -> None:
    """Serve."""
    marks = Path(sys.argv[1])
    service = SegmentationService(ModelChoice(device="cpu"))

    def take_time(*_: object) -> None:
        with marks.open("a") as file:
            file.write(".")
        time.sleep(LAYER_S)

    service.segmenter()
    assert service.loaded is not None
    for module in service.loaded.model.modules():
        if isinstance(module, Sam3ViTLayer):
            module.register_forward_pre_hook(take_time)
    toolbox = Toolbox(service, ImageSource(ResultStore()))
    if len(sys.argv) > 2:
        host, port = parse_address(sys.argv[3])
        serve_http(toolbox, ServeSettings(host=host, port=port), Access())
    else:
        build_server(toolbox).run("stdio")


if __name__ == "__main__":
    main()
