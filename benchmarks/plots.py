"""Pictures of what was measured, with matplotlib (extra `bench`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sam3i_agent.benchmarks.agent_pattern import AgentPattern
from sam3i_agent.benchmarks.growth import Growth
from sam3i_agent.core.errors import ModelError

_OFFICIAL = "re-encode, one by one"
_OURS = "encode once, together"


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
