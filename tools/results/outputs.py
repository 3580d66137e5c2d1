"""What the tools return: typed, and small enough for a model's context."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from sam3i_agent.core.contracts import Frozen, Route, RunStatus
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.tools.results.edits.actions import EditAction
from sam3i_agent.tools.results.formats.registry import TEXT_FORMATS
from sam3i_agent.tools.results.polygons import polygons_of
from sam3i_agent.tools.results.store import StoredResult
from sam3i_agent.tools.results.track_outputs import TrackSummary
from sam3i_agent.tools.results.wording import place_of, whole_box

SCHEME = "sam3i://results"
CLIP_SCHEME = "sam3i://clips"
MAX_LISTED = 200
"""Instances that an answer lists as data; `measure` tells of the others."""

Pixels = Annotated[list[int], Field(min_length=4, max_length=4)]
"""x0, y0, x1, y1, whole pixels."""
Loose = Annotated[Any, WithJsonSchema({"type": "object"})]
"""An object that is not described to the client: who asks for it knows it."""
LooseList = Annotated[
    Any, WithJsonSchema({"type": "array", "items": {"type": "array", "items": {}}})
]


class Include(StrEnum):
    """What an answer holds beyond numbers, boxes and scores."""

    OVERLAY = "overlay"
    """A picture with the instances numbered."""
    MASKS = "masks"
    """Each mask inline, as COCO compressed RLE."""
    POLYGONS = "polygons"
    """Each outline inline, as lists of x, y in pixels."""
    LINKS = "links"
    """The resources that hold masks and exports."""
    DETAILS = "details"
    """The picture's hash, the trace, what it took, and the hashes of the weights that ran."""


class PictureSize(Frozen):
    """The picture, upright."""

    width: int
    height: int


class InstanceOutput(Frozen):
    """One object."""

    number: int
    phrase: str | None = None
    box: Pixels
    score: float
    area: int
    place: str
    mask_uri: str | None = None
    mask: Loose = None
    polygons: LooseList = None


class ConceptOutput(Frozen):
    """One noun phrase of several."""

    phrase: str
    result_id: str
    count: int
    numbers: list[int]


class SegmentOutput(Frozen):
    """The objects that were asked for."""

    result_id: str
    parent_id: str | None = None
    """The result that this one corrects."""
    count: int
    status: RunStatus
    instruction: str
    route: Route
    presence: float
    image: PictureSize
    instances: list[InstanceOutput]
    concepts: list[ConceptOutput] | None = None
    warnings: list[str]
    next: str
    """What to do with the result."""
    details: Loose = None
    resources: list[str] | None = None


class TrackOutput(Frozen):
    """What a clip shows."""

    clip_id: str
    text: str
    """The noun phrase that every frame was asked for."""
    frames: int
    tracks: list[TrackSummary]
    left_out: int
    """Tracks that the instruction does not mean."""
    resources: list[str]


class EditOutput(Frozen):
    """An edited photo."""

    result_id: str
    action: EditAction
    instances: list[int]
    width: int
    height: int
    uri: str
    """Resource: the picture whole, as PNG."""


class Measurement(Frozen):
    """One instance, without pixels."""

    number: int
    phrase: str | None = None
    box: Pixels
    area: int
    share_of_image: float
    centre: Annotated[list[float], Field(min_length=2, max_length=2)]
    """Of mass, x, y in pixels."""


class Overlap(Frozen):
    """Two instances that share pixels."""

    numbers: Annotated[list[int], Field(min_length=2, max_length=2)]
    iou: float
    shared_pixels: int


class MeasureOutput(Frozen):
    """Measures of a result."""

    result_id: str
    count: int
    covered_share: float
    """Of the photo under any instance, 0 to 1."""
    instances: list[Measurement]
    overlaps: list[Overlap]
    """The largest."""


class CapabilitiesOutput(Frozen):
    """What this server can do."""

    model: str
    purpose: str
    """What it is for and not for; empty where its card does not say."""
    levels: list[InstructionLevel]
    routes: list[Route]
    language_model: str
    takes_boxes: bool
    takes_points: bool
    image_sources: list[str]
    allowed_folders: list[str]
    """That paths must be in; none where the server reads all that its user can."""
    formats: list[str]
    max_instruction_characters: int
    max_image_megapixels: int
    export_formats: list[str]


def segment_output(
    stored: StoredResult, include: frozenset[Include], next_step: str = ""
) -> SegmentOutput:
    """Return a result as a tool shows it.

    Args:
        stored: the result.
        include: beyond what is always there.
        next_step: what to do with it.
    """
    result = stored.result
    listed = result.instances[:MAX_LISTED]
    masks = result.masks()
    several = bool(stored.concepts)
    links = Include.LINKS in include
    instances = [
        InstanceOutput(
            number=number,
            phrase=stored.label(number) if several else None,
            box=whole_box(one),
            score=round(one.score, 2),
            area=one.area,
            place=place_of(one.box, result.image),
            mask_uri=f"{SCHEME}/{stored.id}/masks/{number}.png" if links else None,
            mask=one.mask.model_dump(mode="json") if Include.MASKS in include else None,
            polygons=polygons_of(masks[number - 1]) if Include.POLYGONS in include else None,
        )
        for number, one in enumerate(listed, start=1)
    ]
    return SegmentOutput(
        result_id=stored.id,
        parent_id=stored.parent,
        count=result.count,
        status=result.status,
        instruction=result.instruction,
        route=result.route,
        presence=round(result.presence, 2),
        image=PictureSize(width=result.image.width, height=result.image.height),
        instances=instances,
        concepts=[
            ConceptOutput(
                phrase=one.phrase,
                result_id=one.result_id,
                count=len(one.numbers),
                numbers=list(one.numbers),
            )
            for one in stored.concepts
        ]
        or None,
        warnings=list(result.warnings),
        next=next_step,
        details=_details(stored) if Include.DETAILS in include else None,
        resources=resources_of(stored.id) if links else None,
    )


def resources_of(result_id: str) -> list[str]:
    """Return the addresses of a result's pictures and exports."""
    names = ("overlay.png", "photo.jpg", "result.json", *TEXT_FORMATS)
    return [f"{SCHEME}/{result_id}/{name}" for name in names]


def _details(stored: StoredResult) -> dict[str, Any]:
    result = stored.result
    return {
        "sha256": result.image.sha256,
        "level": result.level.value,
        "trace": list(result.trace),
        "usage": result.usage.model_dump(mode="json"),
        "provenance": result.provenance and result.provenance.model_dump(mode="json"),
    }
