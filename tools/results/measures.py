"""Sizes, places and overlaps of a result's instances."""

from collections.abc import Sequence

import numpy as np

from sam3i_agent.core.masks import mask_ious
from sam3i_agent.tools.results.outputs import Measurement, MeasureOutput, Overlap
from sam3i_agent.tools.results.pictures import check_numbers
from sam3i_agent.tools.results.store import StoredResult
from sam3i_agent.tools.results.wording import whole_box

MAX_MEASURED = 200
"""Instances in one answer."""
MAX_OVERLAPS = 20
"""The largest of them."""


def measure(stored: StoredResult, instances: Sequence[int] = ()) -> MeasureOutput:
    """Measure instances of a result.

    Args:
        stored: the result.
        instances: their numbers, from 1; none means the first `MAX_MEASURED`.

    Raises:
        InputError: there is no such instance.
    """
    numbers = check_numbers(stored.result, instances)[:MAX_MEASURED]
    result = stored.result
    masks = result.masks()[[number - 1 for number in numbers]]
    pixels = result.image.width * result.image.height
    measured = [
        Measurement(
            number=number,
            phrase=stored.label(number) if stored.concepts else None,
            box=whole_box(result.instances[number - 1]),
            area=result.instances[number - 1].area,
            share_of_image=round(result.instances[number - 1].area / pixels, 4),
            centre=_centre_of_mass(mask),
        )
        for number, mask in zip(numbers, masks, strict=True)
    ]
    overlaps: list[Overlap] = []
    ious = mask_ious(masks, masks)
    pairs = np.argwhere(np.triu(ious, 1)).tolist()
    for i, j in sorted(pairs, key=lambda pair: -ious[pair[0], pair[1]])[:MAX_OVERLAPS]:
        shared = int(np.logical_and(masks[i], masks[j]).sum())
        iou = round(float(ious[i, j]), 4)
        overlaps.append(Overlap(numbers=[numbers[i], numbers[j]], iou=iou, shared_pixels=shared))
    return MeasureOutput(
        result_id=stored.id,
        count=result.count,
        covered_share=round(float(result.masks().union().sum()) / pixels, 4),
        instances=measured,
        overlaps=overlaps,
    )


def measure_text(output: MeasureOutput) -> str:
    """Return measures in a line for each instance and overlap."""
    lines = [
        f"{output.count} instances cover {output.covered_share:.2%} of the picture "
        f"(result_id {output.result_id})"
    ]
    for one in output.instances:
        label = f"{one.phrase}, " if one.phrase else ""
        x, y = one.centre
        lines.append(
            f"  {one.number}: {label}box {one.box}, {one.area} px, "
            f"{one.share_of_image:.2%} of the picture, centre {x:.0f}, {y:.0f}"
        )
    if output.count > len(output.instances):
        lines.append("  for others, give their numbers as instances")
    lines += [
        f"  {one.numbers[0]} and {one.numbers[1]} share {one.shared_pixels} px, IoU {one.iou:.2f}"
        for one in output.overlaps
    ]
    return "\n".join(lines)


def _centre_of_mass(mask: np.ndarray) -> list[float]:
    rows, columns = np.nonzero(mask)
    return [round(float(columns.mean()) + 0.5, 1), round(float(rows.mean()) + 0.5, 1)]
