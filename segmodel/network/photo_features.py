"""What a photo's features give that no phrase changes, computed when first needed and then kept.

Legend: C channels, L cells of the coarsest map that is used, h and w its sides.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers.models.sam3.modeling_sam3 import Sam3PixelDecoder, Sam3VisionEncoderOutput

from sam3i_agent.segmodel.network.adapters import attend_to_image
from sam3i_agent.segmodel.network.geometry import encode_empty_geometry

if TYPE_CHECKING:
    from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3

_UNUSED_MAPS = 1
"""The coarsest, which the network computes and never looks at."""
_WORTH_CONVOLVING = 2
"""Phrases with masks from which on convolving a photo's maps by themselves is the faster way."""


class PhotoFeatures:
    """The features of one photo. Not for several threads at a time; under inference mode only.

    Args:
        vision: what `get_vision_features` returned for it alone.
    """

    def __init__(self, vision: Sam3VisionEncoderOutput) -> None:
        used = len(vision.fpn_hidden_states) - _UNUSED_MAPS
        self.last_hidden_state = vision.last_hidden_state
        """Of the ViT, (1, L, width)."""
        self.maps: tuple[Tensor, ...] = vision.fpn_hidden_states[:used]
        """(1, C, height, width) each, the finest first; see `convolve`."""
        self.position_map = vision.fpn_position_encoding[used - 1]
        """(1, C, h, w), the same for all photos."""
        self.is_convolved = False
        self._masked = 0
        self._seen: Tensor | None = None
        self._geometry: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that this photo alone takes."""
        kept = (*self.maps, self.last_hidden_state, self._seen, self._geometry)
        return sum(one.nbytes for one in kept if one is not None)

    @property
    def side_hw(self) -> tuple[int, int]:
        """The sides h and w."""
        return self.maps[-1].shape[-2], self.maps[-1].shape[-1]

    @property
    def positions(self) -> Tensor:
        """(1, L, C)."""
        return self.position_map.flatten(2).transpose(1, 2)

    def seen(self, model: "InstructionSam3") -> Tensor:
        """Return the cells behind the first fusion layer's look at the photo, (1, L, C)."""
        if self._seen is None:
            cells = self.maps[-1].flatten(2).transpose(1, 2)
            self._seen = attend_to_image(model.detr_encoder.layers[0], cells, self.positions)
        return self._seen

    def geometry(self, model: "InstructionSam3") -> Tensor:
        """Return the token of a prompt without boxes, (1, 1, C)."""
        if self._geometry is None:
            self._geometry = encode_empty_geometry(
                model.geometry_encoder, self.maps[-1], self.position_map
            )
        return self._geometry

    def expect_masks(self, decoder: Sam3PixelDecoder, phrases: int) -> None:
        """Make ready for the masks of so many more phrases.

        The pixel decoder convolves the sum of a phrase's map, grown to twice its sides, and of the
        photo's own: a convolution of each gives the same, and that of the photo's is the same for
        all phrases. From two phrases on, `maps` but the last are those convolutions, biases
        included, which takes no more memory.
        """
        self._masked += phrases
        sides = [one.shape[-1] for one in self.maps]
        doubling = all(fine == 2 * coarse for fine, coarse in pairwise(sides))
        if self.is_convolved or self._masked < _WORTH_CONVOLVING or not doubling:
            return
        fine = [
            conv(one)
            for conv, one in zip(decoder.conv_layers, reversed(self.maps[:-1]), strict=False)
        ]
        self.maps = (*reversed(fine), self.maps[-1])
        self.is_convolved = True


def doubling_kernel(weight: Tensor) -> Tensor:
    """Return the kernel that grows a map to twice its sides and convolves it, in one step.

    `conv_transpose2d(x, kernel, stride=2, padding=1)` is the convolution, 3 x 3 with padding, of
    `x` with each cell doubled to the right and below, at 4 of its 9 products a cell.

    Args:
        weight: (out, in, 3, 3), of the convolution.

    Returns:
        (in, out, 4, 4).
    """
    whole = weight.float()
    for axis in (2, 3):
        first, middle, last = whole.unbind(axis)
        whole = torch.stack([last, middle + last, first + middle, first], axis)
    # Laid out as the weight is: the result then lies as the photo's maps do, to which it is added.
    layout = torch.channels_last if weight.stride(1) == 1 else torch.contiguous_format
    return whole.transpose(0, 1).to(weight.dtype).contiguous(memory_format=layout)
