"""A run of a few steps: it learns, resumes exactly, and stops on nonsense."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sam3i_agent.segmodel.errors import InputError, ModelError
from sam3i_agent.segmodel.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.training.config import ModelSize, TrainConfig, read_config
from sam3i_agent.training.forward import forward_deep
from sam3i_agent.training.model import small_config
from sam3i_agent.training.trainer import LOG_NAME, learning_rate_at, train

SIZE = ModelSize(
    image_size=32, patch_size=8, window_size=2, vision_width=16, vision_layers=2,
    global_layers=(1,), vocabulary_size=1024, text_width=16, text_layers=1, width=16,
    heads=2, detr_heads=2, feedforward=16, encoder_layers=1, decoder_layers=2, queries=9,
)  # fmt: skip


def _config(folder: Path, **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "output": folder, "steps": 6, "dense_steps": 2, "dense_images": 2, "images": 2,
        "phrases_per_image": 3, "warmup_steps": 2, "checkpoint_every": 3, "workers": 0,
        "device": "cpu", "model": SIZE,
    }  # fmt: skip
    return TrainConfig(**{**values, **changes})


@pytest.fixture(autouse=True)
def _log_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam3i_agent.training.trainer._LOG_EVERY", 1)


def test_a_killed_run_ends_like_an_unbroken_one(tmp_path, monkeypatch):
    whole = train(_config(tmp_path / "whole"), progress=False)

    from sam3i_agent.training import trainer

    real_step, calls = trainer._step, []

    def dying_step(*args, **kwargs):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(1)
        return real_step(*args, **kwargs)

    monkeypatch.setattr(trainer, "_step", dying_step)
    with pytest.raises(KeyboardInterrupt):
        train(_config(tmp_path / "killed"), progress=False)
    monkeypatch.setattr(trainer, "_step", real_step)
    resumed = train(_config(tmp_path / "killed"), progress=False)

    logs = [
        [json.loads(line) for line in (tmp_path / name / LOG_NAME).read_text().splitlines()]
        for name in ("whole", "killed")
    ]
    assert logs[0] == logs[1] and len(logs[0]) == 6
    ours = InstructionSam3.from_pretrained(resumed).state_dict()
    for key, tensor in InstructionSam3.from_pretrained(whole).state_dict().items():
        assert torch.equal(tensor, ours[key]), key


def test_the_training_forward_pass_is_the_models(tmp_path):
    torch.manual_seed(0)
    model = InstructionSam3(small_config(SIZE)).eval()
    ids = torch.zeros(2, 32, dtype=torch.int64)
    ids[0, :4] = torch.tensor([1022, 320, 330, 1023])
    ids[1, :3] = torch.tensor([1022, 400, 1023])
    mask = (ids != 0).long()
    with torch.no_grad():
        vision = model.get_vision_features(torch.randn(1, 3, 32, 32))
        deep = forward_deep(
            model,
            vision,
            SimpleNamespace(
                image_of_phrase=torch.tensor([0, 0]), input_ids=ids, attention_mask=mask
            ),
        )
        plain = model(vision_embeds=vision, input_ids=ids, level=InstructionLevel.CONCEPT)
    torch.testing.assert_close(deep.mask_logits[-1], plain.pred_masks, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(deep.logits[-1], plain.pred_logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(deep.presence_logits[-1], plain.presence_logits[:, 0])
    torch.testing.assert_close(deep.semantic_logits, plain.semantic_seg[:, 0])


def test_a_head_trains_alone_on_a_frozen_base(tmp_path):
    base_folder = train(_config(tmp_path / "base", steps=3), progress=False)
    config = _config(
        tmp_path / "head", level="simple", start_from=base_folder, dense_steps=0, adapter_dim=8,
        ema_decay=0.0,
    )  # fmt: skip
    base = InstructionSam3.from_pretrained(base_folder).float().state_dict()
    trained = InstructionSam3.from_pretrained(train(config, progress=False)).float().state_dict()
    for key, tensor in base.items():
        assert torch.equal(tensor, trained[key]), key
    fresh = InstructionSam3.from_pretrained(base_folder, adapter_dim=8).float().state_dict()
    simple_outputs = [
        key for key in fresh if ".adapters.simple." in key and key.endswith("up_proj.weight")
    ]
    assert len(simple_outputs) == 1 + 1 + 2  # text, encoder and decoder layers
    assert all(trained[key].abs().max() > 0 for key in simple_outputs)
    untouched = [key for key in fresh if ".complex_out." in key and key.endswith("up_proj.weight")]
    assert all(trained[key].abs().max() == 0 for key in untouched)


@pytest.mark.parametrize(
    "changes",
    [{"level": "simple"}, {"start_from": "x"}, {"level": "simple", "start_from": "x"}],
)
def test_a_head_needs_a_base_and_no_dense_steps(tmp_path, changes):
    with pytest.raises(ValueError, match=r"start_from|dense_steps"):
        _config(tmp_path, **changes)


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


def test_the_shipped_configurations_are_valid():
    root = Path(__file__).parent.parent.parent
    for path in (root / "training" / "configs").glob("*.yaml"):
        assert read_config(path).steps > 0
