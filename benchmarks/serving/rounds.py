"""What one client asks again and again, and the right answers, made by one process."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from PIL import Image

from sam3i_agent.core.masks import Masks, union_iou
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.serving.building import build_toolbox, service_of
from sam3i_agent.tools.serving.settings import ServeSettings

_SERIES = 931
SAME_IOU = 0.98
"""Floats of a larger batch differ in their last digits, and so may a pixel at an edge."""

Call = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Of a tool with arguments; returns the structured answer."""
Read = Callable[[str], Awaitable[str]]
"""Of a resource by its URI."""


@dataclass(frozen=True)
class Found:
    """Instances of an answer."""

    masks: Masks

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "Found":
        """Take them from a structured answer with masks."""
        size = answer["image"]["height"], answer["image"]["width"]
        return cls(Masks(size, [one["mask"]["counts"] for one in answer["instances"]]))

    def is_same(self, other: "Found") -> bool:
        """Whether both are as many, on the same pixels but for some at edges."""
        if len(self.masks) != len(other.masks):
            return False
        return not len(self.masks) or union_iou(self.masks, other.masks) >= SAME_IOU

    def is_identical(self, other: "Found") -> bool:
        """Whether all pixels are the same."""
        return self.masks.counts == other.masks.counts


@dataclass(frozen=True)
class Round:
    """The questions of one client, and what a single process answers."""

    path: Path
    instruction: str
    box_xyxy: list[float]
    """An example for `refine`."""
    point_xy: list[float] | None
    """A click for `refine`; None where the model takes none."""
    answers: dict[str, Found]
    """By question."""
    areas: list[float]
    """That `measure` says, in pixels."""

    def is_right(self, areas: list[float]) -> bool:
        """Whether areas are those of the single process, but for pixels at edges."""
        if len(areas) != len(self.areas):
            return False
        pairs = zip(sorted(areas), sorted(self.areas), strict=True)
        return all(abs(one - other) <= (1 - SAME_IOU) * max(one, other) for one, other in pairs)


@dataclass
class Verdicts:
    """How many answers were right."""

    identical: int = 0
    same: int = 0
    """But for pixels at edges."""
    wrong: int = 0

    def count(self, found: Found, wanted: Found) -> None:
        """Count an answer with masks."""
        if found.is_identical(wanted):
            self.identical += 1
        else:
            self.count_numbers(found.is_same(wanted))

    def count_numbers(self, right: bool) -> None:
        """Count another answer."""
        self.same += right
        self.wrong += not right


async def make_rounds(folder: Path, model: str, count: int) -> list[Round]:
    """Draw pictures and answer all questions about each in this process, one by one."""
    settings = ServeSettings(model=ModelChoice(model, "cpu"))
    rounds: list[Round] = []
    number = 0
    async with Client(build_server(build_toolbox(settings, service_of(settings)))) as client:
        can = (await client.call_tool("describe_capabilities", {})).structured_content

        async def call(tool: str, arguments: dict[str, Any]) -> Any:
            answer: Any = await client.call_tool(tool, arguments)
            if answer.is_error:
                raise RuntimeError(answer.content[0].text)
            return answer.structured_content

        while len(rounds) < count:
            scene, path = generate_scene(_SERIES, number), folder / f"{number}.png"
            number += 1
            if not scene.objects:
                continue
            item = scene.objects[0]
            Image.fromarray(scene.image).save(path)
            instruction = f"{item.colour} {item.shape}"
            box = [float(one) for one in item.box_xyxy]
            x0, y0, x1, y1 = box
            point = [(x0 + x1) / 2, (y0 + y1) / 2] if can and can["takes_points"] else None
            asked = Round(path, instruction, box, point, {}, [])
            first = await segment(call, asked)
            if not first["instances"]:
                continue
            asked.answers["segment"] = Found.of(first)
            for kind, arguments in corrections(asked, first["result_id"]).items():
                asked.answers[kind] = Found.of(await call("refine", arguments))
            asked.areas.extend(await areas(call, first["result_id"]))
            rounds.append(asked)
    return rounds


async def segment(call: Call, asked: Round) -> Any:
    """Ask the first question."""
    arguments = {"image": str(asked.path), "instruction": asked.instruction}
    return await call("segment", {**arguments, "route": "direct", "include": ["masks"]})


def corrections(asked: Round, result_id: str) -> dict[str, dict[str, Any]]:
    """Return the arguments of `refine` by the kind of correction."""
    common = {"result_id": result_id, "include": ["masks"]}
    kinds: dict[str, dict[str, Any]] = {"box": {**common, "boxes": [asked.box_xyxy]}}
    if asked.point_xy is not None:
        kinds["click"] = {**common, "points": [asked.point_xy]}
    return kinds


async def areas(call: Call, result_id: str) -> list[float]:
    """Return the area of each instance, in pixels."""
    answer = await call("measure", {"result_id": result_id})
    return [float(one["area"]) for one in answer["instances"]]


async def read_back(read: Read, result_id: str) -> Found:
    """Return what the store has of a result."""
    content = json.loads(await read(f"sam3i://results/{result_id}/result.json"))
    return Found.of(content)
