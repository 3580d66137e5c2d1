"""`sam3i compare`: routes over a dataset, and the report."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from sam3i_agent.agent.contracts import DEFAULT_BUDGETS, RouteChoice
from sam3i_agent.agent.run import offline_planner
from sam3i_agent.cli.language import mllm_settings
from sam3i_agent.evaluation.comparison import (
    Shard,
    read_cases,
    read_predictions,
    run_comparison,
)
from sam3i_agent.evaluation.report import compare, reading, write_report
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.loading import load_segmenter


@dataclass(frozen=True)
class CompareCommand:
    """The options of `sam3i compare`."""

    annotations: Path
    out: Path
    routes: tuple[RouteChoice, ...]
    levels: tuple[InstructionLevel, ...]
    limit: int | None
    shard: str
    model: str
    device: str
    mllm_url: str | None
    mllm_model: str | None

    def run(self) -> str:
        """Run what is left to run, write the report, and return its reading."""
        language = mllm_settings(self.mllm_url, self.mllm_model)
        shard = Shard.parse(self.shard)
        cases = read_cases(self.annotations, self.levels, self.limit)
        settings = {
            "dataset": self.annotations.resolve().parent.name + "/" + self.annotations.name,
            "model": self.model,
            "language": self.mllm_model or "offline planner",
            "shard": self.shard,
        }
        console = Console(stderr=True)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as bar:
            task = bar.add_task("answering", total=None)
            path = run_comparison(
                load_segmenter(self.model, device=self.device),
                self.annotations,
                cases,
                self.routes,
                self.out,
                settings=settings,
                budgets=DEFAULT_BUDGETS,
                language=language or offline_planner,
                shard=shard,
                advance=lambda done, total: bar.update(task, completed=done, total=total),
            )
        comparison = compare(cases, list(read_predictions(path)))
        report = write_report(comparison, settings, self.annotations.parent, self.out)
        return "\n".join([*reading(comparison), f"report written to {report}"])
