"""SAM 2: boxes to masks, all of a photo's in one pass, and clicks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import Sam2ImageProcessor, Sam2Model

from sam3i_agent.core.instances import ClickMasks
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click
from sam3i_agent.segmodel.clicks import segment_clicks
from sam3i_agent.segmodel.postprocessing import masks_at
from sam3i_agent.segmodel.segmenter import Box

MAX_BOXES = 64
"""In one pass; more take several."""


class Masker:
    """Turns boxes and clicks into masks; whoever calls it holds the model's turn.

    Args:
        model: in evaluation mode.
    """

    def __init__(self, model: Sam2Model) -> None:
        self.model: Any = model  # transformers' annotations hide what its modules hold
        self._side = int(self.model.config.prompt_encoder_config.image_size)
        self._processor = Sam2ImageProcessor(size={"height": self._side, "width": self._side})

    def look(self, photo: Photo) -> list[Tensor]:
        """Encode a photo: three maps, the finest first."""
        return self.model.get_image_embeddings(
            self.pixel_values(photo).to(self.model.device, self.model.dtype)
        )

    def pixel_values(self, photo: Photo) -> Tensor:
        """Return (1, 3, S, S) fp32, as SAM 2 takes it."""
        return self._processor(
            images=np.array(photo.pixels), input_data_format="channels_last", return_tensors="pt"
        ).pixel_values

    def masks_of(self, maps: list[Tensor], boxes_xyxy: Tensor, size_hw: tuple[int, int]) -> Masks:
        """Return the mask of each box.

        Args:
            maps: of the photo, of `look`.
            boxes_xyxy: (N, 4), in its pixels.
            size_hw: its height and width in pixels.
        """
        height, width = size_hw
        scale = boxes_xyxy.new_tensor([self._side / width, self._side / height]).repeat(2)
        counts: list[str] = []
        for some in (boxes_xyxy * scale).split(MAX_BOXES):
            if not len(some):  # SAM 2 raises where there is nothing to do
                break
            output = self.model(
                image_embeddings=maps,
                input_boxes=some[None].to(self.model.device, self.model.dtype),
                multimask_output=False,
            )
            counts += masks_at(output.pred_masks[0, :, 0], size_hw).counts
        return Masks(size_hw, counts)

    def click(
        self,
        maps: list[Tensor],
        size_hw: tuple[int, int],
        clicks: Sequence[Click],
        box_xyxy: Box | None,
        mask: NDArray[np.bool_] | None,
        *,
        several: bool,
    ) -> ClickMasks:
        """Return the masks of the one instance that checked clicks mean; see `Segmenter.click`."""
        return segment_clicks(self.model, maps, size_hw, clicks, box_xyxy, mask, several=several)
