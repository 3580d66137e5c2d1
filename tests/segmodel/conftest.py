"""A small model of all halves, for the tests that need more than the shipped one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import Sam3VideoConfig, Sam3VideoModel

from tests.conftest import small_config
from tests.segmodel.small_models import save_lite_text, save_owlv2, save_sam2

SIDE = 112
WIDTH = 128
"""transformers needs it to be more than that of the memories, 64."""


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model, laid out as `facebook/sam3` is."""
    detector = small_config(None).to_dict() | {"model_type": "sam3"}
    detector["vision_config"]["fpn_hidden_size"] = WIDTH
    for part in ("geometry_encoder", "detr_encoder", "detr_decoder", "mask_decoder"):
        detector[f"{part}_config"]["hidden_size"] = WIDTH
    head = {"hidden_size": WIDTH, "mlp_dim": 64, "num_attention_heads": 4}
    config = Sam3VideoConfig(
        detector_config=detector,
        tracker_config={
            "model_type": "sam3_tracker_video",
            "image_size": SIDE,
            "vision_config": detector["vision_config"],
            "prompt_encoder_config": {"hidden_size": WIDTH, "image_size": SIDE, "patch_size": 14},
            "mask_decoder_config": {**head, "iou_head_hidden_dim": 32},
            "memory_attention_hidden_size": WIDTH,
            "memory_attention_feed_forward_hidden_size": 64,
            "memory_attention_num_layers": 1,
            "memory_encoder_hidden_size": WIDTH,
            "memory_fuser_embed_dim": WIDTH,
            "memory_fuser_intermediate_dim": 64,
            "mask_downsampler_embed_dim": WIDTH,
        },
        low_res_mask_size=32,
        score_threshold_detection=0.1,  # random weights are not sure of anything
        new_det_thresh=0.12,
        max_num_objects=3,
    )
    torch.manual_seed(0)
    model = Sam3VideoModel(config)
    decoder: Any = model.tracker_model.mask_decoder
    with torch.no_grad():  # or it would take every track for out of sight
        decoder.pred_obj_score_head.proj_out.bias += 10
    folder = tmp_path_factory.mktemp("sam3")
    config.save_pretrained(folder)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def lite_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random SAM3-LiteText."""
    return save_lite_text(tmp_path_factory.mktemp("lite_text"))


@pytest.fixture(scope="session")
def owlv2_sam2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a small random OWLv2 and SAM 2."""
    folder = tmp_path_factory.mktemp("pair")
    return f"owlv2+sam2:{save_owlv2(folder / 'owlv2')},{save_sam2(folder / 'sam2')}"
