"""How large a small model of SAM 3's architecture is."""

from pydantic import BaseModel, ConfigDict

from sam3i_agent.segmodel.network.configuration import (
    OFFICIAL_VIT_EPS,
    InstructionSam3Config,
    feature_sizes,
)
from sam3i_agent.segmodel.tokenization import CONTEXT_LENGTH

SCALE_FACTORS = [2.0, 1.0, 0.5]
"""Of the patch grid: masks come at twice its resolution, as many pixels a cell as at full size."""


class ModelSize(BaseModel):
    """The parts of a `Sam3Config` that make a small model of SAM 3's architecture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = 128
    """Side of the square input, in pixels."""
    patch_size: int = 8
    """In pixels."""
    window_size: int = 8
    """Attention window of the local ViT layers, in patches."""
    vision_width: int = 160
    vision_layers: int = 6
    global_layers: tuple[int, ...] = (1, 3, 5)
    vocabulary_size: int = 8192
    text_width: int = 96
    text_layers: int = 2
    width: int = 64
    """Channels of neck, DETR and mask head."""
    heads: int = 4
    """Of the vision and text encoders."""
    detr_heads: int = 2
    """Of neck, DETR and mask head; 32 channels each, as at full size."""
    feedforward: int = 256
    encoder_layers: int = 2
    decoder_layers: int = 3
    queries: int = 25

    def configuration(self) -> InstructionSam3Config:
        """Return the configuration of a model of this size, without dropout."""
        grid = self.image_size // self.patch_size
        detr = {
            "hidden_size": self.width,
            "num_attention_heads": self.detr_heads,
            "intermediate_size": self.feedforward,
            "dropout": 0.0,
        }
        backbone = {
            "model_type": "sam3_vit_model",
            "image_size": self.image_size,
            "pretrain_image_size": self.image_size,
            "patch_size": self.patch_size,
            "window_size": self.window_size,
            "global_attn_indexes": list(self.global_layers),
            "hidden_size": self.vision_width,
            "intermediate_size": self.vision_width * 3,
            "num_hidden_layers": self.vision_layers,
            "num_attention_heads": self.heads,
            "layer_norm_eps": OFFICIAL_VIT_EPS,
        }
        return InstructionSam3Config(
            vision_config={
                "backbone_config": backbone,
                "fpn_hidden_size": self.width,
                "scale_factors": SCALE_FACTORS,
                "backbone_feature_sizes": feature_sizes(grid, SCALE_FACTORS),
            },
            text_config={
                "model_type": "clip_text_model",
                "vocab_size": self.vocabulary_size,
                "bos_token_id": self.vocabulary_size - 2,
                "eos_token_id": self.vocabulary_size - 1,
                "hidden_size": self.text_width,
                "intermediate_size": self.text_width * 4,
                "projection_dim": self.width,
                "num_hidden_layers": self.text_layers,
                "num_attention_heads": self.heads,
                "max_position_embeddings": CONTEXT_LENGTH,
                "hidden_act": "gelu",
            },
            geometry_encoder_config={**detr, "num_layers": 1},
            detr_encoder_config={**detr, "num_layers": self.encoder_layers},
            detr_decoder_config={
                **detr,
                "num_layers": self.decoder_layers,
                "num_queries": self.queries,
            },
            mask_decoder_config={
                "hidden_size": self.width,
                "num_attention_heads": self.detr_heads,
                "num_upsampling_stages": len(SCALE_FACTORS) - 1,
            },
        )
