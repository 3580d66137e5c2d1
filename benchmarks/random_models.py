"""Models with random weights, of the published size or with small encoders: their work is real."""
# transformers' annotations hide what its configurations hold.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from typing import Any

import torch
from transformers import initialization as init

from sam3i_agent.core.errors import InputError
from sam3i_agent.segmodel.checkpoints.loading import pick_device
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

WINDOW_PX = 336
"""One attention window of the published ViT: 24 patches of 14 pixels; sides are multiples of it."""
_STD = 0.02
_SMALL_VIT = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "global_attn_indexes": [1, 3],
}
_SMALL_LAYERS = 3
_SMALL_TEXT = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def full_size_segmenter(side: int, device: str, dtype: torch.dtype | None = None) -> Sam3Segmenter:
    """Return the published architecture (840 M parameters, 200 queries) at another input size.

    Args:
        side: of the input, in pixels, a multiple of 336.
        device: as `load_segmenter` takes it.
        dtype: of the weights; None takes bf16 on CUDA, and fp32 elsewhere, where the shares of the
            parts are nearest to those on a GPU: in bf16 a CPU is fast at the encoder's matrix
            products alone.

    Raises:
        InputError: the side is no multiple of 336, or torch knows no such device.
    """
    if side < WINDOW_PX or side % WINDOW_PX:
        raise InputError(f"--side {side} is no multiple of {WINDOW_PX}")
    return _random(InstructionSam3Config(), side, pick_device(device), dtype, "random full size")


def small_segmenter() -> Sam3Segmenter:
    """Return the published model with small encoders and half of the other layers, on the CPU.

    fp32, 336 pixels, 200 queries. An answer's share of the time is larger than in the published
    model, and a new one is made in a second.
    """
    config = InstructionSam3Config(
        vision_config={"backbone_config": _SMALL_VIT},
        text_config=_SMALL_TEXT,
        detr_encoder_config={"num_layers": _SMALL_LAYERS},
        detr_decoder_config={"num_layers": _SMALL_LAYERS},
    )
    return _random(config, WINDOW_PX, torch.device("cpu"), torch.float32, "random small encoders")


def reset_norms(model: torch.nn.Module) -> None:
    """Give norms their starting weights: with random ones all queries score the same."""
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm | torch.nn.GroupNorm):
            module.reset_parameters()


def _random(
    config: InstructionSam3Config, side: int, device: torch.device, dtype: torch.dtype | None,
    name: str,
) -> Sam3Segmenter:  # fmt: skip
    config.image_size = side  # hands it on to the encoder, which leaves these as they are
    grid = side // config.vision_config.backbone_config.patch_size
    config.vision_config.backbone_feature_sizes = [[grid * scale] * 2 for scale in (4, 2, 1)]
    with init.no_init_weights():
        model: Any = InstructionSam3(config)  # a decorator hides the type of `to`
    if dtype is None:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model.to(device, dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, _STD)
    reset_norms(model)
    if device.type == "cpu":
        model.to(memory_format=torch.channels_last)  # as loading does with models of this size
    return Sam3Segmenter(model.eval().requires_grad_(False), f"{name} at {side}")
