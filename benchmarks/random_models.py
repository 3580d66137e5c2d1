"""Models of the published size with random weights: their work is that of the real ones."""
# transformers' annotations hide what its configurations hold.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

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
    config = InstructionSam3Config()
    config.image_size = side  # hands it on to the encoder, which leaves these as they are
    grid = side // config.vision_config.backbone_config.patch_size
    config.vision_config.backbone_feature_sizes = [[grid * scale] * 2 for scale in (4, 2, 1)]
    with init.no_init_weights():
        model = InstructionSam3(config)
    chosen = pick_device(device)
    if dtype is None:
        dtype = torch.bfloat16 if chosen.type == "cuda" else torch.float32
    model.to(chosen, dtype)  # pyright: ignore[reportArgumentType] (a decorator hides it)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, _STD)
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm | torch.nn.GroupNorm):
                module.reset_parameters()  # or all queries would score the same
    return Sam3Segmenter(model.eval().requires_grad_(False), f"random full size at {side}")
