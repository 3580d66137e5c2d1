"""What a run tells while it goes on: its log, TensorBoard's scalars and a progress bar."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.journal import Journal

LOG_NAME = "log.jsonl"
TENSORBOARD_FOLDER = "tensorboard"
_LOG_EVERY = 20
"""Steps."""
_DIGITS = 5
"""Of a logged value, after the point."""


class LogLine(BaseModel):
    """One line of `log.jsonl`: a step, and the losses and rates of it by name."""

    model_config = ConfigDict(frozen=True, extra="allow")

    step: int


def read_log(run: Path) -> list[dict[str, float]]:
    """Return what a run has logged so far: `step`, and the losses and rates of it by name.

    Raises:
        InputError: the folder holds no log.
        StorageError: the log is damaged.
    """
    lines = [line.model_dump() for line in Journal(run / LOG_NAME, LogLine)]
    if not lines:
        raise InputError(f"no {LOG_NAME} of a training in {str(run)!r}", "name a run's output")
    return lines


class TrainingLog:
    """The three of them, on the process that tells.

    Args:
        folder: of the run; exists.
        step: that the run goes on from. What a killed run logged after its last checkpoint is
            dropped: those steps come again.
        steps: in all.
        tells: whether this process does; the others keep silent.
        progress: show a bar with the time left on standard error.
    """

    def __init__(self, folder: Path, *, step: int, steps: int, tells: bool, progress: bool) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not (progress and tells),
        )
        self._task = self._bar.add_task("training", total=steps, completed=step)
        self._lines = Journal(folder / LOG_NAME, LogLine)
        self._scalars = None
        if tells:
            self._lines.keep(lambda line: line.step <= step)
            self._scalars = SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=step + 1)

    def __enter__(self) -> "TrainingLog":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
        if self._scalars is not None:
            self._scalars.close()

    def record(self, step: int, values: dict[str, float]) -> None:
        """Note the step that has just been made."""
        self._bar.update(self._task, completed=step, description=f"loss {values['total']:.3f}")
        if self._scalars is None or step % _LOG_EVERY:
            return
        rounded = {name: round(value, _DIGITS) for name, value in values.items()}
        self._lines.append(LogLine.model_validate({"step": step, **rounded}))
        for name, value in values.items():
            self._scalars.add_scalar(name, value, step)
