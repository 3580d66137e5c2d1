"""A model goes on at another input size: what stays, what is interpolated, what is refused."""

import pytest
import torch
from torch.nn.functional import avg_pool2d

from sam3i_agent.core.errors import InputError
from sam3i_agent.segmodel.checkpoints.loading import load_model
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.training.initialisation import at_image_size, initialise
from sam3i_agent.training.loop import train
from tests.training.test_joint import _config
from tests.training.test_loop import SIZE

POSITIONS = "vision_encoder.backbone.embeddings.position_embeddings"


@pytest.fixture
def model() -> InstructionSam3:
    torch.manual_seed(1)
    made = InstructionSam3._from_config(SIZE.configuration())
    initialise(made)
    return made.eval()


def test_at_its_own_size_a_model_sees_the_same(model):
    pixels = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        before = model.get_vision_features(pixels).fpn_hidden_states
        after = at_image_size(model, 32).get_vision_features(pixels).fpn_hidden_states
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_at_twice_the_size_position_embeddings_are_spread_and_all_else_stays(model):
    larger = at_image_size(model, 64, window_size=4)
    before, after = model.state_dict(), larger.state_dict()
    assert [key for key in before if not torch.equal(before[key], after[key])] == [POSITIONS]
    spread = after[POSITIONS].unflatten(1, (8, 8)).permute(0, 3, 1, 2)
    gone_back = avg_pool2d(spread, 2).flatten(2).transpose(1, 2)
    assert (
        torch.corrcoef(torch.stack([gone_back.flatten(), before[POSITIONS].flatten()]))[0, 1] > 0.9
    )
    with torch.inference_mode():
        finest = larger.get_vision_features(torch.rand(1, 3, 64, 64)).fpn_hidden_states[0]
    assert finest.shape[-2:] == (16, 16)


def test_position_embeddings_that_are_tiled_are_spread_as_a_whole(model):
    values = model.config.to_dict()
    values["vision_config"]["backbone_config"]["image_size"] = 64  # of a model trained at 32
    values["vision_config"]["backbone_feature_sizes"] = [[16, 16], [8, 8]]
    tiled = InstructionSam3._from_config(InstructionSam3Config.from_dict(values))
    tiled.load_state_dict(model.state_dict())
    tile = model.state_dict()[POSITIONS].unflatten(1, (4, 4))
    whole = at_image_size(tiled, 64).state_dict()[POSITIONS].unflatten(1, (8, 8))
    torch.testing.assert_close(whole, tile.repeat(1, 2, 2, 1))


def test_patches_that_do_not_fill_the_picture_are_refused(model):
    with pytest.raises(InputError, match="no multiple of the patches' 8"):
        at_image_size(model, 36)


def test_a_run_goes_on_at_the_size_it_is_told_and_its_model_keeps_it(tmp_path):
    small = train(_config(tmp_path / "small"), progress=False)
    changes = {"start_from": str(small), "image_size": 48, "window_size": 3}
    larger = train(_config(tmp_path / "larger", **changes), progress=False)
    vision = load_model(str(larger)).config.vision_config
    assert vision.backbone_config.image_size == 48
    assert vision.backbone_config.window_size == 3
    assert vision.backbone_feature_sizes == [[12, 12], [6, 6]]
