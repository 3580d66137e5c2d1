"""Small models of SAM 3's architecture."""

from sam3i_agent.segmodel.network.configuration import OFFICIAL_VIT_EPS, InstructionSam3Config
from sam3i_agent.segmodel.tokenization import CONTEXT_LENGTH
from sam3i_agent.training.config import ModelSize

SCALE_FACTORS = [2.0, 1.0, 0.5]
"""Of the patch grid: masks come at twice its resolution, as many pixels a cell as at full size."""


def small_config(size: ModelSize) -> InstructionSam3Config:
    """Return the configuration of a small model without dropout."""
    grid = size.image_size // size.patch_size
    detr = {
        "hidden_size": size.width,
        "num_attention_heads": size.detr_heads,
        "intermediate_size": size.feedforward,
        "dropout": 0.0,
    }
    backbone = {
        "model_type": "sam3_vit_model",
        "image_size": size.image_size,
        "pretrain_image_size": size.image_size,
        "patch_size": size.patch_size,
        "window_size": size.window_size,
        "global_attn_indexes": list(size.global_layers),
        "hidden_size": size.vision_width,
        "intermediate_size": size.vision_width * 3,
        "num_hidden_layers": size.vision_layers,
        "num_attention_heads": size.heads,
        "layer_norm_eps": OFFICIAL_VIT_EPS,
    }
    return InstructionSam3Config(
        vision_config={
            "backbone_config": backbone,
            "fpn_hidden_size": size.width,
            "scale_factors": SCALE_FACTORS,
            "backbone_feature_sizes": [[int(grid * scale)] * 2 for scale in SCALE_FACTORS[:-1]],
        },
        text_config={
            "model_type": "clip_text_model",
            "vocab_size": size.vocabulary_size,
            "bos_token_id": size.vocabulary_size - 2,
            "eos_token_id": size.vocabulary_size - 1,
            "hidden_size": size.text_width,
            "intermediate_size": size.text_width * 4,
            "projection_dim": size.width,
            "num_hidden_layers": size.text_layers,
            "num_attention_heads": size.heads,
            "max_position_embeddings": CONTEXT_LENGTH,
            "hidden_act": "gelu",
        },
        geometry_encoder_config={**detr, "num_layers": 1},
        detr_encoder_config={**detr, "num_layers": size.encoder_layers},
        detr_decoder_config={
            **detr,
            "num_layers": size.decoder_layers,
            "num_queries": size.queries,
        },
        mask_decoder_config={
            "hidden_size": size.width,
            "num_attention_heads": size.detr_heads,
            "num_upsampling_stages": len(SCALE_FACTORS) - 1,
        },
    )
