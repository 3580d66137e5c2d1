"""The shipped model with a half for clicks, as a repository like `facebook/sam3`."""
# transformers' annotations hide what its configurations and modules hold.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import Sam3VideoConfig, Sam3VideoModel
from transformers.models.sam3.modeling_sam3 import Sam3VisionNeck

from sam3i_agent.segmodel.checkpoints.repository import (
    ADAPTERS_NAME,
    HEAD_CONFIG_NAME,
    TINY,
    path_of,
)
from sam3i_agent.segmodel.network.configuration import feature_sizes

_WIDTH = 128
"""Of the click half; transformers needs more than that of its memories, 64."""
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_SURE = 10.0
"""Logit that something is under a click."""


def save_clicking_model(folder: Path) -> None:
    """Write the repository: the shipped model, and a half for clicks with random weights.

    What a click means to it makes no sense, but is the same each time.

    Args:
        folder: to make.
    """
    shipped = path_of(TINY)
    detector: dict[str, Any] = json.loads((shipped / _CONFIG).read_text())
    detector["model_type"] = "sam3"
    config = Sam3VideoConfig(
        detector_config=detector, tracker_config=_tracker_config(detector["vision_config"])
    )
    torch.manual_seed(0)
    model = Sam3VideoModel(config)
    model.tracker_neck = Sam3VisionNeck(config.tracker_config.vision_config)
    decoder: Any = model.tracker_model.mask_decoder
    with torch.no_grad():
        decoder.pred_obj_score_head.proj_out.bias += _SURE
        scores = decoder.iou_prediction_head.proj_out.bias
        scores += torch.arange(len(scores))  # or they would be too near to have an order
    folder.mkdir()
    config.save_pretrained(folder)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    known = load_file(shipped / _WEIGHTS)
    weights |= {f"detector_model.{key}": value for key, value in known.items()}
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    for name in (HEAD_CONFIG_NAME, ADAPTERS_NAME):
        shutil.copy(shipped / name, folder / name)
    content = json.loads((folder / _CONFIG).read_text())
    content["detector_config"]["takes_exemplars"] = detector["takes_exemplars"]
    (folder / _CONFIG).write_text(json.dumps(content))


def _tracker_config(shipped_vision: dict[str, Any]) -> dict[str, Any]:
    """Return the click half's configuration, on the shipped model's ViT."""
    backbone = shipped_vision["backbone_config"]
    side, patch = backbone["image_size"], backbone["patch_size"]
    grid = side // patch
    vision = copy.deepcopy(shipped_vision)
    vision["fpn_hidden_size"] = _WIDTH
    vision["scale_factors"] = [4.0, 2.0, 1.0, 0.5]
    vision["backbone_feature_sizes"] = feature_sizes(grid, vision["scale_factors"])
    return {
        "model_type": "sam3_tracker_video",
        "image_size": side,
        "vision_config": vision,
        "prompt_encoder_config": {"hidden_size": _WIDTH, "image_size": side, "patch_size": patch},
        "mask_decoder_config": {
            "hidden_size": _WIDTH,
            "mlp_dim": 64,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 32,
        },
        "memory_attention_hidden_size": _WIDTH,
        "memory_attention_feed_forward_hidden_size": 64,
        "memory_attention_num_layers": 1,
        "memory_encoder_hidden_size": _WIDTH,
        "memory_fuser_embed_dim": _WIDTH,
        "memory_fuser_intermediate_dim": 64,
        "memory_attention_rope_feat_sizes": [grid, grid],
    }
