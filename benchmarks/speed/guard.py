"""Ratios of speed, each within one run, beside those that were written down: for before a release.

Small models, so that all of it takes about two minutes. What is compared are ratios, of the
processor's time where this process works: another machine, or one that is busy, moves both sides.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from PIL import Image
from pydantic import TypeAdapter, ValidationError

from sam3i_agent.benchmarks.agent_pattern import measure_agent_pattern
from sam3i_agent.benchmarks.random_models import small_segmenter
from sam3i_agent.benchmarks.speed.cold_start import measure_cold_start
from sam3i_agent.benchmarks.speed.parts import GuardPart
from sam3i_agent.benchmarks.speed.peers import (
    CASES,
    measure_peers,
    one_thread,
    processor_time,
)
from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.errors import InputError
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

_SERIES = 931
_TOLERANCE = 0.25
"""Of a ratio that is new."""
_LARGE_MEGAPIXELS = 2
_VERDICTS, _LATENCY_S = 16, 1.0
_TURNS = 2
"""Of one phrase: the rest takes many times as long and is measured once."""


class Expected(Frozen):
    """A ratio that was measured, and how much more is still no regression."""

    value: float
    tolerance: float
    """A share of the value: 0.2 lets it be a fifth more."""


class Verdict(Frozen):
    """One ratio; less is faster."""

    name: str
    ratio: float
    expected: Expected | None
    """None of one that nobody has written down."""

    @property
    def limit(self) -> float | None:
        """The largest ratio that is no regression."""
        one = self.expected
        return None if one is None else one.value * (1 + one.tolerance)

    @property
    def regressed(self) -> bool:
        """Whether it is above its limit."""
        return self.limit is not None and self.ratio > self.limit


class Guard(Frozen):
    """What `sam3i bench guard` measured."""

    verdicts: list[Verdict]

    @property
    def regressions(self) -> list[str]:
        """Names of the ratios that are above their limits."""
        return [one.name for one in self.verdicts if one.regressed]


_EXPECTED = TypeAdapter(dict[str, Expected])


def read_expected(path: Path | None = None) -> dict[str, Expected]:
    """Return the ratios of a file by name.

    Args:
        path: of the file; None takes the one in the repository.

    Raises:
        InputError: it cannot be read.
    """
    source = files("sam3i_agent.benchmarks").joinpath("expected.json") if path is None else path
    try:
        return _EXPECTED.validate_json(source.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{source} holds no expected ratios: {error}") from error


def measure_guard(
    parts: Sequence[GuardPart],
    expected: Mapping[str, Expected],
    advance: Callable[[], None],
) -> Guard:
    """Measure the ratios of some parts and set each beside the one expected.

    Args:
        parts: which.
        expected: by name.
        advance: called after each part.

    Raises:
        ModelError: a process of the cold start failed.
    """
    ratios: dict[str, float] = {}
    for part in parts:
        match part:
            case GuardPart.PEERS:
                ratios |= _peers()
            case GuardPart.VERDICTS:
                ratios |= _verdicts()
            case GuardPart.COLD_START:
                ratios |= _cold_start()
        advance()
    return Guard(
        verdicts=[
            Verdict(name=name, ratio=ratio, expected=expected.get(name))
            for name, ratio in ratios.items()
        ]
    )


def as_expected(guard: Guard, expected: Mapping[str, Expected]) -> str:
    """Return the JSON of a file of expected ratios with the measured ones in it.

    Args:
        guard: what was measured.
        expected: ratios of before, whose tolerances stay, and which stay where not measured again.
    """
    measured = {
        one.name: Expected(
            value=one.ratio,
            tolerance=_TOLERANCE if one.expected is None else one.expected.tolerance,
        )
        for one in guard.verdicts
    }
    return _EXPECTED.dump_json({**expected, **measured}, indent=2).decode() + "\n"


def table_of(guard: Guard) -> str:
    """Return a table of Markdown with a line about what to do."""
    lines = ["| | ratio | expected | at most | |", "|---|---|---|---|---|"]
    for one in guard.verdicts:
        if one.expected is None or one.limit is None:
            lines.append(f"| {one.name} | {one.ratio:.2f} | – | – | not written down |")
            continue
        word = "**slower**" if one.regressed else "ok"
        lines.append(
            f"| {one.name} | {one.ratio:.2f} | {one.expected.value:.2f} | {one.limit:.2f} | "
            f"{word} |"
        )
    if found := guard.regressions:
        names = "; ".join(found)
        lines += [
            "",
            f"{len(found)} of {len(guard.verdicts)} ratios are above their limit: {names}",
        ]
    return "\n".join(lines)


def _peers() -> dict[str, float]:
    with one_thread():
        return _ratios_to_peers(small_segmenter())


def _ratios_to_peers(segmenter: Sam3Segmenter) -> dict[str, float]:
    ratios: dict[str, float] = {}
    for name, case in CASES.items():
        turns = _TURNS if name == "one" else 1
        measured = measure_peers(
            segmenter, [name], turns, lambda: None, _LARGE_MEGAPIXELS, processor_time
        )
        (one,) = measured.cases
        ratios[f"{case.name}, to stock with features kept"] = one.to_kept
        if one.to_anew is not None:
            ratios[f"{case.name}, to stock anew"] = one.to_anew
    return ratios


def _verdicts() -> dict[str, float]:
    segmenter = load_segmenter(device="cpu")
    measured = measure_agent_pattern(segmenter, [1], [_VERDICTS], _LATENCY_S, 1, lambda: None)
    (one,) = measured.verdicts
    ratio = round(one.together_s / one.latency_s, 3)
    return {f"{_VERDICTS} masks verified, in latencies of one": ratio}


def _cold_start() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "scene.png")
        Image.fromarray(generate_scene(_SERIES, 0).image).save(photo)
        cold = measure_cold_start(photo, "the red square", 1, lambda: None)
    library = cold.library
    return {
        "sam3i segment, to the library imported": cold.cpu_ratio,
        "sam3i segment --server, to the library imported": round(
            cold.server.cpu_s / library.cpu_s, 3
        ),
    }
