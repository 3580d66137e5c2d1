"""A result in plain words, for people and for models that read nothing else."""

from collections.abc import Sequence

from sam3i_agent.core.contracts import ImageInfo, InstanceResult, SegmentationResult
from sam3i_agent.tools.purpose import PHOTO_WARNING


def summarise(result: SegmentationResult, *, limit: int = 10) -> str:
    """Return a result in a few lines of plain words."""
    lines = [*cautions_of(result), head_of(result), *lines_of(result, limit=limit)]
    return "\n".join([*lines, *warnings_of(result)])


def cautions_of(result: SegmentationResult) -> list[str]:
    """Return what is to be read before a result: that it is not to be trusted."""
    return [f"warning: {PHOTO_WARNING}"] if PHOTO_WARNING in result.warnings else []


def warnings_of(result: SegmentationResult) -> list[str]:
    """Return a line for each other warning."""
    return [f"warning: {warning}" for warning in result.warnings if warning != PHOTO_WARNING]


def head_of(result: SegmentationResult) -> str:
    """Return how many were found, and by which route."""
    count = result.count
    asked = repr(result.instruction) if result.instruction else "what was pointed out"
    match result.status:
        case "selected":
            head = f"{count} instance{'s' if count != 1 else ''} of {asked}"
        case "no_target":
            head = f"nothing found for {asked} (presence {result.presence:.2f})"
        case "budget_exhausted":
            head = f"budget used up on {asked}; best so far: {count} instances"
        case _:
            head = f"could not work on {asked}"
    return f"{head} by the {result.route} route"


def lines_of(
    result: SegmentationResult, *, limit: int, labels: Sequence[str] | None = None
) -> list[str]:
    """Return a line for each instance: number, box in whole pixels, score, area and place.

    Args:
        result: whose instances.
        limit: of lines; one more says how many are left out.
        labels: what each is, where they differ.
    """
    lines: list[str] = []
    for number, one in enumerate(result.instances[:limit], start=1):
        label = f"{labels[number - 1]}, " if labels else ""
        where = f"box {whole_box(one)}, {place_of(one.box, result.image)}"
        lines.append(f"  {number}: {label}{where}, score {one.score:.2f}, {one.area} px")
    if result.count > len(lines):
        lines.append(f"  and {result.count - len(lines)} more")
    return lines


def whole_box(one: InstanceResult) -> list[int]:
    """Return x0, y0, x1, y1 of an instance in whole pixels."""
    return [round(side) for side in one.box]


def place_of(box: tuple[float, float, float, float], image: ImageInfo) -> str:
    """Return where in the picture the middle of a box is, by thirds: "top left", "centre"."""
    x0, y0, x1, y1 = box
    across = _third((x0 + x1) / 2 / image.width, ("left", "", "right"))
    down = _third((y0 + y1) / 2 / image.height, ("top", "", "bottom"))
    return " ".join(filter(None, (down, across))) or "centre"


def _third(position: float, names: tuple[str, str, str]) -> str:
    return names[min(2, int(position * 3))]
