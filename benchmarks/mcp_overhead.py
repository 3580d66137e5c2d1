"""What the protocol adds to a call: the tool in this process and behind stdio, turn by turn."""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mcp import Client, StdioServerParameters, stdio_client

from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.errors import ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.tools.results.outputs import segment_output
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox

_WARM_UP = 5


class McpOverhead(Frozen):
    """Medians of a call about a photo whose encoding is kept."""

    calls: int
    direct_ms: float
    """In this process."""
    stdio_ms: float
    """By the SDK's client, from a server process."""
    added_ms: float
    """Median of the differences of neighbouring calls."""


async def measure_mcp_overhead(
    image: Path, instruction: str, model: ModelChoice, calls: int, advance: Callable[[], None]
) -> McpOverhead:
    """Call the tool in turns, here and over stdio.

    Args:
        image: a photo.
        instruction: what to segment.
        model: to load on both sides.
        calls: of each kind.
        advance: called after each pair of calls.

    Raises:
        InputError: the photo or the instruction cannot be used.
        ModelError: a call over stdio failed.
    """
    path = str(image.resolve())
    arguments = {"image": path, "instruction": instruction, "include": []}
    here = Toolbox(SegmentationService(model), ImageSource(ResultStore()))
    command = ["-m", "sam3i_agent.cli", "serve"]
    command += ["--model", model.name, "--device", model.device, "--tiling", model.tiling]
    there = stdio_client(StdioServerParameters(command=sys.executable, args=command))
    direct: list[float] = []
    stdio: list[float] = []
    async with Client(there) as client:
        for _ in range(_WARM_UP + calls):
            started = time.perf_counter()
            stored = await here.segment(path, instruction)
            segment_output(stored, frozenset()).model_dump_json()
            between = time.perf_counter()
            result = await client.call_tool("segment", arguments)
            ended = time.perf_counter()
            if result.is_error:
                raise ModelError(f"a call failed: {result.content}")
            direct.append(1000 * (between - started))
            stdio.append(1000 * (ended - between))
            advance()
    direct, stdio = direct[_WARM_UP:], stdio[_WARM_UP:]
    added = [there - here for here, there in zip(direct, stdio, strict=True)]
    return McpOverhead(
        calls=calls,
        direct_ms=round(statistics.median(direct), 3),
        stdio_ms=round(statistics.median(stdio), 3),
        added_ms=round(statistics.median(added), 3),
    )
