"""The report of a comparison: one HTML file without network, JSON, and a Markdown table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sam3i_agent.core.errors import StorageError
from sam3i_agent.evaluation.compare.curves import cost_plots, curves
from sam3i_agent.evaluation.compare.pictures import Photos, example, most_different
from sam3i_agent.evaluation.compare.scoring import Failure, Scored
from sam3i_agent.evaluation.compare.significance import Difference
from sam3i_agent.evaluation.compare.statistics import (
    ALL_LEVELS,
    COSTS,
    NEAR,
    Comparison,
    Summary,
    best_ways,
)

HTML_NAME = "report.html"
JSON_NAME = "report.json"
MARKDOWN_NAME = "report.md"
EXAMPLES = 24
"""Cases with pictures, if not chosen otherwise."""
_NOTHING_KNOWN: Mapping[str, str] = {}
_FOLDER = files("sam3i_agent.evaluation.compare")
METRIC_TITLES = {
    "gIoU": "mean IoU of the united masks",
    "gIoU by text": "the same, each wording counting once",
    "cIoU": "IoU of all pixels together",
    "cgF1": "instances found where the target is, and silence where it is not; IoU 0.50:0.95",
    "positive_micro_F1": "instances found where the target is there; IoU 0.50:0.95",
    "IL_MCC": "whether the target is there (correlation)",
    "AP": "COCO, IoU 0.50:0.95",
    "AR@100": "COCO, IoU 0.50:0.95, up to 100 instances",
    "count accuracy": "as many instances as there are",
    "count MAE": "instances too many or too few",
    "right nothing": "silent where the target is absent",
}
"""What a metric says, in words."""
SMALLER_IS_BETTER = frozenset({"count MAE"})
SHOWN_COSTS = {
    "mllm_calls": ("questions", "%.2f"),
    "tokens": ("tokens", "%.0f"),
    "pictures": ("pictures", "%.2f"),
    "seconds": ("seconds", "%.3g"),
}
"""What stands beside quality: the heading and the format of a mean per case."""
COST_TITLES = {
    "seconds": "seconds",
    "image_encodings": "image encodings",
    "prompts": "prompts to the segmentation model",
    "mllm_calls": "calls to the language model",
    "tokens": "tokens of the language model",
    "pictures": "pictures for the language model",
    "rounds": "rounds of the agent",
}


def write_report(
    comparison: Comparison,
    settings: Mapping[str, str],
    images: Path,
    out: Path,
    *,
    provenance: Mapping[str, str] = _NOTHING_KNOWN,
    pictures: int = EXAMPLES,
) -> Path:
    """Write the three files and return the HTML one.

    Args:
        comparison: what to report.
        settings: dataset, model and language side, as shown at its head.
        images: folder of the photos.
        out: folder to write to.
        provenance: where the numbers come from, by name.
        pictures: how many cases have some, those that the routes differ most on.

    Raises:
        StorageError: it cannot be written.
    """
    html = _html(comparison, settings, provenance, images, pictures)
    content = _as_json(comparison, settings, provenance)
    try:
        (out / HTML_NAME).write_text(html, "utf-8")
        (out / JSON_NAME).write_text(json.dumps(content, indent=2), "utf-8")
        (out / MARKDOWN_NAME).write_text(markdown_table(comparison), "utf-8")
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
    return out / HTML_NAME


def markdown_table(comparison: Comparison) -> str:
    """Return the main numbers for a paper."""
    lines = [
        "| level | route | cases | gIoU (95 %) | cIoU | P@0.50 | cgF1@0.5 | questions | tokens "
        "| pictures | s per case |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in comparison.summaries:
        lines.append(
            f"| {one.level} | {one.route} | {one.cases} | {one.giou.value:.1f} "
            f"({one.giou.low:.1f} to {one.giou.high:.1f}) | {one.metrics['cIoU']:.1f} | "
            f"{one.metrics['P@0.50']:.1f} | {one.metrics['cgF1@0.5']:.1f} | "
            f"{_cost(one, 'mllm_calls')} | {_cost(one, 'tokens')} | {_cost(one, 'pictures')} | "
            f"{_seconds(one)} |"
        )
    return "\n".join(lines) + "\n"


def _cost(summary: Summary, name: str) -> str:
    return SHOWN_COSTS[name][1] % summary.costs[name] if summary.costs else ""


def _seconds(summary: Summary) -> str:
    return f"{summary.costs['seconds']:.3f}" if summary.costs else ""


def reading(comparison: Comparison) -> list[str]:
    """Return what the differences mean, one sentence per level."""
    by_level: dict[str, list[Difference]] = {}
    for level, one in comparison.differences:
        by_level.setdefault(level, []).append(one)
    sentences = [f"On {level} texts {_sentence(some)}." for level, some in by_level.items()]
    return sentences or ["Only one route was run."]


def _sentence(differences: Sequence[Difference]) -> str:
    said: list[str] = []
    for one in differences:
        if one.significant:
            better, worse = (one.route, one.other) if one.giou.value > 0 else (one.other, one.route)
            said.append(f"{better} beats {worse} by {abs(one.giou.value):.1f} points of gIoU")
    if not said and len(differences) == 1:
        return f"{differences[0].route} and {differences[0].other} do not differ significantly"
    if len(said) < len(differences):
        said.append(
            "no other difference is significant" if said else "no routes differ significantly"
        )
    return ", ".join(said)


def _as_json(
    comparison: Comparison, settings: Mapping[str, str], provenance: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "settings": dict(settings),
        "provenance": dict(provenance),
        "reading": reading(comparison),
        "summaries": [asdict(one) for one in comparison.summaries],
        "overall": [asdict(one) for one in comparison.overall],
        "kinds": [asdict(one) for one in comparison.kinds],
        "best_ways": [asdict(one) for one in best_ways(comparison.kinds)],
        "differences": [
            {"level": level, **asdict(one), "significant": one.significant}
            for level, one in comparison.differences
        ],
        "overall_differences": [
            {**asdict(one), "significant": one.significant}
            for one in comparison.overall_differences
        ],
    }


def _html(
    comparison: Comparison,
    settings: Mapping[str, str],
    provenance: Mapping[str, str],
    images: Path,
    pictures: int,
) -> str:
    everything = [one for some in comparison.answers.values() for one in some]
    photos = Photos(images)
    examples = [example(some, photos) for some in most_different(everything, pictures)]
    routes = list(dict.fromkeys(str(one.prediction.route) for one in everything))
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(_text("report.html.j2")).render(
        style=Markup(_text("report.css")),
        script=Markup(_text("report.js")),
        reading=reading(comparison),
        settings=settings,
        provenance=provenance,
        cases=len({one.case.id for one in everything}),
        images=len({one.case.record.file_name for one in everything}),
        tables=[_table(level, some) for level, some in comparison.by_level().items()],
        differences=[
            *comparison.differences,
            *(("all", one) for one in comparison.overall_differences),
        ],
        ways=_ways(comparison, routes),
        kinds=_kinds(comparison, routes),
        routes=routes,
        failures=_failures(comparison),
        cost_plots=cost_plots(comparison),
        curves=curves(comparison),
        examples=examples,
        photos=photos.data,
        data=_embedded(
            {
                "routes": routes,
                "cases": _case_rows(everything, routes),
                "examples": [
                    {key: one[key] for key in ("id", "size", "layers")} for one in examples
                ],
            }
        ),
        near=f"{NEAR:g}",
        published=json.loads(_text("published.json")),
    )


def _text(name: str) -> str:
    return _FOLDER.joinpath(name).read_text("utf-8")


def _embedded(value: Any) -> Markup:
    """Return JSON that can stand in a page: no text in it can end the element it stands in."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c"))


def _table(level: str, summaries: Sequence[Summary]) -> dict[str, Any]:
    """Return a level's metrics and costs as rows, with a cell for each route."""
    names = dict.fromkeys(name for one in summaries for name in one.metrics)
    # A route that answered fewer cases, as a file may, is not measured on the same.
    full = [one.cases == max(some.cases for some in summaries) for one in summaries]
    rows = [
        _row(
            name,
            METRIC_TITLES.get(name, ""),
            [one.metrics.get(name) for one in summaries],
            full,
            better=min if name in SMALLER_IS_BETTER else max,
        )
        for name in names
    ]
    costs = [
        {
            **_row(
                COST_TITLES[name], "", [one.costs.get(name) for one in summaries], full, better=min
            ),
            "digits": "%.0f" if name == "tokens" else "%.3g",
        }
        for name in COSTS
    ]
    return {
        "level": level,
        "summaries": summaries,
        "rows": rows,
        "costs": costs if any(one.costs for one in summaries) else [],
    }


def _row(
    name: str, title: str, values: list[float | None], comparable: list[bool], better: Any
) -> dict[str, Any]:
    pairs = list(zip(values, comparable, strict=True))
    known = [value for value, fair in pairs if fair and value is not None]
    best = better(known, default=None)
    marked = len(set(known)) > 1  # where all are alike, none is best
    cells = [{"value": value, "best": marked and fair and value == best} for value, fair in pairs]
    return {"name": name, "title": title, "cells": cells}


def _ways(comparison: Comparison, routes: Sequence[str]) -> dict[str, Any]:
    """Return a row per route: gIoU of each level, and what a case costs."""
    levels = [level for level in comparison.by_level() if level != ALL_LEVELS]
    by_level = {
        level: {str(one.route): one for one in some}
        for level, some in comparison.by_level().items()
    }
    overall = by_level.get(ALL_LEVELS) or by_level[levels[0]]
    shown = [level for level in by_level if level != ALL_LEVELS or len(levels) > 1]
    columns = [
        _row(level, "", [_giou(by_level[level].get(route)) for route in routes],
             _answered_all(by_level[level], routes), better=max)
        for level in shown
    ]  # fmt: skip
    fair = _answered_all(overall, routes)
    costs = [
        _row(title, "", [_mean(overall.get(route), name) for route in routes], fair, better=min)
        for name, (title, _) in SHOWN_COSTS.items()
    ]
    formats = ["%.1f"] * len(columns) + [digits for _, digits in SHOWN_COSTS.values()]
    every = [*columns, *costs]
    return {
        "names": [
            "gIoU, all" if one["name"] == ALL_LEVELS else f"gIoU, {one['name']}" for one in columns
        ]
        + [one["name"] for one in costs],
        "rows": [
            {
                "route": route,
                "cells": [
                    {**one["cells"][index], "digits": digits}
                    for one, digits in zip(every, formats, strict=True)
                ],
            }
            for index, route in enumerate(routes)
        ],
    }


def _answered_all(summaries: Mapping[str, Summary], routes: Sequence[str]) -> list[bool]:
    most = max(one.cases for one in summaries.values())
    return [route in summaries and summaries[route].cases == most for route in routes]


def _giou(summary: Summary | None) -> float | None:
    return None if summary is None else summary.giou.value


def _mean(summary: Summary | None, name: str) -> float | None:
    return None if summary is None else summary.costs.get(name)


def _kinds(comparison: Comparison, routes: Sequence[str]) -> list[dict[str, Any]]:
    found = {(one.kind, one.route): one for one in comparison.kinds}
    ways = {one.kind: one for one in best_ways(comparison.kinds)}
    rows: list[dict[str, Any]] = []
    for kind in sorted({one.kind for one in comparison.kinds}):
        some = [found.get((kind, route)) for route in routes]
        values = [None if one is None else one.giou.value for one in some]
        most = max(one.cases for one in some if one is not None)
        full = [one is not None and one.cases == most for one in some]
        row = _row(kind, "", values, full, better=max)
        for cell, one in zip(row["cells"], some, strict=True):
            cell["giou"] = None if one is None else one.giou
        rows.append({**row, "cases": most, "way": ways[kind]})
    return rows


def _failures(comparison: Comparison) -> dict[str, Any]:
    summaries = [one for some in comparison.by_level().values() for one in some]
    names = [str(one) for one in Failure if any(one in some.failures for some in summaries)]
    return {"names": names, "summaries": summaries}


def _case_rows(answers: Sequence[Scored], routes: Sequence[str]) -> list[list[Any]]:
    """Return a short row per case: id, level, kind, text, file, and IoU and failure by route."""
    rows: dict[str, list[Any]] = {}
    for one in answers:
        case = one.case
        row = rows.setdefault(
            case.id,
            [
                case.id,
                str(case.level),
                case.record.kinds.get(case.level, ""),
                case.text,
                case.record.file_name,
                *([None, ""] * len(routes)),
            ],
        )
        at = 5 + 2 * routes.index(str(one.prediction.route))
        row[at : at + 2] = [round(one.iou, 3), str(one.failure or "")]
    return list(rows.values())
