"""The report of a comparison: one HTML file without network, JSON, and a Markdown table."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from sam3i_agent.core.drawing import draw_marks
from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import read_photo
from sam3i_agent.evaluation.compare.scoring import Failure, Scored
from sam3i_agent.evaluation.compare.statistics import Comparison, Summary

HTML_NAME = "report.html"
JSON_NAME = "report.json"
MARKDOWN_NAME = "report.md"
EXAMPLES = 24
PICTURE_SIDE = 320
_JPEG_QUALITY = 80
_PLOT = {"left": 50.0, "right": 390.0, "top": 20.0, "bottom": 230.0}


def write_report(
    comparison: Comparison, settings: Mapping[str, str], images: Path, out: Path
) -> Path:
    """Write the three files and return the HTML one.

    Args:
        comparison: what to report.
        settings: dataset, model and language side, as shown at its head.
        images: folder of the photos.
        out: folder to write to.

    Raises:
        StorageError: it cannot be written.
    """
    html = _html(comparison, settings, images)
    try:
        (out / HTML_NAME).write_text(html, "utf-8")
        (out / JSON_NAME).write_text(json.dumps(_as_json(comparison, settings), indent=2), "utf-8")
        (out / MARKDOWN_NAME).write_text(markdown_table(comparison), "utf-8")
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
    return out / HTML_NAME


def markdown_table(comparison: Comparison) -> str:
    """Return the main numbers for a paper."""
    lines = [
        "| level | route | cases | gIoU (95 %) | cIoU | P@0.50 | cgF1@0.5 | s per case |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in comparison.summaries:
        lines.append(
            f"| {one.level} | {one.route} | {one.cases} | {one.giou.value:.1f} "
            f"({one.giou.low:.1f} to {one.giou.high:.1f}) | {one.metrics['cIoU']:.1f} | "
            f"{one.metrics['P@0.50']:.1f} | {one.metrics['cgF1@0.5']:.1f} | "
            f"{one.costs['seconds']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def reading(comparison: Comparison) -> list[str]:
    """Return what the differences mean, one sentence per level."""
    found: dict[str, list[str]] = {}
    for level, one in comparison.differences:
        if one.significant:
            better, worse = (one.route, one.other) if one.giou.value > 0 else (one.other, one.route)
            said = f"{better} beats {worse} by {abs(one.giou.value):.1f} points of gIoU"
        else:
            said = f"{one.route} and {one.other} do not differ significantly"
        found.setdefault(level, []).append(said)
    sentences = [f"On {level} texts {', '.join(said)}." for level, said in found.items()]
    return sentences or ["Only one route was run."]


def _as_json(comparison: Comparison, settings: Mapping[str, str]) -> dict[str, Any]:
    return {
        "settings": dict(settings),
        "reading": reading(comparison),
        "summaries": [asdict(one) for one in comparison.summaries],
        "differences": [
            {"level": level, **asdict(one), "significant": one.significant}
            for level, one in comparison.differences
        ],
    }


def _html(comparison: Comparison, settings: Mapping[str, str], images: Path) -> str:
    source = files("sam3i_agent.evaluation.compare").joinpath("report.html.j2").read_text("utf-8")
    published = json.loads(
        files("sam3i_agent.evaluation.compare").joinpath("published.json").read_text("utf-8")
    )
    names = {name: None for one in comparison.summaries for name in one.metrics if name != "gIoU"}
    failures = [
        str(name) for name in Failure if any(name in one.failures for one in comparison.summaries)
    ]
    everything = [one for some in comparison.answers.values() for one in some]
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    return template.render(
        reading=reading(comparison),
        settings=settings,
        cases=len({one.case.id for one in everything}),
        images=len({one.case.record.file_name for one in everything}),
        summaries=comparison.summaries,
        differences=comparison.differences,
        metric_names=list(names),
        cost_names=list(comparison.summaries[0].costs),
        failure_names=failures,
        plots=_plots(comparison.summaries),
        examples=[_example(some, images) for some in _most_different(everything)],
        published=published,
    )


def _plots(summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    most = max(one.costs["seconds"] for one in summaries)
    levels = dict.fromkeys(one.level for one in summaries)
    return [
        _plot(level, [one for one in summaries if one.level == level], most) for level in levels
    ]


def _plot(level: str, summaries: Sequence[Summary], most_seconds: float) -> dict[str, Any]:
    """Return where the dots of one level's plot lie, on an axis that all levels share."""
    most = most_seconds * 1.25 or 1.0
    width, height = _PLOT["right"] - _PLOT["left"], _PLOT["bottom"] - _PLOT["top"]

    def x(seconds: float) -> float:
        return round(_PLOT["left"] + width * seconds / most, 1)

    def y(percent: float) -> float:
        return round(_PLOT["bottom"] - height * percent / 100, 1)

    ordered = sorted(summaries, key=lambda one: one.costs["seconds"])
    return {
        "level": level,
        "x_ticks": [{"at": x(most * i / 4), "label": f"{most * i / 4:.2g}"} for i in range(5)],
        "y_ticks": [{"at": y(value), "label": value} for value in range(0, 101, 20)],
        "dots": [
            {
                "x": x(one.costs["seconds"]),
                "y": y(one.giou.value),
                "low": y(one.giou.low),
                "high": y(one.giou.high),
                "label": str(one.route),
                # Above and below in turn, so that neighbours' names do not meet.
                "label_y": y(one.giou.high) - 8 if index % 2 else y(one.giou.low) + 16,
            }
            for index, one in enumerate(ordered)
        ],
    }


def _most_different(answers: Sequence[Scored]) -> list[list[Scored]]:
    """Return the cases whose routes' IoUs are farthest apart, each with all its answers."""
    by_case: dict[str, list[Scored]] = {}
    for one in answers:
        by_case.setdefault(one.case.id, []).append(one)

    def spread(some: list[Scored]) -> float:
        values = [one.iou for one in some]
        return max(values) - min(values)

    apart = [some for some in by_case.values() if spread(some) > 0]
    return sorted(apart, key=spread, reverse=True)[:EXAMPLES]


def _example(answers: list[Scored], images: Path) -> dict[str, Any]:
    case = answers[0].case
    pixels = read_photo(images / case.record.file_name).pixels
    size = (case.record.height, case.record.width)

    def picture(name: str, masks: Any, iou: float | None, failure: str | None) -> dict[str, Any]:
        marked = draw_marks(pixels, masks, max_side=PICTURE_SIDE, min_side=PICTURE_SIDE)
        buffer = io.BytesIO()
        marked.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
        data = base64.b64encode(buffer.getvalue()).decode()
        return {
            "name": name,
            "data": f"data:image/jpeg;base64,{data}",
            "iou": iou,
            "failure": failure,
        }

    pictures = [picture("truth", case.record.masks(), None, None)]
    for one in answers:
        masks = Masks(size, (mask.counts for mask in one.prediction.masks))
        pictures.append(picture(str(one.prediction.route), masks, one.iou, one.failure))
    steps = [{"name": str(one.prediction.route), "lines": one.prediction.trace} for one in answers]
    return {"text": case.text, "level": str(case.level), "pictures": pictures, "steps": steps}
