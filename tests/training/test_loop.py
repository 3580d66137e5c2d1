"""A run of a few steps: it learns, resumes exactly, and stops on nonsense."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from sam3i_agent.benchmarks import plots
from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.scenes import SceneLimits
from sam3i_agent.segmodel.checkpoints.loading import load_model
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.tokenization import TokenBatch
from sam3i_agent.training.batches import BatchPlan, stream_batches
from sam3i_agent.training.config import TrainConfig, read_config
from sam3i_agent.training.forward import forward_deep
from sam3i_agent.training.log import LOG_NAME, read_log
from sam3i_agent.training.loop import dry_run, learning_rate_at, train
from sam3i_agent.training.model_size import ModelSize
from sam3i_agent.training.pictures import SceneSource
from sam3i_agent.training.stages import Stage
from sam3i_agent.training.validation import validate

SIZE = ModelSize(
    image_size=32, patch_size=8, window_size=2, vision_width=16, vision_layers=2,
    global_layers=(1,), vocabulary_size=1024, text_width=16, text_layers=1, width=16,
    heads=2, detr_heads=2, feedforward=16, encoder_layers=1, decoder_layers=2, queries=9,
)  # fmt: skip


def _config(folder: Path, **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "output": folder, "steps": 6, "dense_steps": 2, "dense_images": 2, "images": 2,
        "samples_per_image": 3, "warmup_steps": 2, "checkpoint_every": 3, "workers": 0,
        "device": "cpu", "model": SIZE,
    }  # fmt: skip
    return TrainConfig(**{**values, **changes})


@pytest.fixture(autouse=True)
def _log_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam3i_agent.training.log._LOG_EVERY", 1)


def test_a_killed_run_ends_like_an_unbroken_one(tmp_path, monkeypatch):
    whole = train(_config(tmp_path / "whole"), progress=False)

    from sam3i_agent.training import loop

    real_step, calls = loop._step, []

    def dying_step(*args, **kwargs):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(1)
        return real_step(*args, **kwargs)

    monkeypatch.setattr(loop, "_step", dying_step)
    with pytest.raises(KeyboardInterrupt):
        train(_config(tmp_path / "killed"), progress=False)
    monkeypatch.setattr(loop, "_step", real_step)
    resumed = train(_config(tmp_path / "killed"), progress=False)

    logs = [
        [json.loads(line) for line in (tmp_path / name / LOG_NAME).read_text().splitlines()]
        for name in ("whole", "killed")
    ]
    assert logs[0] == logs[1] and len(logs[0]) == 6
    ours = InstructionSam3.from_pretrained(resumed).state_dict()
    for key, tensor in InstructionSam3.from_pretrained(whole).state_dict().items():
        assert torch.equal(tensor, ours[key]), key


def test_a_folder_of_another_run_is_refused_and_what_does_not_decide_may_change(tmp_path):
    train(_config(tmp_path, steps=3), progress=False)
    with pytest.raises(InputError, match=r"another run: its losses.dense is 1.0, not 0.5"):
        train(_config(tmp_path, steps=3, losses={"dense": 0.5}), progress=False)
    train(_config(tmp_path, steps=3, checkpoint_every=1), progress=False)


def test_the_training_forward_pass_is_the_models(tmp_path):
    torch.manual_seed(0)
    model = InstructionSam3(SIZE.configuration()).eval()
    ids = torch.zeros(2, 32, dtype=torch.int64)
    ids[0, :4] = torch.tensor([1022, 320, 330, 1023])
    ids[1, :3] = torch.tensor([1022, 400, 1023])
    mask = (ids != 0).long()
    with torch.no_grad():
        vision = model.get_vision_features(torch.randn(1, 3, 32, 32))
        deep = forward_deep(model, vision, torch.tensor([0, 0]), TokenBatch(ids, mask, (4, 3)))
        plain = model(vision_embeds=vision, input_ids=ids, level=InstructionLevel.CONCEPT)
    torch.testing.assert_close(deep.mask_logits[-1], plain.pred_masks, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(deep.logits[-1], plain.pred_logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(deep.presence_logits[-1], plain.presence_logits[:, 0])
    torch.testing.assert_close(deep.semantic_logits, plain.semantic_seg[:, 0])


def test_the_three_stages_move_their_own_weights_and_leave_the_base_alone(tmp_path):
    base_folder = train(_config(tmp_path / "base", steps=3), progress=False)
    base = load_model(str(base_folder)).float().state_dict()
    start = str(base_folder)
    heads = []
    for stage in ("simple", "complex", "align"):
        config = _config(
            tmp_path / stage, stage=stage, start_from=start, dense_steps=0, adapter_dim=8,
            adapter_heads=2, ema_decay=0.0, complex_from_simple=stage == "complex",
            learning_rate=1e-2,
        )  # fmt: skip
        start = str(train(config, progress=False))
        trained = load_model(start).float().state_dict()
        assert all(torch.equal(tensor, trained[key]) for key, tensor in base.items())
        heads.append({key: value for key, value in trained.items() if key not in base})
    simple, complex_, aligned = heads

    def moved(before, after, part):
        return [not torch.equal(before[key], after[key]) for key in before if part in key]

    fresh = load_model(str(base_folder)).float().with_fresh_head(8, 2).state_dict()
    assert any(moved({key: fresh[key] for key in simple}, simple, ".simple."))
    outputs = [key for key in simple if ".complex_out." in key and key.endswith("up_proj.weight")]
    assert outputs and all(simple[key].abs().max() == 0 for key in outputs)
    assert not any(moved(simple, complex_, ".simple."))
    assert any(moved(simple, complex_, ".complex_out."))
    copied = [key for key in simple if "text_encoder" in key and ".complex_in.norm1" in key]
    assert copied
    for part in (".simple.", ".complex_in.", ".complex_out.", "mask_embedder.complex."):
        assert any(moved(complex_, aligned, part)), part


def test_stage_2_starts_where_stage_1_ended(tmp_path):
    base_folder = train(_config(tmp_path / "base", steps=3), progress=False)
    config = _config(
        tmp_path / "simple", stage="simple", start_from=str(base_folder), dense_steps=0,
        adapter_dim=8, adapter_heads=2, learning_rate=1e-2,
    )  # fmt: skip
    model = load_model(str(train(config, progress=False))).float()
    model.copy_simple_to_complex()
    pixels, ids = torch.randn(1, 3, 32, 32), torch.randint(1, 900, (2, 32))
    with torch.no_grad():
        simple = model.encode_text(ids, InstructionLevel.SIMPLE).pooler_output
        complex_ = model.encode_text(ids, InstructionLevel.COMPLEX).pooler_output
        concept = model.encode_text(ids, InstructionLevel.CONCEPT).pooler_output
        masks = [
            model(pixel_values=pixels, input_ids=ids[:1], level=level).semantic_seg
            for level in (InstructionLevel.SIMPLE, InstructionLevel.CONCEPT)
        ]
    torch.testing.assert_close(simple, complex_)
    assert not torch.allclose(simple, concept)
    assert not torch.allclose(*masks)


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "simple", "dense_steps": 0},
        {"stage": "simple", "start_from": "x"},
        {"complex_from_simple": True},
        {"data": "x.json"},
        {"image_size": 64},
        {"window_size": 4},
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, changes):
    with pytest.raises(ValueError, match=r"start_from|dense_steps|complex_from_simple|image_size"):
        _config(tmp_path, **changes)


def test_accumulated_batches_step_like_one_large_one(tmp_path):
    """Dense losses are means over pixels, so two halves weigh as much as the whole."""
    shared = {"dense_steps": 4, "steps": 4, "ema_decay": 0.0, "bf16": False}
    large = _config(tmp_path / "a", dense_images=4, **shared)
    halves = _config(tmp_path / "b", dense_images=2, accumulate=2, **shared)
    one, two = (load_model(str(train(config, progress=False))) for config in (large, halves))
    other = _config(tmp_path / "c", dense_images=2, **shared)
    assert _distance(one, two) < 0.3 * _distance(one, load_model(str(train(other, progress=False))))


def _distance(one, two):
    """Mean absolute difference of all weights."""
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    return torch.cat([(a.float() - b.float()).flatten().abs() for a, b in pairs]).mean().item()


def test_a_dry_run_reports_and_writes_nothing(tmp_path):
    base = train(_config(tmp_path / "base", steps=3), progress=False)
    config = _config(
        tmp_path / "head", stage="align", start_from=str(base), dense_steps=0, adapter_heads=2
    )
    report = dry_run(config)
    assert report.samples > 0 and 0 < report.trained_parameters < report.frozen_parameters
    assert {"semantic_kl", "disagreement", "info_nce", "concept_margin"} <= report.losses.keys()
    assert not (tmp_path / "head").exists()


def test_two_processes_train_as_one_does(tmp_path):
    """Each takes every second batch, so together they do what one does with two batches a step."""
    config = _config(tmp_path / "run", bf16=False)
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
        "-m", "sam3i_agent.cli", "train", str(path),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    alone, half = (
        load_model(str(train(_config(tmp_path / name, bf16=False, accumulate=k), progress=False)))
        for name, k in (("alone", 2), ("half", 1))
    )
    together = load_model(str(tmp_path / "run" / "model"))
    # Adam turns rounding into steps where a gradient is almost zero, so not to the bit.
    assert _distance(together, alone) < 0.1 * _distance(together, half)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # where there is one core
def test_batches_that_several_processes_build_come_in_order():
    source = SceneSource(5, Stage.SIMPLE, 2, SceneLimits())
    plan = BatchPlan(source, images=1, image_size=32, mask_size=8, vocabulary_size=1024)
    alone, together = (stream_batches(plan, 3, 2, workers=workers) for workers in (0, 2))
    for _ in range(4):
        one, other = next(alone), next(together)
        assert torch.equal(one.pixel_values, other.pixel_values)
        assert torch.equal(one.masks, other.masks)


def test_validation_rewards_the_shipped_model_over_a_fresh_head(tiny):
    base = load_model("tiny", with_head=False).float().eval()
    fresh = base.with_fresh_head(8, 4)
    ours, theirs = (validate(model, InstructionLevel.SIMPLE, 10) for model in (tiny.model, fresh))
    assert ours.samples == theirs.samples > 30
    assert ours.giou > theirs.giou + 5
    assert 0 <= theirs.nothing_right <= 100


def test_nonsense_stops_the_run_by_name(tmp_path):
    with pytest.raises(ModelError, match="not finite at step"):
        train(_config(tmp_path, learning_rate=1e30, warmup_steps=1), progress=False)


def test_learning_rate_by_hand(tmp_path):
    config = _config(tmp_path, steps=102, dense_steps=2, warmup_steps=2, learning_rate=1.0)
    assert learning_rate_at(0, config) == pytest.approx(0.5)
    assert learning_rate_at(2, config) == pytest.approx(0.5)
    assert learning_rate_at(52, config) == pytest.approx((1 + 0.05) / 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 5", "output: Field required"),
        ("output: x\nsteps: 5\ncolour: red", "colour"),
        ("[1, 2]", "the file"),
        ("a: [", "no YAML"),
    ],
)
def test_bad_configurations_are_named(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(tmp_path / "c.yaml")


def test_settings_can_be_changed_from_outside(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("output: x\nsteps: 5\nlosses: {dense: 2.0}")
    config = read_config(path, ["losses.info_nce=0", "steps=7", "output=runs/y"])
    assert (config.losses.info_nce, config.losses.dense, config.steps) == (0, 2.0, 7)
    assert config.output == Path("runs/y")
    for change, said in (("steps", "KEY=VALUE"), ("colour=red", "colour"), ("steps=x", "steps")):
        with pytest.raises(InputError, match=said):
            read_config(path, [change])


def test_the_shipped_configurations_are_valid():
    root = Path(__file__).parent.parent.parent
    for path in (root / "training" / "configs").glob("*.yaml"):
        assert read_config(path).steps > 0


def test_the_curves_of_runs_are_drawn_from_their_logs(tmp_path):
    train(_config(tmp_path / "run"), progress=False)
    logged = read_log(tmp_path / "run")
    assert [line["step"] for line in logged] == [1, 2, 3, 4, 5, 6]
    assert all(line["total"] > 0 for line in logged) and "mask_dice" in logged[-1]
    plot = tmp_path / "curves.png"
    command = ["evaluate", "curves", str(tmp_path / "run"), str(tmp_path / "run"), "--plot"]
    assert CliRunner().invoke(app, [*command, str(plot)]).exit_code == 0
    with Image.open(plot) as drawn:
        assert drawn.width > 1000
    with pytest.raises(InputError, match="of a training"):
        read_log(tmp_path)


def test_runs_of_the_same_stage_are_drawn_apart(tmp_path, monkeypatch):
    drawn: list[int] = []
    monkeypatch.setattr(plots, "plot_training", lambda runs, _: drawn.append(len(runs)))
    seeds = [tmp_path / seed / "tiny_joint" for seed in ("first", "second")]
    for run in seeds:
        run.mkdir(parents=True)
        (run / LOG_NAME).write_text('{"step": 1, "total": 2.0}\n')
    command = ["evaluate", "curves", *map(str, seeds), "--plot", str(tmp_path / "curves.png")]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert drawn == [2]
