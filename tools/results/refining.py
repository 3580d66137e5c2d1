"""Corrections of a result: example boxes (more like this, not this) and clicks on one instance.

Results do not change: each correction makes a new one, so the id of an earlier one undoes it.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sam3i_agent.agent.instructions import try_plan
from sam3i_agent.core.contracts import (
    CompressedMask,
    InstanceResult,
    RunStatus,
    SegmentationResult,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import VISUAL, Exemplar, Prompt
from sam3i_agent.core.rle import decode_mask, tight_box

if TYPE_CHECKING:
    from sam3i_agent.segmodel.clicks import Click, ClickModel
    from sam3i_agent.segmodel.sam3_segmenter import Segmenter


@dataclass(frozen=True)
class Edits:
    """What has been corrected since the instruction was answered."""

    exemplars: tuple[Exemplar, ...] = ()
    clicks: "dict[int, tuple[Click, ...]]" = field(default_factory=dict)
    """By the instance's number."""


NO_EDITS = Edits()


def refine_by_exemplars(
    segmenter: "Segmenter",
    photo: Photo,
    result: SegmentationResult,
    edits: Edits,
    new: tuple[Exemplar, ...],
) -> tuple[SegmentationResult, Edits]:
    """Ask again for the result's noun phrase, with all examples given so far.

    Raises:
        InputError: the model takes no examples, a box is not in the photo, or it is given both as
            more like this and as not this.
    """
    exemplars = (*edits.exemplars, *new)
    contradiction = {one.box_xyxy for one in exemplars if one.positive} & {
        one.box_xyxy for one in exemplars if not one.positive
    }
    if contradiction:
        raise InputError(f"the box {list(contradiction.pop())} is both an example and none")
    plan = try_plan(result.instruction)
    text = plan.targets[0].phrase.text if plan is not None and len(plan.targets) == 1 else VISUAL
    (found,) = segmenter.encode(photo).segment([Prompt(text, exemplars=exemplars)])
    instances = tuple(
        _instance(found.masks[[index]], (x0, y0, x1, y1), score)
        for index, ((x0, y0, x1, y1), score) in enumerate(
            zip(found.boxes_xyxy.tolist(), found.scores.tolist(), strict=True)
        )
    )
    count = sum(one.positive for one in exemplars)
    line = f"refine: {text!r} with {count} examples and {len(exemplars) - count} counterexamples"
    return _changed(result, instances, line), Edits(exemplars)


def refine_by_clicks(
    segmenter: "Segmenter",
    clicker: "ClickModel",
    photo: Photo,
    result: SegmentationResult,
    edits: Edits,
    new: "tuple[Click, ...]",
    number: int | None,
    reading: int = 1,
) -> tuple[SegmentationResult, Edits]:
    """Correct one instance, or add one.

    Args:
        segmenter: whose encoding of the photo the clicks use.
        clicker: the click half of the model.
        photo: the picture.
        result: to correct.
        edits: of the result.
        new: the clicks.
        number: of the instance, from 1; None takes the one under the first positive click, and adds
            one where there is none.
        reading: which of the three masks that a click may mean, from 1, the surest.

    Raises:
        InputError: there is no such instance or reading, or the clicks cannot be used.
    """
    count = len(result.instances)
    if number is not None and not 1 <= number <= count:
        raise InputError(f"there is no instance {number}; the result has 1 to {count}")
    if number is None:
        number = _under(result, new)
    before = edits.clicks.get(number, ())
    mask = None
    if number <= count:
        packed = result.instances[number - 1].mask
        mask = decode_mask(packed.size, packed.counts)
    found = clicker.segment(segmenter.encode(photo), (*before, *new), mask=mask)
    if not 1 <= reading <= len(found.masks):
        raise InputError(f"there is no reading {reading}; a click has 1 to {len(found.masks)}")
    chosen = found.masks[[reading - 1]]
    box = tight_box(chosen[0])
    if box is None:
        raise InputError("nothing is left of the instance", "click on it once more, or undo")
    one = _instance(chosen, box, float(found.scores[reading - 1]))
    instances = [*result.instances]
    instances[number - 1 : number] = [one]
    scores = ", ".join(f"{score:.2f}" for score in found.scores)
    line = f"refine: {len(new)} clicks on instance {number}; readings {scores}, number {reading}"
    clicks = {**edits.clicks, number: (*before, *new)}
    return _changed(result, tuple(instances), line), replace(edits, clicks=clicks)


def _under(result: SegmentationResult, clicks: "tuple[Click, ...]") -> int:
    """Return the number of the instance under the first positive click, or of a new one."""
    first = next((one for one in clicks if one.positive), None)
    if first is None:
        raise InputError("nothing says which instance is meant", "give its number")
    x, y = (int(value) for value in first.point_xy)
    inside = 0 <= x < result.image.width and 0 <= y < result.image.height
    for number, one in enumerate(result.instances if inside else (), start=1):
        if decode_mask(one.mask.size, one.mask.counts)[y, x]:
            return number
    return len(result.instances) + 1


def _instance(masks: Masks, box: tuple[float, float, float, float], score: float) -> InstanceResult:
    packed = CompressedMask(size=masks.size_hw, counts=masks.counts[0])
    return InstanceResult(mask=packed, box=box, score=score, area=int(masks.areas[0]))


def _changed(
    result: SegmentationResult, instances: tuple[InstanceResult, ...], line: str
) -> SegmentationResult:
    return result.model_copy(
        update={
            "status": RunStatus.SELECTED if instances else RunStatus.NO_TARGET,
            "count": len(instances),
            "instances": instances,
            "trace": (*result.trace, line),
        }
    )
