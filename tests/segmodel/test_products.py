"""Linear layers by oneDNN: the same numbers, on the paths where nothing learns."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.network import products
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.network.products import FastLinear, hasten, linear
from tests.conftest import DATA, small_config

EXPECTED = DATA / "sam3i_small" / "outputs.npz"
needs_onednn = pytest.mark.skipif(not products._IS_HERE, reason="torch has no oneDNN here")


@pytest.fixture
def every_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small layers go the way of large ones too."""
    monkeypatch.setattr(products, "_WORTH", 0)


@pytest.fixture
def by_torch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what torch's own `linear` was given."""
    own, seen = functional.linear, []

    def spy(values: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(values.shape))
        return own(values, *rest)

    monkeypatch.setattr(functional, "linear", spy)
    return seen


@pytest.mark.usefixtures("every_product")
@pytest.mark.parametrize(
    "values",
    [
        torch.randn(7, 48),
        torch.randn(2, 3, 5, 48),
        torch.randn(48),
        torch.randn(0, 48),
        torch.randn(48, 6).T,
        torch.randn(3, 96)[:, ::2],
        torch.randn(1, 48).expand(4, 48),
    ],
    ids=lambda one: str(tuple(one.shape)),
)
@pytest.mark.parametrize("has_bias", [True, False])
def test_products_are_those_of_torch(values: torch.Tensor, has_bias: bool):
    layer = nn.Linear(48, 20, bias=has_bias)
    with torch.inference_mode():
        found = linear(values, layer.weight, layer.bias)
        wanted = layer(values)
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)


@needs_onednn
def test_large_layers_go_to_onednn_and_small_ones_do_not(by_torch: list[tuple[int, ...]]):
    small, large = FastLinear(8, 8), FastLinear(1024, 1024)
    with torch.inference_mode():
        large(torch.randn(64, 1024))
        small(torch.randn(2, 8))
    assert by_torch == [(2, 8)]


@pytest.mark.usefixtures("every_product")
def test_what_learns_learns_by_torch(by_torch: list[tuple[int, ...]]):
    layer, other = FastLinear(6, 4), nn.Linear(6, 4)
    other.load_state_dict(layer.state_dict())
    values = torch.randn(3, 6)
    layer(values).square().sum().backward()
    assert by_torch == [(3, 6)]
    other(values).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, other.weight.grad)


@pytest.mark.usefixtures("every_product")
@pytest.mark.parametrize("context", ["bfloat16", "autocast"])
def test_other_types_keep_to_torch(context: str, by_torch: list[tuple[int, ...]]):
    layer, values = FastLinear(6, 4), torch.randn(3, 6)
    if context == "bfloat16":
        layer, values = layer.bfloat16(), values.bfloat16()
    with torch.inference_mode(), torch.autocast("cpu", enabled=context == "autocast"):
        assert layer(values).dtype is torch.bfloat16
    assert by_torch == [(3, 6)]


@pytest.mark.usefixtures("every_product")
def test_weights_that_lie_across_keep_to_torch(by_torch: list[tuple[int, ...]]):
    weight = torch.randn(6, 4).T
    with torch.inference_mode():
        assert linear(torch.randn(3, 6), weight).shape == (3, 4)
    assert by_torch == [(3, 6)]


def test_a_hastened_model_keeps_its_names_and_weights():
    model = nn.Sequential(nn.Linear(4, 4), nn.MultiheadAttention(4, 2), nn.LayerNorm(4))
    before = {name: one.data_ptr() for name, one in model.state_dict().items()}
    kinds = [type(one) for one in model.modules()]
    hasten(model)
    assert {name: one.data_ptr() for name, one in model.state_dict().items()} == before
    changed = {a: type(b) for a, b in zip(kinds, model.modules(), strict=True) if a is not type(b)}
    assert changed == {nn.Linear: FastLinear}  # not the one that an attention reads by itself


@pytest.mark.usefixtures("every_product")
@pytest.mark.parametrize(
    ("level", "suffix"), list(zip(InstructionLevel, ("_1", "_2", "_4"), strict=True))
)
def test_the_official_numbers_with_every_product_by_onednn(
    level: InstructionLevel, suffix: str, reference_checkpoint
):
    model = InstructionSam3.from_official(reference_checkpoint, small_config())
    assert not any(type(one) is nn.Linear for one in model.modules())
    with np.load(EXPECTED) as expected, torch.inference_mode():
        output = model(
            pixel_values=torch.from_numpy(expected["pixel_values"]),
            input_ids=torch.from_numpy(expected["ids" + suffix]),
            level=level,
        )
        for ours, theirs in (("pred_logits", "pred_logits"), ("pred_masks", "pred_masks")):
            value = getattr(output, ours)[0].numpy()
            wanted = expected[theirs + suffix][0].reshape(value.shape)
            assert np.abs(value - wanted).max() < 1e-4, ours
