"""Starting weights for a model trained from nothing.

The published model starts from pretrained encoders, so the standard deviation of 0.02 that
transformers uses for everything else is far too small for narrow layers: signals die out.
"""

import math

import torch
from torch import nn
from transformers import Sam3Model
from transformers.models.sam3.modeling_sam3 import Sam3ViTEmbeddings

_POSITION_STD = 0.1
_TOKEN_STD = 0.5
_REFERENCE_SIDE = 0.28
"""Side of a query's first reference box, as a share of the image."""


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
    decoder = model.detr_decoder
    nn.init.zeros_(decoder.box_head.layer3.weight)
    decoder.reference_points.weight.copy_(_reference_grid(decoder.config.num_queries))


def _reference_grid(count: int) -> torch.Tensor:
    """Return (count, 4) inverse-sigmoid centre-size boxes, spread over the image."""
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    index = torch.arange(count)
    centre_x = (index % columns + 0.5) / columns
    centre_y = (index // columns + 0.5) / rows
    side = torch.full((count,), _REFERENCE_SIDE)
    return torch.logit(torch.stack([centre_x, centre_y, side, side], dim=1))
