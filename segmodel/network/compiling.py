"""A compiled model: each part once for each number of photos or prompts, which come in buckets.

On CUDA the kernels of a part are captured into a graph. Cancelling stops before a compiled part and
behind it, no longer between its layers.
"""
# transformers' annotations hide what its modules hold.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.models.sam3.modeling_sam3 import (
    Sam3DetrDecoderLayer,
    Sam3DetrEncoderLayer,
    Sam3ViTLayer,
)

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.network.finding import Findings, PromptTokens, find
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter


def compile_encoder(segmenter: Sam3Segmenter, backend: str = "inductor") -> None:
    """Compile the ViT of a loaded model in place; the first photo then takes a minute longer.

    Args:
        segmenter: a loaded model.
        backend: of `torch.compile`.
    """
    backbone = segmenter.model.vision_encoder.backbone
    segmenter.forget_stops(Sam3ViTLayer)
    backbone.forward = _compiled(backbone.forward, segmenter, backend)


def compile_finder(segmenter: Sam3Segmenter, backend: str = "inductor") -> None:
    """Compile the fusion layers and the decoder of a loaded model in place.

    Prompts are filled up to 1, 2, 4, 8, ... in a pass, so that there are few shapes; the first pass
    of each then takes a minute longer.

    Args:
        segmenter: a loaded model.
        backend: of `torch.compile`.
    """
    for kind in (Sam3DetrEncoderLayer, Sam3DetrDecoderLayer):
        segmenter.forget_stops(kind)
    compiled = _compiled(find, segmenter, backend)

    def find_in_buckets(
        model: InstructionSam3, levels: Sequence[InstructionLevel], seen: Tensor,
        positions: Tensor, side_hw: tuple[int, int], prompt: PromptTokens,
    ) -> Findings:  # fmt: skip
        rows = len(seen)
        bucket = 1 << (rows - 1).bit_length()
        filled = torch.arange(bucket, device=seen.device).clamp(max=rows - 1)
        found = compiled(
            model,
            (*levels, *[levels[-1]] * (bucket - rows)),
            seen[filled],
            positions,
            side_hw,
            PromptTokens(prompt.features[filled], prompt.mask[filled]),
        )
        # The memory of a graph's results is used again by the next pass.
        return Findings(
            logits=found.logits[:rows].clone(),
            presence_logits=found.presence_logits[:rows].clone(),
            boxes=found.boxes[:rows].clone(),
            queries=found.queries[:rows].clone(),
            cells=found.cells[:rows].clone(),
        )

    segmenter.find = find_in_buckets


def _compiled(function: Callable[..., Any], segmenter: Sam3Segmenter, backend: str) -> Any:
    on_cuda = segmenter.model.device.type == "cuda"
    mode = "reduce-overhead" if on_cuda and backend == "inductor" else None
    return torch.compile(function, backend=backend, dynamic=False, mode=mode)
