"""How well one route answers the texts of one level: a comparison of one, in short figures."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from sam3i_agent.core.contracts import LevelChoice, RouteChoice, RunStatus
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.evaluation.compare.comparison import compare_routes
from sam3i_agent.evaluation.compare.statistics import Comparison
from sam3i_agent.segmodel.segmenter import Segmenter


@dataclass(frozen=True)
class BenchmarkReport:
    """Figures over all records that have a text of the level; percentages but for counts."""

    records: int
    positives: int
    failures: int
    """Runs that ended as `failed`; they count as finding nothing."""
    cgf1: float
    cgf1_50: float
    """At the IoU threshold 0.5."""
    positive_micro_f1_50: float
    il_mcc: float
    giou: float
    """Mean IoU of the united masks, nothing-for-nothing counting as 100."""
    nothing_right: float | None
    """Share of the records without a target that got none; None where there is no such record."""

    @classmethod
    def of(
        cls, comparison: Comparison, level: InstructionLevel, route: RouteChoice
    ) -> "BenchmarkReport":
        """Return the figures of one route on the texts of one level."""
        answers = comparison.answers[level, route]
        metrics = comparison.summary(level, route).metrics
        return cls(
            records=len(answers),
            positives=sum(one.truths > 0 for one in answers),
            failures=sum(one.prediction.status is RunStatus.FAILED for one in answers),
            cgf1=metrics["cgF1"],
            cgf1_50=metrics["cgF1@0.5"],
            positive_micro_f1_50=metrics["positive_micro_F1@0.5"],
            il_mcc=metrics["IL_MCC"],
            giou=metrics["gIoU"],
            nothing_right=metrics.get("right nothing"),
        )

    def as_dict(self) -> dict[str, float | None]:
        """Return the figures rounded to two places."""
        return {
            name: None if value is None else round(value, 2) for name, value in asdict(self).items()
        }


def run_benchmark(
    segmenter: Segmenter | ModelChoice,
    dataset: Path,
    level: InstructionLevel,
    route: RouteChoice,
    read_as: LevelChoice,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> BenchmarkReport:
    """Answer the first text of `level` of every record and compare with its annotations.

    Args:
        segmenter: a loaded model, or which to load.
        dataset: in any format of `data.formats.registry`, with its photos.
        level: which text.
        route: which pipeline.
        read_as: how the direct route reads the texts.
        advance: called with records done and in all.

    Raises:
        InputError: no record has a text of the level, a photo is missing or of another size, or
            the model lacks the level asked for.
    """
    comparison = compare_routes(
        dataset, (route,), segmenter, levels=(level,), read_as=read_as, advance=advance
    )
    return BenchmarkReport.of(comparison, level, route)
