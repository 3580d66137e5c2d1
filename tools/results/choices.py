"""Several instances where one was meant: in words to choose from, and what is left of them."""

from sam3i_agent.core.contracts import InstanceResult, SegmentationResult
from sam3i_agent.core.results import with_instances, with_warning
from sam3i_agent.tools.results.wording import place_of

ALL = "all of them"


def choices_of(result: SegmentationResult) -> list[str]:
    """Return one line for each instance: its number on the overlay, place and size."""
    return [
        f"{number}: {place_of(one.box, result.image)}, {_size(one)}"
        for number, one in enumerate(result.instances, start=1)
    ]


def narrow(result: SegmentationResult, chosen: int | None, why_not: str) -> SegmentationResult:
    """Keep what was chosen.

    Args:
        result: with all that fit.
        chosen: position among its instances; None keeps all, with a warning.
        why_not: why there is no choice, for the warning.
    """
    count = result.count
    if chosen is None:
        said = f"ambiguous: the words mean one thing and {count} fit; {why_not}"
        return with_warning(result, said)
    line = f"user: number {chosen + 1} of {count}"
    return with_instances(result, (result.instances[chosen],), line)


def _size(one: InstanceResult) -> str:
    x0, y0, x1, y1 = one.box
    return f"{x1 - x0:.0f} x {y1 - y0:.0f} pixels"
