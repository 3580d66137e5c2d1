"""Attention of a CPU by oneDNN's products, some queries at a time, where nothing is masked.

torch's own makes its products by MKL: see `products`. In parts, what queries and keys make stays in
a cache: on a core of an EPYC 0.7 of the time, whether 576 cells attend to each other or 5,184.

Legend: N rows, H heads, Q queries, K keys, C channels of a head.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from sam3i_agent.segmodel.network.products import linear, takes

IN_PARTS = "sdpa_in_parts"
"""What transformers calls it in a configuration."""
_WORTH = 1 << 18
"""Pairs of query and key of a head from which on it is the faster."""
_PAIRS_AT_ONCE = 1 << 18
"""1 MiB in fp32."""


def attend_in_parts(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Return (N, Q, H, C), and no weights: attention as an interface of transformers.

    Args:
        module: whose it is.
        query: (N, H, Q, C).
        key: (N, H, K, C).
        value: as `key`.
        attention_mask: what it has goes to torch's own, as what is causal, small or learns.
        **kwargs: of the interface: scaling, is_causal, dropout.
    """
    causal = kwargs.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    pairs = query.shape[2] * key.shape[2]
    plain = attention_mask is None and not causal and kwargs.get("position_bias") is None
    if not plain or pairs < _WORTH or not takes(query, key):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    scaling = kwargs.get("scaling") or query.shape[-1] ** -0.5
    parts = -(-pairs // _PAIRS_AT_ONCE)
    at_once = -(-query.shape[2] // parts)
    queries, keys = (query * scaling).contiguous(), key.contiguous()
    values = value.transpose(2, 3).contiguous()
    rows = [
        [
            torch.cat(
                [
                    linear(linear(some, keys[row, head]).softmax(-1), values[row, head])
                    for some in queries[row, head].split(at_once)
                ]
            )
            for head in range(query.shape[1])
        ]
        for row in range(len(query))
    ]
    return torch.stack([torch.stack(heads, 1) for heads in rows]), None


AttentionInterface.register(IN_PARTS, attend_in_parts)
AttentionMaskInterface.register(IN_PARTS, sdpa_mask)
