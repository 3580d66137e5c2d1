"""How a tool answers: text and data that each say all, and a picture of a bounded size.

Some hosts hand on the text alone, others the data alone, so neither may need the other. Some refuse
an answer above a megabyte.
"""

from dataclasses import dataclass

from mcp.server.mcpserver import Image
from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent

from sam3i_agent.core.contracts import Frozen, RunStatus
from sam3i_agent.tools.results.limits import DEFAULT_PICTURE_KB
from sam3i_agent.tools.results.outputs import (
    MAX_LISTED,
    Include,
    SegmentOutput,
    segment_output,
)
from sam3i_agent.tools.results.pictures import base64_bytes, overlay_jpeg
from sam3i_agent.tools.results.store import StoredResult
from sam3i_agent.tools.results.wording import cautions_of, head_of, lines_of, warnings_of

MAX_ANSWER_BYTES = 1_000_000
"""Of a whole answer as JSON."""
MAX_LINES = 50
"""Instances that an answer's text lists."""
_KILO = 1000
_ENVELOPE_BYTES = 2_000
"""Of an answer beside its text, data and picture."""
_PICTURE_FORMAT = "jpeg"


@dataclass(frozen=True)
class AnswerStyle:
    """What answers may hold."""

    picture_kb: int = DEFAULT_PICTURE_KB
    """Of a picture, in base64, at most; 1,000 bytes each."""
    tools: tuple[str, ...] = ("view", "refine", "measure", "edit")
    """That the next step may name."""

    @property
    def picture_bytes(self) -> int:
        """Of a picture, in base64, at most."""
        return self.picture_kb * _KILO


def segment_answer(
    stored: StoredResult, include: frozenset[Include], style: AnswerStyle
) -> CallToolResult:
    """Return a result in words and as data, with a picture where something was found."""
    result = stored.result
    picture = None
    if Include.OVERLAY in include and result.instances:
        picture = overlay_jpeg(stored, style.picture_bytes)
    step = next_step(stored, style)
    lines = [
        *cautions_of(result),
        head_of(result),
        f"result_id {stored.id}, picture {_size(stored)}",
    ]
    lines += _concept_lines(stored)
    lines += lines_of(result, limit=MAX_LINES, labels=stored.labels if stored.concepts else None)
    lines += warnings_of(result)
    if Include.DETAILS in include:
        lines += [f"step: {line}" for line in result.trace]
    text = "\n".join([*lines, step])
    room = MAX_ANSWER_BYTES - _ENVELOPE_BYTES - len(text.encode())
    room -= base64_bytes(len(picture)) if picture else 0
    output = _fitting(stored, include, step, room)
    links = [ResourceLink(name=uri.rsplit("/", 1)[-1], uri=uri) for uri in output.resources or ()]
    return make_answer(text, output, picture, links)


def make_answer(
    text: str,
    output: Frozen | None = None,
    picture: bytes | None = None,
    links: list[ResourceLink] | None = None,
) -> CallToolResult:
    """Return an answer; the parts that are not there are left out."""
    content: list[ContentBlock] = [TextContent(text=text)] if text else []
    if picture is not None:
        content.append(Image(data=picture, format=_PICTURE_FORMAT).to_image_content())
    data = None if output is None else output.model_dump(mode="json", exclude_none=True)
    return CallToolResult(content=[*content, *(links or ())], structured_content=data)


def next_step(stored: StoredResult, style: AnswerStyle) -> str:
    """Return what a model may do with a result, in one sentence."""
    if stored.result.status is not RunStatus.SELECTED:
        return "Next: other words, or a plainer noun; say so if the picture does not show it."
    known = {
        "view": "view to look closer",
        "refine": "refine if it is wrong",
        "measure": "measure for sizes",
        "edit": "edit to cut out or blur",
    }
    steps = [words for name, words in known.items() if name in style.tools]
    return f"Next, with the result_id: {', '.join(steps)}." if steps else "Done."


def _fitting(
    stored: StoredResult, include: frozenset[Include], step: str, room: int
) -> SegmentOutput:
    """Return the data, without the shapes that do not fit, which it then says."""
    output = segment_output(stored, include, step)
    shapes = include & {Include.MASKS, Include.POLYGONS}
    notes = list(output.warnings)
    if shapes and len(output.model_dump_json(exclude_none=True)) > room:
        left_out = " and ".join(sorted(shapes))
        notes.append(f"{left_out} would be too long here; with include links they are resources")
        output = segment_output(stored, include - shapes, step)
    if len(stored.result.instances) > MAX_LISTED:
        notes.append(f"the first {MAX_LISTED} instances are listed; measure tells of the others")
    return output.model_copy(update={"warnings": notes})


def _concept_lines(stored: StoredResult) -> list[str]:
    return [
        f"  {one.phrase}: {_numbers(one.numbers)} (result_id {one.result_id})"
        for one in stored.concepts
    ]


def _numbers(numbers: range) -> str:
    if not numbers:
        return "none"
    first, last = numbers[0], numbers[-1]
    return f"{len(numbers)}, number {first}" + (f" to {last}" if last > first else "")


def _size(stored: StoredResult) -> str:
    return f"{stored.result.image.width} x {stored.result.image.height} pixels"
