"""Small random models of each kind, written by `save_pretrained` of transformers' own classes."""

from pathlib import Path
from typing import Any

import torch
from transformers import Sam3LiteTextConfig, Sam3LiteTextModel

from tests.conftest import small_config

_PARTS = ("geometry_encoder", "detr_encoder", "detr_decoder", "mask_decoder")
LITE_CONTEXT = 16


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
