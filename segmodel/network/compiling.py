"""A compiled image encoder: its input has one size, so it is compiled once for each batch size."""
# transformers' annotations hide what its modules hold.
# pyright: reportAttributeAccessIssue=false

import torch
from transformers.models.sam3.modeling_sam3 import Sam3ViTLayer

from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter


def compile_encoder(segmenter: Sam3Segmenter, backend: str = "inductor") -> None:
    """Compile the ViT of a loaded model in place; the first photo then takes a minute longer.

    On CUDA its kernels are captured into a graph. Cancelling stops before the ViT and behind it,
    no longer between its layers.

    Args:
        segmenter: a loaded model.
        backend: of `torch.compile`.
    """
    backbone = segmenter.model.vision_encoder.backbone
    segmenter.forget_stops(Sam3ViTLayer)
    on_cuda = segmenter.model.device.type == "cuda"
    mode = "reduce-overhead" if on_cuda and backend == "inductor" else None
    backbone.forward = torch.compile(backbone.forward, backend=backend, dynamic=False, mode=mode)
