"""Results: put together and changed here alone, so that what they say stays true.

Status follows from the instances, the count from both, and every change is validated as a new
result is.
"""

from collections.abc import Sequence

from sam3i_agent.core.contracts import (
    CompressedMask,
    ImageInfo,
    InstanceResult,
    Provenance,
    Route,
    RunStatus,
    SegmentationResult,
    SegmentRequest,
    Usage,
)
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo

BoxXyxy = tuple[float, float, float, float]


def instance_of(mask: Masks, box_xyxy: BoxXyxy, score: float) -> InstanceResult:
    """Return one instance.

    Args:
        mask: one, of the photo's size.
        box_xyxy: in pixels of the upright photo.
        score: 0..1.
    """
    (counts,) = mask.counts
    return InstanceResult(
        mask=CompressedMask(size=mask.size_hw, counts=counts),
        box=box_xyxy,
        score=score,
        area=int(mask.areas[0]),
    )


def build_result(
    request: SegmentRequest,
    photo: Photo,
    found: Sequence[InstanceResult],
    *,
    route: Route,
    level: InstructionLevel,
    status: RunStatus,
    presence: float,
    trace: Sequence[str],
    usage: Usage,
    warnings: Sequence[str] = (),
    run_id: str | None = None,
    provenance: Provenance | None = None,
) -> SegmentationResult:
    """Put the answer to a request together: best first, at most as many as were asked for.

    Args:
        request: what was asked.
        photo: about which.
        found: all instances, in any order.
        route: that answered.
        level: of the direct route.
        status: how the run ended.
        presence: probability 0..1 that what was asked for is there.
        trace: one readable line per step.
        usage: what it cost.
        warnings: beside those of reading the photo.
        run_id: of the recorded run.
        provenance: of the model that answered.
    """
    best = sorted(found, key=lambda one: -one.score)
    most = request.max_instances
    notes = [*photo.notes, *warnings]
    if most is not None and len(best) > most:
        notes.append(f"{len(best)} instances were found, the best {most} are kept")
    return SegmentationResult(
        image=_image_info(photo),
        instruction=request.instruction,
        route=route,
        level=level,
        status=status,
        presence=presence,
        count=len(best),
        instances=tuple(best[:most]),
        trace=tuple(trace),
        usage=usage,
        warnings=tuple(notes),
        run_id=run_id,
        provenance=provenance,
    )


def empty_result(photo: Photo, provenance: Provenance | None = None) -> SegmentationResult:
    """Return a result of nothing asked and nothing found, for clicks to add to."""
    return SegmentationResult(
        image=_image_info(photo),
        instruction="",
        route=Route.DIRECT,
        level=InstructionLevel.CONCEPT,
        status=RunStatus.NO_TARGET,
        presence=0.0,
        count=0,
        instances=(),
        trace=(),
        usage=Usage(),
        warnings=photo.notes,
        provenance=provenance,
    )


def join_results(results: Sequence[SegmentationResult]) -> SegmentationResult:
    """Return one result with the instances of several about one photo, one after the other.

    Args:
        results: at least one.
    """
    first = results[0]
    instances = tuple(one for result in results for one in result.instances)
    statuses = {result.status for result in results}
    empty = first.status if len(statuses) == 1 else RunStatus.NO_TARGET
    return _validated(
        first,
        instruction=", ".join(result.instruction for result in results),
        status=RunStatus.SELECTED if instances else empty,
        presence=max(result.presence for result in results),
        count=sum(result.count for result in results),
        instances=instances,
        trace=tuple(line for result in results for line in result.trace),
        usage=sum((result.usage for result in results), Usage()),
        warnings=tuple(dict.fromkeys(line for result in results for line in result.warnings)),
        run_id=None,
    )


def with_instances(
    result: SegmentationResult,
    instances: Sequence[InstanceResult],
    line: str,
    *,
    presence: float | None = None,
    usage: Usage | None = None,
) -> SegmentationResult:
    """Return a result with other instances.

    Args:
        result: to change; it stays as it is.
        instances: all that it shall have, in their order.
        line: what was done, for the trace.
        presence: of what was asked for, where the change says more about it; None keeps it.
        usage: what the change cost, to be added.
    """
    return _validated(
        result,
        status=RunStatus.SELECTED if instances else RunStatus.NO_TARGET,
        presence=result.presence if presence is None else presence,
        count=len(instances),
        instances=tuple(instances),
        trace=(*result.trace, line),
        usage=result.usage if usage is None else result.usage + usage,
    )


def with_warning(result: SegmentationResult, warning: str) -> SegmentationResult:
    """Return a result with one more warning."""
    return _validated(result, warnings=(*result.warnings, warning))


def with_usage(result: SegmentationResult, usage: Usage) -> SegmentationResult:
    """Return a result that cost so much more."""
    return _validated(result, usage=result.usage + usage)


def _image_info(photo: Photo) -> ImageInfo:
    height, width = photo.size_hw
    return ImageInfo(width=width, height=height, sha256=photo.sha256, name=photo.name)


def _validated(result: SegmentationResult, **changes: object) -> SegmentationResult:
    fields = {name: getattr(result, name) for name in SegmentationResult.model_fields}
    return SegmentationResult.model_validate({**fields, **changes})
