"""Small random models of each kind, written by `save_pretrained` of transformers' own classes."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Owlv2Config,
    Owlv2ForObjectDetection,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam3LiteTextConfig,
    Sam3LiteTextModel,
)

from tests.conftest import small_config

_PARTS = ("geometry_encoder", "detr_encoder", "detr_decoder", "mask_decoder")
LITE_CONTEXT = 16
SAM2_SIDE = 128
SAM2_WIDTH = 128
"""transformers needs it to be more than that of the memories, 64."""


def save_lite_text(folder: Path) -> Path:
    """Write a SAM3-LiteText as its repositories hold it; return the folder."""
    plain: dict[str, Any] = small_config(None).to_dict()
    parts = {f"{part}_config": plain[f"{part}_config"] for part in _PARTS}
    for part in parts.values():
        del part["model_type"]
    config = Sam3LiteTextConfig(
        vision_config=plain["vision_config"],
        text_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "projection_dim": 32,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "max_position_embeddings": LITE_CONTEXT,
        },
        **parts,
    )
    torch.manual_seed(0)
    Sam3LiteTextModel(config).save_pretrained(folder)
    return folder


def save_owlv2(folder: Path) -> Path:
    """Write an OWLv2 as its repositories hold it; return the folder."""
    config = Owlv2Config(
        text_config={
            "vocab_size": 2048,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "bos_token_id": 2046,
            "eos_token_id": 2047,
        },
        vision_config={
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 96,
            "patch_size": 16,
        },
        projection_dim=32,
    )
    torch.manual_seed(0)
    model: Any = Owlv2ForObjectDetection(config)
    with torch.no_grad():  # random weights saturate both; so each patch boxes itself
        model.box_head.dense2.weight.zero_()
        model.class_head.logit_shift.weight.zero_()
        model.class_head.logit_scale.weight.zero_()
        model.class_head.logit_scale.bias.fill_(9)
    model.save_pretrained(folder)
    return folder


def save_sam2(folder: Path) -> Path:
    """Write a SAM 2 for videos, which holds the one for pictures; return the folder."""
    backbone = {
        "image_size": [SAM2_SIDE, SAM2_SIDE],
        "hidden_size": 16,
        "num_attention_heads": 1,
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    grid = SAM2_SIDE // 4
    config = Sam2VideoConfig(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": {"model_type": "sam2_hiera_det_model", **backbone},
            "backbone_channel_list": [128, 64, 32, 16],
            "backbone_feature_sizes": [[grid // one] * 2 for one in (1, 2, 4)],
            "fpn_hidden_size": SAM2_WIDTH,
        },
        prompt_encoder_config={"hidden_size": SAM2_WIDTH, "image_size": SAM2_SIDE},
        mask_decoder_config={
            "hidden_size": SAM2_WIDTH,
            "mlp_dim": 64,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 32,
        },
        image_size=SAM2_SIDE,
        memory_attention_hidden_size=SAM2_WIDTH,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_num_layers=1,
        memory_encoder_hidden_size=SAM2_WIDTH,
        memory_encoder_output_channels=64,
        memory_fuser_embed_dim=SAM2_WIDTH,
        memory_fuser_intermediate_dim=64,
        mask_downsampler_embed_dim=SAM2_WIDTH,
        memory_attention_rope_feat_sizes=[grid // 4, grid // 4],
    )
    torch.manual_seed(0)
    Sam2VideoModel(config).save_pretrained(folder)
    return folder
