"""Pictures of what was measured, with matplotlib (extra `bench`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from sam3i_agent.benchmarks.agent_pattern import AgentPattern
from sam3i_agent.benchmarks.growth import Growth
from sam3i_agent.benchmarks.simulated.error_sets import ERROR_SETS, NO_ERRORS, SWEEP
from sam3i_agent.benchmarks.simulated.questions import LEVELS
from sam3i_agent.benchmarks.simulated.rows import LanguageBench, Row, stops_paying_at
from sam3i_agent.benchmarks.speed.peers import Peers
from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.errors import ModelError

_OFFICIAL = "re-encode, one by one"
_OURS = "encode once, together"
_DRAWN_LOSSES = {
    "class_focal": "class, focal loss",
    "mask_dice": "masks, Dice loss",
    "presence": "presence, cross entropy",
}
_LABEL = 20
"""Characters in a line of what stands below a bar."""
_SMOOTHED_LINES = 35
"""Of the log, over which a point is the mean, or over those before it where they are fewer: every
kind of text has had its turn among them several times."""


def plot_agent_pattern(measured: AgentPattern, path: Path) -> None:
    """Draw seconds over phrases and over masks as a PNG.

    Raises:
        ModelError: matplotlib is not installed.
    """
    figure, (left, right) = _figure(2)
    counts = [one.phrases for one in measured.phrases]
    left.plot(counts, [one.official_s for one in measured.phrases], "o-", label=_OFFICIAL)
    left.plot(counts, [one.cold_s for one in measured.phrases], "o-", label=_OURS)
    left.plot(counts, [one.warm_s for one in measured.phrases], "o--", label="asked again")
    _finish(left, "noun phrases about one photo", counts, measured.model)
    counts = [one.masks for one in measured.verdicts]
    right.plot(counts, [one.official_s for one in measured.verdicts], "o-", label=_OFFICIAL)
    right.plot(counts, [one.together_s for one in measured.verdicts], "o-", label=_OURS)
    _finish(right, "masks verified", counts, "verdicts of a stand-in model")
    figure.savefig(path)


def plot_growth(measured: Growth, path: Path) -> None:
    """Draw the three kinds of growth as a PNG.

    Raises:
        ModelError: matplotlib is not installed.
    """
    figure, (left, middle, right) = _figure(3)
    counts = [one.instances for one in measured.instances]
    left.plot(counts, [one.seconds for one in measured.instances], "o-")
    megapixels = measured.instances[0].megapixels if measured.instances else 0
    _finish(left, "instances", counts, f"masks of {megapixels:g} megapixels")
    sizes = [one.megapixels for one in measured.photos]
    middle.plot(sizes, [one.seconds for one in measured.photos], "o-")
    _finish(middle, "megapixels", sizes, measured.model)
    clients = [one.clients for one in measured.clients]
    right.plot(clients, [one.one_by_one for one in measured.clients], "o-", label="one by one")
    right.plot(clients, [one.together for one in measured.clients], "o-", label="together")
    _finish(right, "clients", clients, measured.model)
    right.set_ylabel("requests per second")
    figure.savefig(path)


def plot_language(measured: LanguageBench, sweep: str, path: Path) -> None:
    """Draw gIoU over a swept error rate as a PNG, with the direct head as a line.

    Raises:
        ModelError: matplotlib is not installed.
    """
    figure, axes = _figure(2)
    for axis, level in zip(axes, LEVELS, strict=True):
        for route in RouteChoice:
            rows = [one for one in measured.rows if one.route is route]
            values = [one.of_level(level) for one in rows]
            if route is RouteChoice.DIRECT and values:
                axis.axhline(values[0].giou, color="grey", label="direct head")
            elif len(values) == len(SWEEP):
                axis.plot(SWEEP, [one.giou for one in values], "o-", label=str(route))
        rate = stops_paying_at(measured, level)
        said = "pays everywhere" if rate is None else f"stops paying at {rate:.2f}"
        axis.set_title(f"{level} instructions: {said}")
        axis.set_xlabel("factor over the rates" if sweep == "all" else f"error rate: {sweep}")
        axis.set_ylabel("gIoU, percent")
        axis.set_ylim(0, 100)
        axis.legend()
    figure.savefig(path)


def plot_ways(measured: LanguageBench, path: Path) -> None:
    """Draw gIoU and questions over the sets of error rates as a PNG: a line for each way.

    Raises:
        ModelError: matplotlib is not installed.
    """
    figure, (left, middle, right) = _figure(3)
    ways: dict[str, list[Row]] = {}
    for one in measured.rows:
        ways.setdefault(one.way, []).append(one)
    asked = [one for one in measured.rows if one.route is not RouteChoice.DIRECT]
    sets = list(dict.fromkeys(one.error_set for one in asked or measured.rows))
    for name, rows in ways.items():
        at = [sets.index(one.error_set) for one in rows if one.error_set in sets]
        for axis, level in ((left, LEVELS[0]), (middle, LEVELS[1])):
            values = [one.of_level(level).giou for one in rows]
            if rows[0].route is RouteChoice.DIRECT:
                axis.axhline(values[0], color="grey", label="direct head")
            else:
                axis.plot(at, values, "o-", label=name)
        if rows[0].route is not RouteChoice.DIRECT:
            right.plot(at, [one.calls for one in rows], "o-", label=name)
    for axis, level in ((left, LEVELS[0]), (middle, LEVELS[1])):
        axis.axhline(measured.oracle[level], color="grey", ls=":", label="best union of candidates")
    titles = (*(f"gIoU of {level} texts, percent" for level in LEVELS), "questions for each text")
    named = [
        one if one in ERROR_SETS or one == NO_ERRORS else f"set {i}"
        for i, one in enumerate(sets, start=1)
    ]
    for axis, title, top in zip((left, middle, right), titles, (100, 100, None), strict=True):
        axis.set(title=title, xlabel="errors of the model", xticks=range(len(sets)))
        axis.set_xticklabels(named, rotation=20)
        axis.set_ylim(0, top)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(path)


def plot_peers(measured: Peers, path: Path) -> None:
    """Draw seconds of each case on each side, as shares of stock with features kept, as a PNG.

    Raises:
        ModelError: matplotlib is not installed.
    """
    figure, axis = _figure(1)
    figure.set_size_inches(9, 4)
    places = range(len(measured.cases))
    axis.bar(places, [one.to_kept for one in measured.cases], width=0.6, label="sam3i")
    axis.axhline(1, color="grey", label="stock, vision features kept")
    for place, one in zip(places, measured.cases, strict=True):
        said = (
            f"{one.to_kept:.2f}"
            if one.to_anew is None
            else f"{one.to_kept:.2f}\n({one.to_anew:.2f} of anew)"
        )
        axis.annotate(said, (place, one.to_kept), ha="center", va="bottom")
    axis.set_xticks(places, [fill(one.case, _LABEL) for one in measured.cases], fontsize=8)
    axis.set(
        ylabel="time, as a share", title=f"{measured.model} px, {measured.dtype}, {measured.device}"
    )
    axis.set_ylim(0, 1.4)
    axis.legend(loc="upper right")
    figure.savefig(path)


def plot_training(runs: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw the losses that tell most over the steps as a PNG: a line for each run.

    Args:
        runs: what each logged, by its name; `training.log.read_log` reads it.
        path: the file to write.

    Raises:
        ModelError: matplotlib is not installed.
    """
    figure, axes = _figure(len(_DRAWN_LOSSES))
    for axis, (loss, title) in zip(axes, _DRAWN_LOSSES.items(), strict=True):
        for name, lines in runs.items():
            logged = [(line["step"], line[loss]) for line in lines if loss in line]
            steps, values = np.array(logged).reshape(-1, 2).T
            if len(values):
                sums = np.convolve(values, np.ones(_SMOOTHED_LINES))[: len(values)]
                counts = np.arange(1, len(values) + 1).clip(max=_SMOOTHED_LINES)
                axis.plot(steps, sums / counts, label=name)
        axis.set(title=title, xlabel="step")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(path)


def _figure(count: int) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModelError(
            "plots need matplotlib", "install the extra: pip install 'sam3i-agent[bench]'"
        ) from error
    figure = Figure(figsize=(5 * count, 4), dpi=120, layout="constrained")
    return figure, figure.subplots(1, count)


def _finish(axes: Any, what: str, ticks: Sequence[float], title: str) -> None:
    axes.set(xlabel=what, ylabel="seconds", title=title, xticks=ticks)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
