"""Several stages of training as one run: a YAML file that names their configurations in order.

Each stage starts from the model that the one before wrote, and trains in its own folder of the
plan's output. A plan that was interrupted goes on in the stage it was in.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam3i_agent.core.errors import InputError
from sam3i_agent.training.checkpoints import MODEL_FOLDER
from sam3i_agent.training.config import TrainConfig, first_problem, read_config, read_settings

_STAGES = "stages"


class TrainPlan(BaseModel):
    """What the file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Path
    """Folder of all stages' folders, which are called like their files."""
    stages: tuple[Path, ...] = Field(min_length=1)
    """Configurations, relative to the plan."""


def read_stages(path: Path, changes: Sequence[str] = ()) -> tuple[TrainConfig, ...]:
    """Read a plan, or a configuration as a plan of one stage.

    Args:
        path: YAML, of a `TrainPlan` or of a `TrainConfig`.
        changes: as `read_config` takes them; of a plan `output=FOLDER`, and `STAGE.KEY=VALUE` for
            the stage whose file is called STAGE.

    Raises:
        InputError: as `read_config`; two stages have one name.
    """
    if _STAGES not in read_settings(path):
        return (read_config(path, changes),)
    names = [Path(one).stem for one in read_settings(path)[_STAGES] or ()]
    if len(set(names)) < len(names):
        raise InputError(f"{str(path)!r} names a stage twice", "give each a file of its own name")
    own = [change for change in changes if change.partition(".")[0] not in names]
    try:
        plan = TrainPlan.model_validate(read_settings(path, own))
    except ValidationError as error:
        raise first_problem(path, error) from error
    stages: list[TrainConfig] = []
    for stage in plan.stages:
        of_stage = [
            rest
            for name, dot, rest in (change.partition(".") for change in changes)
            if dot and name == stage.stem
        ]
        config = read_config(path.parent / stage, of_stage)
        update: dict[str, object] = {"output": plan.output / stage.stem}
        if stages:
            update["start_from"] = str(stages[-1].output / MODEL_FOLDER)
        stages.append(config.model_copy(update=update))
    return tuple(stages)
