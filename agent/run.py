"""One request through the graph."""

import asyncio
import time

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.contracts import (
    CompressedMask,
    ImageInfo,
    InstanceResult,
    LevelChoice,
    RouteChoice,
    RunStatus,
    SegmentationResult,
    SegmentRequest,
    Usage,
)
from sam3i_agent.agent.graph import STEPS_AROUND, STEPS_PER_ROUND, build_graph
from sam3i_agent.agent.instructions import check_instruction
from sam3i_agent.agent.state import SegmenterLike, Workspace
from sam3i_agent.segmodel.errors import InputError
from sam3i_agent.segmodel.photo import Photo
from sam3i_agent.segmodel.rle import encode_mask


async def segment_photo(
    segmenter: SegmenterLike,
    photo: Photo,
    instruction: str,
    *,
    route: RouteChoice = RouteChoice.AUTO,
    level: LevelChoice = LevelChoice.AUTO,
    max_instances: int | None = None,
) -> SegmentationResult:
    """Segment `photo` by `instruction`.

    Args:
        segmenter: a loaded model.
        photo: the picture, upright.
        instruction: English text.
        route: direct, agent, or auto.
        level: how the direct route reads the words; auto and joint choose a level.
        max_instances: keep at most so many, best first; None keeps all.

    Raises:
        InputError: the instruction cannot be used, or the model lacks the level asked for.
    """
    text = check_instruction(instruction)
    chosen_by_us = level in (LevelChoice.AUTO, LevelChoice.JOINT) or route is RouteChoice.AGENT
    if not chosen_by_us and level not in segmenter.levels:
        raise InputError(
            f"this model has no instruction head for level {level!s}",
            "use --level auto or concept, --route agent, or a SAM3-I checkpoint",
        )
    request = SegmentRequest(image_sha256=photo.sha256, instruction=text, route=route, level=level)
    workspace = Workspace(segmenter, photo)
    started = time.perf_counter()
    state = await build_graph().ainvoke(
        {"request": request},
        {"recursion_limit": STEPS_AROUND + STEPS_PER_ROUND * (request.max_rounds + 1)},
        context=workspace,
    )
    seconds = time.perf_counter() - started
    warnings = [*photo.notes, *state["warnings"]]
    chosen = sorted(workspace.chosen, key=lambda one: -one.score)
    if max_instances is not None and len(chosen) > max_instances:
        warnings.append(f"{len(chosen)} instances were found, the best {max_instances} are kept")
        chosen = chosen[:max_instances]
    height, width = photo.size_hw
    return SegmentationResult(
        image=ImageInfo(width=width, height=height, sha256=photo.sha256),
        instruction=text,
        route=state["route"],
        level=state["level"],
        status=state.get("status", RunStatus.FAILED),
        presence=state.get("presence", 0.0),
        instances=tuple(_instance(one) for one in chosen),
        trace=tuple(state["trace"]),
        usage=Usage(
            seconds=round(seconds, 4),
            image_encodings=state.get("image_encodings", 0),
            prompts=state.get("prompts", 0),
        ),
        warnings=tuple(warnings),
    )


def segment_photo_sync(
    segmenter: SegmenterLike,
    photo: Photo,
    instruction: str,
    *,
    route: RouteChoice = RouteChoice.AUTO,
    level: LevelChoice = LevelChoice.AUTO,
    max_instances: int | None = None,
) -> SegmentationResult:
    """Call `segment_photo` from code without an event loop."""
    return asyncio.run(
        segment_photo(
            segmenter, photo, instruction, route=route, level=level, max_instances=max_instances
        )
    )


def _instance(one: Candidate) -> InstanceResult:
    packed = encode_mask(one.mask)
    return InstanceResult(
        mask=CompressedMask.model_validate(packed),
        box=one.box_xyxy,
        score=one.score,
        area=one.area,
    )
