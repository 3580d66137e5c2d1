"""Corrections of a result: example boxes (more like this, not this) and clicks on one instance.

Results do not change: each correction makes a new one, so the id of an earlier one undoes it.
"""

import time
from dataclasses import dataclass, field, replace

from sam3i_agent.agent.requests import make_request
from sam3i_agent.core.contracts import SegmentationResult, SegmentRequest, Usage
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Exemplar
from sam3i_agent.core.results import instance_of, with_instances
from sam3i_agent.core.rle import decode_mask, tight_box
from sam3i_agent.segmodel.segmenter import Segmenter


@dataclass(frozen=True)
class Edits:
    """What has been corrected since the instruction was answered."""

    exemplars: tuple[Exemplar, ...] = ()
    clicks: dict[int, tuple[Click, ...]] = field(default_factory=dict)
    """By the instance's number."""


NO_EDITS = Edits()


def request_with_exemplars(
    photo: Photo, result: SegmentationResult, edits: Edits, new: tuple[Exemplar, ...]
) -> tuple[SegmentRequest, Edits]:
    """Return the request whose answer corrects `result`: its words, with all examples given so far.

    Raises:
        InputError: a box is given both as more like this and as not this.
    """
    exemplars = (*edits.exemplars, *new)
    return make_request(photo, result.instruction, exemplars=exemplars), Edits(exemplars)


def refine_by_clicks(
    segmenter: Segmenter,
    photo: Photo,
    result: SegmentationResult,
    edits: Edits,
    new: tuple[Click, ...],
    number: int | None,
    reading: int = 1,
) -> tuple[SegmentationResult, Edits]:
    """Correct one instance, or add one.

    Args:
        segmenter: that takes clicks.
        photo: the picture.
        result: to correct.
        edits: of the result.
        new: the clicks.
        number: of the instance, from 1; None takes the one under the first positive click, and adds
            one where there is none.
        reading: which of the three masks that a click may mean, from 1, the surest.

    Raises:
        InputError: there is no such instance or reading, or the clicks cannot be used.
        ModelError: the segmenter takes no clicks.
    """
    started, count = time.perf_counter(), len(result.instances)
    if number is not None and not 1 <= number <= count:
        raise InputError(f"there is no instance {number}; the result has 1 to {count}")
    if number is None:
        number = _under(result, new)
    before = edits.clicks.get(number, ())
    mask = None
    if number <= count:
        packed = result.instances[number - 1].mask
        mask = decode_mask(packed.size, packed.counts)
    found = segmenter.click(photo, (*before, *new), mask=mask)
    if not 1 <= reading <= len(found.masks):
        raise InputError(f"there is no reading {reading}; a click has 1 to {len(found.masks)}")
    chosen = found.masks[[reading - 1]]
    box = tight_box(chosen[0])
    if box is None:
        raise InputError("nothing is left of the instance", "click on it once more, or undo")
    one = instance_of(chosen, box, float(found.scores[reading - 1]))
    instances = [*result.instances]
    instances[number - 1 : number] = [one]
    scores = ", ".join(f"{score:.2f}" for score in found.scores)
    line = f"refine: {len(new)} clicks on instance {number}; readings {scores}, number {reading}"
    clicks = {**edits.clicks, number: (*before, *new)}
    changed = with_instances(
        result,
        instances,
        line,
        presence=max(result.presence, one.score),
        usage=Usage(seconds=round(time.perf_counter() - started, 4)),
    )
    return changed, replace(edits, clicks=clicks)


def _under(result: SegmentationResult, clicks: tuple[Click, ...]) -> int:
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
