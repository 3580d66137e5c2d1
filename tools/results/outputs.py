"""What the tools return: typed, and small enough for a model's context."""

from enum import StrEnum

from pydantic import Field

from sam3i_agent.core.contracts import (
    CompressedMask,
    Frozen,
    ImageInfo,
    Route,
    RunStatus,
    Usage,
)
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.tools.results.formats.registry import TEXT_FORMATS
from sam3i_agent.tools.results.polygons import Ring, polygons_of
from sam3i_agent.tools.results.store import StoredResult
from sam3i_agent.tools.results.track_outputs import TrackSummary

SCHEME = "sam3i://results"
CLIP_SCHEME = "sam3i://clips"


class Include(StrEnum):
    """What a result holds beyond boxes and scores."""

    OVERLAY = "overlay"
    """A picture with the instances numbered."""
    MASKS = "masks"
    """Each mask inline, as COCO compressed RLE."""
    POLYGONS = "polygons"
    """Each outline inline, as lists of x, y in pixels."""


class InstanceOutput(Frozen):
    """One object."""

    number: int = Field(description="As on the overlay, from 1, best first.")
    box: tuple[float, float, float, float] = Field(description="x0, y0, x1, y1 in pixels.")
    score: float = Field(description="0 to 1.")
    area: int = Field(description="Pixels of the mask.")
    mask_uri: str = Field(description="Resource: the mask as a PNG of the photo's size.")
    mask: CompressedMask | None = Field(None, description="COCO RLE, if asked for.")
    polygons: list[Ring] | None = Field(
        None, description="Outlines and holes in pixels, if asked for."
    )


class SegmentOutput(Frozen):
    """The objects that an instruction means."""

    result_id: str = Field(description="For measure, refine, or as `image` of another call.")
    parent_id: str | None = Field(None, description="The result that this one corrects.")
    image: ImageInfo
    instruction: str
    status: RunStatus = Field(
        description="selected: found. no_target: the picture does not show it. budget_exhausted: "
        "the best found within the limits. failed: see warnings."
    )
    count: int
    presence: float = Field(description="Probability that it is in the picture at all.")
    instances: list[InstanceOutput]
    route: Route
    level: InstructionLevel
    warnings: list[str]
    trace: list[str] = Field(description="What was done, one line per step.")
    usage: Usage
    resources: list[str] = Field(description="The overlay and exports of this result.")


class ConceptOutput(Frozen):
    """The instances of one noun phrase."""

    phrase: str
    output: SegmentOutput


class ConceptsOutput(Frozen):
    """The instances of several noun phrases, in their order."""

    concepts: list[ConceptOutput]
    image_encodings: int


class TrackOutput(Frozen):
    """What a clip shows."""

    clip_id: str
    text: str = Field(description="The noun phrase that every frame was asked for.")
    frames: int
    tracks: list[TrackSummary] = Field(description="Each thing that was followed.")
    left_out: int = Field(description="Tracks that the instruction does not mean.")
    resources: list[str] = Field(description="Boxes and masks by frame, the summary, the overlay.")


class Measurement(Frozen):
    """One instance, without pixels."""

    number: int
    box: tuple[float, float, float, float]
    width: float
    height: float
    area: int
    share_of_image: float = Field(description="0 to 1.")
    centre: tuple[float, float] = Field(description="Centre of mass, x, y in pixels.")


class Overlap(Frozen):
    """Two instances that share pixels."""

    numbers: tuple[int, int]
    iou: float
    shared_pixels: int


class MeasureOutput(Frozen):
    """Measures of a result."""

    result_id: str
    count: int
    covered_share: float = Field(description="Share of the photo under any instance, 0 to 1.")
    instances: list[Measurement]
    overlaps: list[Overlap]


class CapabilitiesOutput(Frozen):
    """What this server can do."""

    model: str
    levels: list[InstructionLevel]
    routes: list[Route]
    language_model: str
    takes_boxes: bool = Field(description="Whether `refine` works with boxes.")
    takes_points: bool = Field(description="Whether `refine` works with points.")
    image_sources: list[str]
    formats: list[str]
    max_instruction_characters: int
    max_image_megapixels: int
    export_formats: list[str]


def segment_output(stored: StoredResult, include: frozenset[Include]) -> SegmentOutput:
    """Return a result as a tool shows it."""
    result = stored.result
    masks = result.masks() if Include.POLYGONS in include else [None] * len(result.instances)
    return SegmentOutput(
        result_id=stored.id,
        parent_id=stored.parent,
        image=result.image,
        instruction=result.instruction,
        status=result.status,
        count=result.count,
        presence=round(result.presence, 4),
        instances=[
            InstanceOutput(
                number=number,
                box=one.box,
                score=round(one.score, 4),
                area=one.area,
                mask_uri=f"{SCHEME}/{stored.id}/masks/{number}.png",
                mask=one.mask if Include.MASKS in include else None,
                polygons=None if mask is None else polygons_of(mask),
            )
            for number, (one, mask) in enumerate(zip(result.instances, masks, strict=True), start=1)
        ],
        route=result.route,
        level=result.level,
        warnings=list(result.warnings),
        trace=list(result.trace),
        usage=result.usage,
        resources=[
            f"{SCHEME}/{stored.id}/{name}" for name in ("overlay.png", "result.json", *TEXT_FORMATS)
        ],
    )
