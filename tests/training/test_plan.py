"""Several stages as one run: read, chained, interrupted and gone on with."""

from pathlib import Path

import pytest
import yaml

from sam3i_agent.core.errors import InputError
from sam3i_agent.segmodel.checkpoints.loading import load_model
from sam3i_agent.segmodel.checkpoints.repository import base_model_of
from sam3i_agent.training.loop import train
from sam3i_agent.training.plan import read_stages
from tests.training.test_loop import SIZE

ROOT = Path(__file__).parent.parent.parent
SHORT = {
    "images": 2, "samples_per_image": 3, "warmup_steps": 1, "workers": 0, "device": "cpu",
    "adapter_dim": 8, "adapter_heads": 2, "steps": 2,
}  # fmt: skip


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "configs").mkdir()
    together = {"output": "unused", "stage": "joint", "turns": ["concept", "simple"], **SHORT}
    together["model"] = SIZE.model_dump(mode="json")
    held = {"output": "unused", "stage": "align", "start_from": "nowhere", **SHORT}
    for name, content in (("together", together), ("held", held)):
        (tmp_path / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    stages = ["configs/together.yaml", "configs/held.yaml"]
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({"output": str(tmp_path / "run"), "stages": stages}))
    return path


def test_each_stage_starts_from_the_model_of_the_one_before(plan):
    together, held = read_stages(plan)
    assert together.output == plan.parent / "run" / "together" and together.start_from is None
    assert held.start_from == str(together.output / "model")
    folders = [train(one, progress=False) for one in (together, held)]
    assert base_model_of(str(folders[1])) == str(folders[0].resolve())
    assert load_model(str(folders[1])).config.has_instruction_head
    again = [train(one, progress=False) for one in read_stages(plan)]
    assert again == folders


def test_settings_of_a_plan_and_of_its_stages_can_be_changed(plan):
    changes = ["output=elsewhere", "held.seed=7", "held.losses.info_nce=0", "together.steps=5"]
    together, held = read_stages(plan, changes)
    assert together.output == Path("elsewhere/together") and together.steps == 5
    assert (held.seed, held.losses.info_nce, together.seed) == (7, 0, 1)


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ("stages: []\noutput: x", [], "stages: Tuple should have at least 1"),
        ("stages: [a.yaml, b/a.yaml]\noutput: x", [], "names a stage twice"),
        ("stages: [a.yaml]\noutput: x", [], "a.yaml' cannot be read"),
        ("stages: [a.yaml]", [], "output: Field required"),
        ("stages: [a.yaml]\noutput: x", ["b.steps=3"], "b: Extra inputs"),
    ],
)
def test_bad_plans_are_named(tmp_path, content, changes, message):
    (tmp_path / "plan.yaml").write_text(content)
    with pytest.raises(InputError, match=message):
        read_stages(tmp_path / "plan.yaml", changes)


def test_a_configuration_is_a_plan_of_one_stage_and_the_shipped_plans_are_valid():
    (one,) = read_stages(ROOT / "training" / "configs" / "tiny.yaml", ["steps=3000"])
    assert one.steps == 3000
    for path in (ROOT / "training" / "plans").glob("*.yaml"):
        assert len(read_stages(path)) > 1
