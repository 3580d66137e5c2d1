"""What the MCP tools' answers cost a model: characters, tokens and bytes of twelve of them.

The model behind them is made up, so that each answer has the number of instances that it is about;
what is measured is the protocol's answer, not what was found.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mcp import Client
from mcp_types import CallToolResult, ImageContent, TextContent
from PIL import Image
from pydantic import ValidationError

from sam3i_agent.core.contracts import (
    Frozen,
    Route,
    RunStatus,
    SegmentationResult,
    SegmentRequest,
    Usage,
)
from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.files import read_json
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks, encode_cut_out
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.results import build_result, instance_of
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox

ANSWERS = 12
FRAMES = 10
"""Of the clip that is tracked."""
_COUNTS = {"nothing": 0, "one thing": 1, "five things": 5, "a hundred": 100, "two hundred": 200}
_WORDS = {0: "nothing", 1: "one thing", 5: "five things", 100: "a hundred", 200: "two hundred"}
_QUALITY = 95
_PART = 100_000
"""Characters that are counted at once, the library's limit; each cut may cost a token."""


class AnswerCost(Frozen):
    """One answer."""

    name: str
    text_characters: int
    text_tokens: int
    structure_characters: int
    """Of the structured content as JSON."""
    structure_tokens: int
    picture_bytes: int
    """As sent, in base64."""
    answer_bytes: int
    """All of it, as JSON."""


class AnswerCosts(Frozen):
    """All answers, and the list of tools that a host reads before the first."""

    tool_list_tokens: int
    answers: list[AnswerCost]


class _MadeUpService(SegmentationService):
    """Finds as many things as the words say, spread over the photo."""

    async def answer(self, photo: Photo, request: SegmentRequest, **_: Any) -> SegmentationResult:
        """Answer with discs on a grid."""
        return _made_up(photo, request, _COUNTS[request.instruction] + len(request.exemplars))

    async def answer_together(
        self, photo: Photo, requests: Sequence[SegmentRequest]
    ) -> list[SegmentationResult]:
        """Answer each alike."""
        return [await self.answer(photo, one) for one in requests]


def _made_up(photo: Photo, request: SegmentRequest, count: int) -> SegmentationResult:
    height, width = photo.size_hw
    columns = max(1, int(np.ceil(np.sqrt(count))))
    radius = 0.4 * min(height, width) / columns
    found = []
    side = int(2 * radius) + 1
    rows, across = np.mgrid[:side, :side]
    disc = (rows - radius) ** 2 + (across - radius) ** 2 <= radius**2
    for number in range(count):
        x = (number % columns + 0.5) * width / columns
        y = (number // columns + 0.5) * height / columns
        counts = encode_cut_out(disc, int(x - radius), int(y - radius), photo.size_hw)
        box = (x - radius, y - radius, x + radius, y + radius)
        found.append(instance_of(Masks(photo.size_hw, [counts]), box, 0.9 - number / 1000))
    return build_result(
        request,
        photo,
        found,
        route=Route.DIRECT,
        level=InstructionLevel.SIMPLE,
        status=RunStatus.SELECTED if found else RunStatus.NO_TARGET,
        presence=0.9 if found else 0.1,
        trace=("route: direct, two words", f"segment: presence 0.9, {count} instances"),
        usage=Usage(seconds=0.1234, image_encodings=1, prompts=1),
    )


def token_counter() -> Callable[[str], int]:
    """Return what counts tokens as tiktoken's o200k_base does, without a network.

    Raises:
        InputError: the extra `bench` is not installed.
    """
    try:
        import bpe_openai
    except ImportError as error:
        raise InputError(
            "tokens are counted by bpe-openai", "pip install 'sam3i-agent[bench]'"
        ) from error
    encoding = bpe_openai.get_encoding("o200k_base")

    def count(text: str) -> int:
        parts = (text[i : i + _PART] for i in range(0, len(text), _PART))
        return sum(len(encoding.encode(part)) for part in parts)

    return count


def read_costs(path: Path) -> AnswerCosts:
    """Return what `sam3i bench answers --json` printed.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        return AnswerCosts.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path.name!r} holds no costs of answers") from error


def cost_table(costs: AnswerCosts, before: AnswerCosts | None = None) -> str:
    """Return a Markdown table; with `before`, each figure after the one before it."""
    earlier = {one.name: one for one in before.answers} if before is not None else {}
    listed = [] if before is None else [before.tool_list_tokens]
    lines = [
        f"Tool list: {' → '.join(map(str, [*listed, costs.tool_list_tokens]))} tokens",
        "",
        "| answer | text characters | text tokens | data characters | data tokens | picture bytes "
        "| all bytes |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in costs.answers:
        rows = [earlier[one.name], one] if one.name in earlier else [one]
        figures = [
            " → ".join(f"{getattr(row, name):,}" for row in rows)
            for name in AnswerCost.model_fields
            if name != "name"
        ]
        lines.append(f"| {' | '.join([one.name, *figures])} |")
    return "\n".join(lines)


async def measure_answers(
    count_tokens: Callable[[str], int], advance: Callable[[], None]
) -> AnswerCosts:
    """Ask for twelve answers, from a picture of 256 pixels to one of 24 megapixels.

    Args:
        count_tokens: of a text.
        advance: called after each answer.

    Raises:
        ModelError: a tool refused.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = [(256, 256), (512, 512), (3000, 2000), (6000, 4000)]
        small, middle, large, huge = (_photo_file(folder, *size) for size in sizes)
        clip = _clip_folder(folder)
        toolbox = Toolbox(_MadeUpService(ModelChoice(device="cpu")), ImageSource(ResultStore()))
        costs: list[AnswerCost] = []
        async with Client(build_server(toolbox)) as client:

            async def ask(name: str, tool: str, **arguments: Any) -> Any:
                answer = await client.call_tool(tool, arguments)
                if answer.is_error:
                    raise ModelError(f"{tool} refused: {_text_of(answer)}")
                costs.append(_cost(name, answer, count_tokens))
                advance()
                return answer.structured_content

            listed = (await client.list_tools()).tools
            tools = json.dumps(
                [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in listed],
                separators=(",", ":"),
            )
            await ask("nothing, 512 x 512", "segment", image=middle, instruction=_WORDS[0])
            await ask("1, 256 x 256", "segment", image=small, instruction=_WORDS[1])
            five = await ask("5, 256 x 256", "segment", image=small, instruction=_WORDS[5])
            one = await ask("1, 512 x 512", "segment", image=middle, instruction=_WORDS[1])
            await ask("1, 6 megapixels", "segment", image=large, instruction=_WORDS[1])
            await ask("5, 24 megapixels", "segment", image=huge, instruction=_WORDS[5])
            await ask("100, 24 megapixels", "segment", image=huge, instruction=_WORDS[100])
            shapes = ["overlay", "masks", "polygons"]
            await ask(
                "200 with masks and polygons, 24 megapixels",
                "segment", image=huge, instruction=_WORDS[200], include=shapes,
            )  # fmt: skip
            phrases = [_WORDS[1], _WORDS[5], _WORDS[0]]
            await ask(
                "6 of 3 concepts, 512 x 512", "segment_concepts", image=middle, phrases=phrases
            )
            boxes = [[10, 10, 60, 60]]
            await ask("refine, 512 x 512", "refine", result_id=one["result_id"], boxes=boxes)
            await ask("measure 5", "measure", result_id=five["result_id"])
            await ask(f"track, {FRAMES} frames", "track", video=clip, instruction="red circle")
    return AnswerCosts(tool_list_tokens=count_tokens(tools), answers=costs)


def _cost(name: str, answer: CallToolResult, count_tokens: Callable[[str], int]) -> AnswerCost:
    text = _text_of(answer)
    content = answer.structured_content
    structure = json.dumps(content, separators=(",", ":")) if content is not None else ""
    pictures = [block for block in answer.content if isinstance(block, ImageContent)]
    return AnswerCost(
        name=name,
        text_characters=len(text),
        text_tokens=count_tokens(text),
        structure_characters=len(structure),
        structure_tokens=count_tokens(structure),
        picture_bytes=sum(len(one.data) for one in pictures),
        answer_bytes=len(answer.model_dump_json(by_alias=True, exclude_none=True).encode()),
    )


def _text_of(answer: CallToolResult) -> str:
    return "\n".join(one.text for one in answer.content if isinstance(one, TextContent))


def _photo_file(folder: Path, width: int, height: int) -> str:
    """Write a picture as rich in detail as a photograph: a scene under noise of three sizes."""
    random = np.random.default_rng(width)
    scene = Image.fromarray(generate_scene(seed=1, index=1).image).resize((width, height))
    canvas = np.asarray(scene, np.float32)
    for share, strength in ((8, 24.0), (64, 16.0), (1024, 8.0)):
        noise = random.normal(128, strength, (min(height, share), min(width, share), 3))
        layer = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize((width, height))
        canvas = canvas + np.asarray(layer, np.float32) - 128
    path = folder / f"{width}.jpg"
    Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).save(path, quality=_QUALITY)
    return str(path)


def _clip_folder(folder: Path) -> str:
    clip = folder / "clip"
    clip.mkdir()
    pixels = generate_scene(seed=1, index=1).image
    for number in range(FRAMES):
        Image.fromarray(np.roll(pixels, number, axis=1)).save(clip / f"{number:02}.png")
    return str(clip)
