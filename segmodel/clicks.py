"""Clicks on one instance (promptable visual segmentation): points, a box, the mask so far.

`segment_clicks` serves SAM 2 and the tracker half of SAM 3, whose decoders take the same. That
tracker shares its ViT with the concept model, so a photo that is encoded for concepts is encoded
for clicks: only the small neck runs again.
"""
# transformers' annotations hide what its modules and configurations hold.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import Sam2Model, Sam3TrackerModel

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.instances import ClickMasks
from sam3i_agent.core.prompt import Click
from sam3i_agent.segmodel.checkpoints.other_half import load_other_half
from sam3i_agent.segmodel.checkpoints.repository import has_video_half, without_clicks
from sam3i_agent.segmodel.exemplars import check_box, check_point
from sam3i_agent.segmodel.postprocessing import masks_at
from sam3i_agent.segmodel.sam3_image import Sam3Image
from sam3i_agent.segmodel.segmenter import Box

_MASK_LOGIT = 10.0
"""Of a pixel of the mask so far; its negative outside."""


class ClickModel:
    """Turns clicks into masks; safe to share between threads, which take turns.

    Args:
        tracker: with the same ViT as the concept model; its own copy is dropped.
    """

    def __init__(self, tracker: Sam3TrackerModel) -> None:
        self._tracker = tracker.eval().requires_grad_(False)
        tracker.vision_encoder.backbone = None
        self._turn = threading.Lock()

    def segment(
        self,
        image: Sam3Image,
        clicks: Sequence[Click] = (),
        box_xyxy: Box | None = None,
        mask: NDArray[np.bool_] | None = None,
        *,
        several: bool = True,
    ) -> ClickMasks:
        """Return the masks of the one instance that the clicks and the box mean.

        Args:
            image: the photo, encoded by the concept model.
            clicks: as `Segmenter.click`, like the rest.
            box_xyxy: likewise.
            mask: likewise.
            several: likewise.

        Raises:
            InputError: as `Segmenter.click`.
        """
        check_clicks(clicks, box_xyxy, mask, image.size_hw)
        with self._turn, torch.inference_mode():
            return segment_clicks(
                self._tracker,
                self.image_embeddings(image),
                image.size_hw,
                clicks,
                box_xyxy,
                mask,
                several=several,
            )

    def image_embeddings(self, image: Sam3Image) -> list[Tensor]:
        """Return what `Sam3TrackerModel` would compute of the photo, from its ViT features.

        Returns:
            Three maps, the finest first, each (1, C, h, w).
        """
        tracker = self._tracker
        hidden = image.features.last_hidden_state
        grid = tracker.prompt_encoder.image_embedding_size
        spatial = hidden.view(1, *grid, -1).permute(0, 3, 1, 2)
        maps = list(tracker.vision_encoder.neck(spatial)[0])
        maps[0] = tracker.mask_decoder.conv_s0(maps[0])
        maps[1] = tracker.mask_decoder.conv_s1(maps[1])
        maps[-1] = maps[-1] + tracker.no_memory_embedding[0, 0, :, None, None]
        return maps[: len(tracker.backbone_feature_sizes)]


def segment_clicks(
    model: Sam2Model | Sam3TrackerModel,
    embeddings: list[Tensor],
    size_hw: tuple[int, int],
    clicks: Sequence[Click],
    box_xyxy: Box | None,
    mask: NDArray[np.bool_] | None,
    *,
    several: bool,
) -> ClickMasks:
    """Return the masks of the one instance that checked clicks and a box mean.

    Args:
        model: whose prompt encoder and mask decoder run.
        embeddings: its maps of one photo, the finest first.
        size_hw: of the photo, in pixels.
        clicks: as `Segmenter.click`, like the rest.
        box_xyxy: likewise.
        mask: likewise.
        several: likewise.
    """
    height, width = size_hw
    side = int(model.config.prompt_encoder_config.image_size)
    scale = torch.tensor([side / width, side / height])
    device, dtype = model.device, model.dtype
    points = labels = boxes = masks = None
    if clicks:
        spots = torch.tensor([one.point_xy for one in clicks])
        points = (spots * scale)[None, None].to(device, dtype)  # image, object, points
        labels = torch.tensor([int(one.positive) for one in clicks])[None, None].to(device)
    if box_xyxy is not None:
        boxes = (torch.tensor(box_xyxy) * scale.repeat(2))[None, None].to(device, dtype)
    if mask is not None:
        logits = torch.from_numpy(np.where(mask, _MASK_LOGIT, -_MASK_LOGIT))
        masks = logits[None, None].to(device, torch.float32)
        masks = interpolate(masks, model.prompt_encoder.mask_input_size, mode="bilinear")
        masks = masks.to(dtype)
    output = model(
        image_embeddings=embeddings,
        input_points=points,
        input_labels=labels,
        input_boxes=boxes,
        input_masks=masks,
        multimask_output=several,
    )
    scores = output.iou_scores[0, 0].float()
    order = scores.argsort(descending=True)
    return ClickMasks(
        masks=masks_at(output.pred_masks[0, 0].float()[order], size_hw),
        scores=scores[order].clamp(0, 1).cpu().numpy(),
        presence=float(output.object_score_logits.float().flatten()[0].sigmoid()),
    )


def load_click_model(name: str, like: torch.nn.Module) -> ClickModel:
    """Load the click half of a model.

    Args:
        name: hub id or folder of a repository that holds both halves, such as `facebook/sam3`; or
            an official file with both.
        like: the concept model, whose device and precision it takes.

    Raises:
        ModelError: there is none under this name.
    """
    if not has_video_half(name):
        raise without_clicks(name)
    tracker: Any = load_other_half(Sam3TrackerModel, name)  # a decorator hides the type of `to`
    clicker = ClickModel(tracker)
    weight = next(like.parameters())
    tracker.to(weight.device, weight.dtype)
    return clicker


def check_clicks(
    clicks: Sequence[Click],
    box_xyxy: Box | None,
    mask: NDArray[np.bool_] | None,
    size_hw: tuple[int, int],
) -> None:
    """Check that clicks, a box and a mask say where an instance is.

    Raises:
        InputError: as `Segmenter.click`.
    """
    for click in clicks:
        check_point(click.point_xy, size_hw)
    if box_xyxy is not None:
        check_box(box_xyxy, size_hw)
    if mask is not None and mask.shape != size_hw:
        raise InputError(f"the mask is {mask.shape}, the photo {size_hw} pixels high and wide")
    if box_xyxy is None and mask is None and not any(one.positive for one in clicks):
        raise InputError("nothing says where the instance is", "give a positive point or a box")
    positive = {one.point_xy for one in clicks if one.positive}
    negative = {one.point_xy for one in clicks if not one.positive}
    if positive & negative:
        raise InputError(
            f"the point {sorted(positive & negative)[0]} is both positive and negative"
        )
    if box_xyxy is not None:
        x0, y0, x1, y1 = box_xyxy
        for x, y in positive:
            if not (x0 <= x < x1 and y0 <= y < y1):
                raise InputError(f"the positive point {(x, y)} is outside the box")
