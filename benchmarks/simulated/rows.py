"""Rows of the table: a route under a set of error rates, kept in a file as they are finished."""

from pathlib import Path

from pydantic import ValidationError

from sam3i_agent.benchmarks.simulated.error_sets import NO_ERRORS, SWEEP
from sam3i_agent.benchmarks.simulated.questions import LEVELS
from sam3i_agent.core.contracts import Frozen, RouteChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel


class LevelRow(Frozen):
    """How the texts of one level fared."""

    giou: float
    """Mean IoU of the united masks, percent; nothing found where nothing is meant counts 100."""
    refused: float | None
    """Of the texts that mean nothing, percent that got nothing; None where each means something."""
    records: int


class Row(Frozen):
    """One route under one set of error rates."""

    route: RouteChoice
    language: str = ""
    """Name of the language model; empty for the simulated one, and where none is asked."""
    error_set: str = NO_ERRORS
    """Name of the set of error rates."""
    errors: dict[str, float | bool]
    simple: LevelRow
    complex: LevelRow
    calls: float
    """Questions to the language model for each text, retries included."""
    tokens: float
    pictures: float
    rounds: float
    seconds: float
    """Of each text, its photo encoded already."""
    endings: dict[str, int]
    """How many runs ended in which status."""

    def of_level(self, level: InstructionLevel) -> LevelRow:
        """Return how the texts of one level fared."""
        return self.simple if level is InstructionLevel.SIMPLE else self.complex

    @property
    def way(self) -> str:
        """The route, and who proposes on it where that is a real model."""
        return f"{self.route} {self.language}".rstrip()


class Measured(Frozen):
    """What rows are of."""

    model: str
    series: int
    scenes: int
    prompts: str
    use_head: bool = True
    text_only: bool = False
    oracle: dict[str, float]
    """By level: gIoU of the best union out of all that any run had for candidates, percent. It
    tells weights of the same name apart."""


class LanguageBench(Measured):
    """The table."""

    rows: list[Row]


class FinishedRows:
    """Rows that an earlier call has measured, in a file of JSON Lines.

    Args:
        path: of the file; its first line says what the rows are of. None keeps nothing.
        measured: what rows are wanted of.

    Raises:
        InputError: the file holds something else, or rows of something else.
    """

    def __init__(self, path: Path | None, measured: Measured) -> None:
        self._path = path
        self._rows: dict[tuple[str, str, str], Row] = {}
        if path is None:
            return
        if not path.exists():
            path.write_text(measured.model_dump_json() + "\n")
            return
        lines = path.read_text().splitlines()
        try:
            of = Measured.model_validate_json(lines[0])
            rows = [Row.model_validate_json(line) for line in lines[1:]]
        except (IndexError, ValidationError) as error:
            raise InputError(f"{path} holds no rows of this command", "name another") from error
        if of != measured:
            raise InputError(
                f"{path} holds rows of other weights, scenes or settings", "name another file"
            )
        self._rows = {self._key(one): one for one in rows}

    def find(
        self, route: RouteChoice, language: str, errors: dict[str, float | bool]
    ) -> Row | None:
        """Return a finished row; None where it is still to be measured."""
        return self._rows.get((route, language, str(sorted(errors.items()))))

    def add(self, row: Row) -> None:
        """Keep a row."""
        self._rows[self._key(row)] = row
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(row.model_dump_json() + "\n")

    @staticmethod
    def _key(row: Row) -> tuple[str, str, str]:
        return row.route, row.language, str(sorted(row.errors.items()))


def stops_paying_at(bench: LanguageBench, level: InstructionLevel) -> float | None:
    """Return the swept value from which on the agent is worse than the direct route.

    Between two measured values the line is straight. None: it pays everywhere, or no direct route
    was measured.
    """
    direct = [one for one in bench.rows if one.route is RouteChoice.DIRECT]
    agent = [one for one in bench.rows if one.route is RouteChoice.AGENT]
    if not direct or len(agent) != len(SWEEP):
        return None
    bar = direct[0].of_level(level).giou
    gains = [one.of_level(level).giou - bar for one in agent]
    for i, gain in enumerate(gains):
        if gain < 0:
            if i == 0:
                return SWEEP[0]
            share = gains[i - 1] / (gains[i - 1] - gain)
            return SWEEP[i - 1] + share * (SWEEP[i] - SWEEP[i - 1])
    return None


def table_of(bench: LanguageBench) -> str:
    """Return the rows as lines of text."""
    lines = [
        f"{bench.model}, {bench.scenes} scenes of series {bench.series}, prompts {bench.prompts}; "
        "gIoU simple / complex",
        f"best union of all candidates: {_oracle(bench)}",
    ]
    for one in bench.rows:
        errors = ", ".join(f"{name} {value:g}" for name, value in one.errors.items()) or NO_ERRORS
        endings = ", ".join(f"{name} {count}" for name, count in one.endings.items())
        lines.append(
            f"{one.way:12} {one.simple.giou:5.1f} / {one.complex.giou:5.1f}  "
            f"refused {_refused(one)}  calls {one.calls:.2f}  "
            f"tokens {one.tokens:.0f}  pictures {one.pictures:.2f}  "
            f"seconds {one.seconds:.3f}  {endings}  errors: {errors}"
        )
    return "\n".join(lines)


def markdown_of(bench: LanguageBench) -> str:
    """Return the rows as a Markdown table: a line for each way, by set of error rates."""
    lines = [
        "| errors | route | gIoU | refused | questions | tokens | pictures | seconds |",
        "|---|---|---|---|---|---|---|---|",
        f"| | best union of candidates | {_oracle(bench)} | | | | | |",
    ]
    rows = sorted(bench.rows, key=lambda one: one.route is not RouteChoice.DIRECT)
    for name in dict.fromkeys(one.error_set for one in rows):
        for one in rows:
            if one.error_set == name:
                asks = one.route is not RouteChoice.DIRECT
                lines.append(
                    f"| {name if asks else ''} | `{one.way}` | "
                    f"{one.simple.giou:.1f} / {one.complex.giou:.1f} | "
                    f"{_refused(one)} | {one.calls:.2f} | "
                    f"{one.tokens:.0f} | {one.pictures:.1f} | {one.seconds:.2f} |"
                )
    return "\n".join(lines)


def _oracle(bench: LanguageBench) -> str:
    return " / ".join(f"{bench.oracle[level]:.1f}" for level in LEVELS)


def _refused(row: Row) -> str:
    return " / ".join(
        "-" if one.refused is None else f"{one.refused:.0f}" for one in (row.simple, row.complex)
    )
