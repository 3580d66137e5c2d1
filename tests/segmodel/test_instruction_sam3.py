"""The instruction head: identity at the start, nothing at the concept level, errors."""

import copy

import numpy as np
import pytest
import torch
from transformers import Sam3Config, Sam3Model

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3, is_instruction_head_key
from tests.conftest import small_config


@pytest.fixture(scope="module")
def base() -> InstructionSam3:
    torch.manual_seed(0)
    return InstructionSam3(small_config(adapter_dim=None)).eval()


@pytest.fixture(scope="module")
def prompts() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    ids = torch.zeros(2, 32, dtype=torch.int64)
    ids[:, :4] = torch.tensor([[49406, 736, 7117, 49407], [49406, 1746, 2063, 49407]])
    return {"pixel_values": torch.randn(1, 3, 112, 112), "input_ids": ids}


@pytest.fixture(scope="module")
def fresh(base: InstructionSam3, tmp_path_factory: pytest.TempPathFactory) -> InstructionSam3:
    """The base model with a new head, as fine-tuning starts."""
    folder = tmp_path_factory.mktemp("base")
    base.save_pretrained(folder)
    return InstructionSam3.from_pretrained(folder, adapter_dim=16)


def test_base_weights_are_a_plain_sam3_state(base, fresh):
    with torch.device("meta"):
        plain = Sam3Model(Sam3Config.from_dict({**base.config.to_dict(), "model_type": "sam3"}))
    assert base.state_dict().keys() == plain.state_dict().keys()
    added = fresh.state_dict().keys() - plain.state_dict().keys()
    assert added and all(is_instruction_head_key(key) for key in added)


def test_concept_is_bit_identical_to_the_model_without_adapters(base, fresh, prompts):
    # Weights that are mapped from a file lie where the file has them, and some processors' matrix
    # products round by where operands lie: a copy has them where `base` has, at whole cache lines.
    trained = copy.deepcopy(fresh)
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if is_instruction_head_key(name):
                parameter.add_(torch.randn_like(parameter))
        plain, adapted = base(**prompts), trained(**prompts, level=InstructionLevel.CONCEPT)
        moved = trained(**prompts, level=InstructionLevel.SIMPLE)
    for name in ("pred_logits", "pred_boxes", "pred_masks", "presence_logits", "semantic_seg"):
        assert torch.equal(plain[name], adapted[name]), name
    assert not torch.allclose(plain.pred_masks, moved.pred_masks)


def test_a_fresh_head_changes_nothing_and_can_learn(base, tmp_path, prompts):
    base.save_pretrained(tmp_path)
    fresh = InstructionSam3.from_pretrained(tmp_path, adapter_dim=16)
    with torch.no_grad():
        plain = base(**prompts)
    paths = {
        InstructionLevel.SIMPLE: (".simple.",),
        InstructionLevel.COMPLEX: (".complex_in.", ".complex_out.", ".complex."),
    }
    for level, names in paths.items():
        with torch.no_grad():
            output = fresh(**prompts, level=level)
        torch.testing.assert_close(output.pred_masks, plain.pred_masks, atol=2e-5, rtol=1e-4)
        head = {
            name: parameter
            for name, parameter in fresh.named_parameters()
            if is_instruction_head_key(name) and any(part in name for part in names)
        }
        optimizer = torch.optim.SGD(head.values(), lr=1e-3)
        for _ in range(3):
            fresh.zero_grad()
            output = fresh(**prompts, level=level)
            (output.pred_masks.square().mean() + output.pred_logits.sum()).backward()
            optimizer.step()
        dead = [
            name
            for name, parameter in head.items()
            if parameter.ndim > 1 and (parameter.grad is None or parameter.grad.abs().max() == 0)
        ]
        assert not dead


def test_levels_must_fit_the_prompts(fresh, prompts):
    with pytest.raises(InputError, match="3 levels were given for 2 prompts"):
        fresh(**prompts, level=[InstructionLevel.CONCEPT] * 3)


def test_a_base_model_refuses_instruction_levels(base, prompts):
    with pytest.raises(InputError, match="no instruction head"):
        base(**prompts, level=InstructionLevel.SIMPLE)


def test_many_prompts_over_one_image_equal_one_by_one(base, prompts):
    with torch.no_grad():
        vision = base.get_vision_features(prompts["pixel_values"])
        both = base(vision_embeds=vision, input_ids=prompts["input_ids"])
        for row in range(2):
            one = base(vision_embeds=vision, input_ids=prompts["input_ids"][row : row + 1])
            torch.testing.assert_close(
                both.pred_masks[row], one.pred_masks[0], atol=1e-5, rtol=1e-4
            )


def test_image_and_prompt_counts_must_fit(base, prompts):
    three = prompts["pixel_values"].repeat(3, 1, 1, 1)
    with pytest.raises(InputError, match="3 images do not fit 2 prompts"):
        base(pixel_values=three, input_ids=prompts["input_ids"])


def test_a_video_configuration_is_unwrapped():
    """`facebook/sam3` publishes the video model's configuration."""
    inner = {**Sam3Config().to_dict(), "model_type": "sam3"}
    config = InstructionSam3Config.from_dict({"model_type": "sam3_video", "detector_config": inner})
    assert config.vision_config.backbone_config.layer_norm_eps == 1e-5
    assert config.vision_config.backbone_config.hidden_size == 1024
    assert not config.has_instruction_head


def test_missing_head_weights_are_named(base, tmp_path):
    base.save_pretrained(tmp_path)
    config = small_config(adapter_dim=16)
    config.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="weights are missing"):
        InstructionSam3.from_pretrained(tmp_path)


def test_presence_is_not_clamped(base):
    assert np.isinf(base.detr_decoder.clamp_presence_logit_max_val)


def test_the_official_vit_epsilon_is_the_default():
    """transformers defaults to 1e-6, which shifts masks by 1.5e-4."""
    sized = InstructionSam3Config(vision_config={"backbone_config": {"hidden_size": 64}})
    for config in (InstructionSam3Config(), sized):
        assert config.vision_config.backbone_config.layer_norm_eps == 1e-5
    assert sized.vision_config.backbone_config.hidden_size == 64
    told = {"backbone_config": {"layer_norm_eps": 1e-6}}
    config = InstructionSam3Config(vision_config=told)
    assert config.vision_config.backbone_config.layer_norm_eps == 1e-6
