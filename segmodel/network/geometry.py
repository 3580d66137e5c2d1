"""The prompt token that is there even without boxes.

The official model always runs its geometry encoder; its class token joins the text tokens (32 + 1)
when a prompt has no boxes. `transformers.Sam3Model` leaves it out, which moves logits by 0.2 at
full size. Running the encoder's layers on the class token alone gives the official numbers and,
unlike a dummy box, needs no `roi_align` and works in bf16.
"""

from torch import Tensor
from transformers.models.sam3.modeling_sam3 import Sam3GeometryEncoder


def encode_empty_geometry(
    encoder: Sam3GeometryEncoder, features: Tensor, position_encoding: Tensor
) -> Tensor:
    """Return the prompt token of a prompt without boxes, one per image.

    Args:
        encoder: the model's geometry encoder.
        features: (B, C, H, W), the coarsest FPN level that the model uses.
        position_encoding: (B, C, H, W), its position encoding.

    Returns:
        (B, 1, C).
    """
    features_flat = features.flatten(2).transpose(1, 2)
    positions_flat = position_encoding.flatten(2).transpose(1, 2)
    token = encoder.cls_embed.weight[None].expand(len(features), -1, -1)
    token = encoder.prompt_layer_norm(encoder.final_proj(token))
    for layer in encoder.layers:
        token = layer(
            prompt_feats=token,
            vision_feats=features_flat,
            vision_pos_encoding=positions_flat,
            prompt_mask=None,
        )
    return encoder.output_layer_norm(token)
