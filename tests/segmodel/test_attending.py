"""Attention in parts: that of torch, where nothing is masked and nothing learns."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from sam3i_agent.segmodel.network import attending, products
from sam3i_agent.segmodel.network.attending import IN_PARTS, attend_in_parts
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from tests.conftest import small_config


class _Attention(nn.Module):
    is_causal = False


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small attentions go the way of large ones, in parts of a few queries."""
    monkeypatch.setattr(attending, "_WORTH", 0)
    monkeypatch.setattr(attending, "_PAIRS_AT_ONCE", 40)
    monkeypatch.setattr(products, "_WORTH", 0)


@pytest.fixture
def by_torch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of queries that torch's own attention was given."""
    own, seen = attending.sdpa_attention_forward, []

    def spy(module: nn.Module, query: Tensor, *rest: Any, **kwargs: Any):
        seen.append(query.shape[2])
        return own(module, query, *rest, **kwargs)

    monkeypatch.setattr(attending, "sdpa_attention_forward", spy)
    return seen


def _given(queries: int, keys: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(queries)
    shapes = [(2, length, 3, 8) for length in (queries, keys, keys)]
    query, key, value = (torch.randn(shape).transpose(1, 2) for shape in shapes)
    return query, key, value


@pytest.mark.parametrize(("queries", "keys"), [(12, 12), (13, 7), (1, 50), (5, 1)])
def test_attention_in_parts_is_that_of_torch(queries: int, keys: int, by_torch: list[int]):
    given = _given(queries, keys)
    for scaling in (None, 0.3):
        with torch.inference_mode():
            found, weights = attend_in_parts(_Attention(), *given, None, scaling=scaling)
            wanted = scaled_dot_product_attention(*given, scale=scaling).transpose(1, 2)
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)
        assert weights is None
    assert not by_torch or not products._IS_HERE


def test_what_is_masked_causal_or_learns_is_left_to_torch(by_torch: list[int]):
    query, key, value = _given(6, 6)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    with torch.inference_mode():
        masked, _ = attend_in_parts(_Attention(), query, key, value, mask)
        causal, _ = attend_in_parts(_Attention(), query, key, value, None, is_causal=True)
    torch.testing.assert_close(masked, causal)
    learning = query.clone().requires_grad_()
    attend_in_parts(_Attention(), learning, key, value, None)[0].sum().backward()
    assert learning.grad is not None and by_torch == [6, 6, 6]


def test_models_attend_in_parts_unless_told_otherwise(caplog: pytest.LogCaptureFixture):
    model = InstructionSam3(small_config())
    parts: list[Any] = [one for one in model.modules() if hasattr(one, "config")]
    assert len(parts) > 10 and {one.config._attn_implementation for one in parts} == {IN_PARTS}
    assert not caplog.records  # transformers warns of one that is set part by part
    fresh = InstructionSam3(small_config(adapter_dim=None)).with_fresh_head(8, 4)
    assert fresh.config._attn_implementation == IN_PARTS
    model.set_attn_implementation("eager")
    assert {one.config._attn_implementation for one in (model, model.detr_encoder)} == {"eager"}


def test_a_model_answers_the_same_in_parts_and_by_torch(by_torch: list[int]):
    model = InstructionSam3(small_config(adapter_dim=None)).eval()
    pixels = torch.rand(1, 3, 112, 112) * 2 - 1
    ids = torch.tensor([[49406, 736, 49407] + [0] * 29])
    outputs = []
    for way in (IN_PARTS, "sdpa"):
        model.set_attn_implementation(way)
        with torch.inference_mode():
            outputs.append(model(pixel_values=pixels, input_ids=ids))
    for name in ("pred_logits", "pred_masks", "presence_logits"):
        torch.testing.assert_close(
            getattr(outputs[0], name), getattr(outputs[1], name), atol=1e-5, rtol=1e-5
        )
