"""Starting weights for a model trained from nothing, or from one of another input size.

The published model starts from pretrained encoders, so the standard deviation of 0.02 that
transformers uses for everything else is far too small for narrow layers: signals die out.
"""
# transformers' annotations hide what its modules and configurations hold.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportOptionalMemberAccess=false

import math

import torch
from torch import nn
from torch.nn.functional import interpolate
from transformers import Sam3Model
from transformers.models.sam3.modeling_sam3 import Sam3DetrDecoder, Sam3ViTEmbeddings

from sam3i_agent.core.errors import InputError
from sam3i_agent.segmodel.network.configuration import InstructionSam3Config, feature_sizes
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3

_POSITIONS = "vision_encoder.backbone.embeddings.position_embeddings"
_POSITION_STD = 0.1
_TOKEN_STD = 0.5
_REFERENCE_SIDE = 0.22
"""Side of a query's first reference box, as a share of the image."""
_NECK_GAIN = 0.1
"""The ViT ends without a norm and the neck has none: unscaled, its maps reach 15 and more."""
_CROSS_ATTENTION_GAIN = 0.1
"""Keeps what a query sees from drowning what it is, while the maps' scale settles."""
_OUTSIDE_PENALTY = 8.0
"""Attention bias per unit of (log-scaled) distance outside a query's reference box."""


@torch.no_grad()
def initialise(model: Sam3Model) -> None:
    """Overwrite all weights: Xavier layers, reference boxes on a grid, boxes that start there.

    Chance comes from torch's global generator.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=_TOKEN_STD)
        elif isinstance(module, Sam3ViTEmbeddings):
            nn.init.normal_(module.position_embeddings, std=_POSITION_STD)
    for level in model.vision_encoder.neck.fpn_layers:
        level.proj2.weight *= _NECK_GAIN
    start_decoder(model.detr_decoder)


@torch.no_grad()
def start_decoder(decoder: Sam3DetrDecoder) -> None:
    """Spread the queries over the image and let each look at its own reference box first.

    A decoder that starts by looking everywhere needs far longer to learn boxes than this whole
    training takes. The bias network sees the signed distances of a cell to the two sides of the
    box; two of its hidden units are set to the distances outside, with a negative output weight.
    """
    for layer in decoder.layers:
        layer.vision_cross_attn.o_proj.weight *= _CROSS_ATTENTION_GAIN
    nn.init.zeros_(decoder.box_head.layer3.weight)
    decoder.reference_points.weight.copy_(_reference_grid(decoder.config.num_queries))
    for bias in (decoder.box_rpb_embed_x, decoder.box_rpb_embed_y):
        bias.layer1.weight[:2] = torch.tensor([[-1.0, 0.0], [0.0, 1.0]])
        bias.layer1.bias[:2] = 0
        bias.layer2.weight *= 0.1
        bias.layer2.weight[:, :2] = -_OUTSIDE_PENALTY


def _reference_grid(count: int) -> torch.Tensor:
    """Return (count, 4) inverse-sigmoid centre-size boxes, spread over the image."""
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    index = torch.arange(count)
    centre_x = (index % columns + 0.5) / columns
    centre_y = (index // columns + 0.5) / rows
    side = torch.full((count,), _REFERENCE_SIDE)
    return torch.logit(torch.stack([centre_x, centre_y, side, side], dim=1))


@torch.no_grad()
def at_image_size(
    model: InstructionSam3, image_size: int, window_size: int | None = None
) -> InstructionSam3:
    """Return `model` for pictures of another size, its position embeddings interpolated.

    Where they are tiles over its own size, as in the published model, the whole is. Rotary
    positions are counted in windows, whatever the size, so all other weights stay, and are shared
    with `model`; a larger window has positions that it has not seen.

    Args:
        model: with the input that it was trained for.
        image_size: new side, in pixels.
        window_size: new attention window of the local ViT layers, in patches; None leaves it.

    Raises:
        InputError: the patches do not fill the picture.
    """
    values = model.config.to_dict()
    vision = values["vision_config"]
    backbone = vision["backbone_config"]
    if image_size % backbone["patch_size"]:
        raise InputError(
            f"image_size {image_size} is no multiple of the patches' {backbone['patch_size']}",
            f"take {math.ceil(image_size / backbone['patch_size']) * backbone['patch_size']}",
        )
    grid, grid_before = (
        side // backbone["patch_size"] for side in (image_size, model.config.image_size)
    )
    backbone |= {"image_size": image_size, "pretrain_image_size": image_size}
    backbone["window_size"] = window_size or backbone["window_size"]
    vision["backbone_feature_sizes"] = feature_sizes(grid, vision["scale_factors"])
    resized = InstructionSam3._from_config(
        InstructionSam3Config.from_dict(values),
        attn_implementation=model.config._attn_implementation,
        dtype=model.dtype,
    )
    state = model.state_dict()
    tile = state[_POSITIONS].unflatten(1, (math.isqrt(state[_POSITIONS].shape[1]), -1))
    repeats = math.ceil(grid_before / tile.shape[1])
    before = tile.permute(0, 3, 1, 2).tile(repeats, repeats)[..., :grid_before, :grid_before]
    after = interpolate(before, (grid, grid), mode="bicubic")
    state[_POSITIONS] = after.flatten(2).transpose(1, 2)
    resized.load_state_dict(state, assign=True)
    return resized.train(model.training)
