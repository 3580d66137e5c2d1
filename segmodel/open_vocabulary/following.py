"""Following what OWLv2 finds through a clip by SAM 2's memory of each thing.

OWLv2 looks at every frame; what SAM 2's memory says is one of the things seen before keeps its
number, the rest is new. Each thing has a session of transformers of its own, over shared features
of the frame, and keeps only the memories that the next frame can use.
"""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import (
    Sam2VideoInferenceCache,
    Sam2VideoInferenceSession,
)

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.core.rle import encode_mask, tight_box
from sam3i_agent.segmodel.open_vocabulary.masker import Masker
from sam3i_agent.segmodel.postprocessing import masks_at
from sam3i_agent.segmodel.segmenter import Box, Segmenter

SAME_IOU = 0.5
"""Of a mask that was found with one that memory expects: then it is the same thing."""
MAX_UNSEEN = 300
"""Frames after which a thing that is out of sight is given up."""
_ONE = 0
"""The number of the only thing in a session."""


class MemoryOfThings:
    """Follows one noun phrase through a clip; a `Tracker`.

    Args:
        video: in evaluation mode.
        masker: makes its pixels.
        turn: held by whoever runs the models.
        segmenter: finds the phrase in a frame.
        text: the noun phrase.
    """

    def __init__(
        self,
        video: Sam2VideoModel,
        masker: Masker,
        turn: threading.Lock,
        segmenter: Segmenter,
        text: str,
    ) -> None:
        self._video: Any = video  # transformers' annotations hide what its modules hold
        self._masker = masker
        self._turn = turn
        self._segmenter = segmenter
        self._prompt = Prompt(text)
        self._frames: dict[int, Tensor | None] = {}
        self._cache = Sam2VideoInferenceCache(video.device, video.device, 1)
        self._things: dict[int, Any] = {}
        self._last_seen: dict[int, int] = {}

    def step(self, frame: int, photo: Photo) -> tuple[list[int], Instances]:
        """Return the number and the mask of each thing in sight; see `Tracker.step`."""
        (found,) = self._segmenter.encode(photo, keep=False).segment([self._prompt])
        masks = list(found.masks)
        with self._turn, torch.inference_mode():
            self._show(frame, photo)
            seen = {
                number: one
                for number, session in self._things.items()
                if (one := self._remember(session, frame, photo.size_hw)) is not None
            }
            for mask, score in zip(masks, found.scores.tolist(), strict=True):
                if all(_iou(mask, other) < SAME_IOU for other, _ in seen.values()):
                    number = 1 + max(self._last_seen, default=0)
                    self._last_seen[number] = frame
                    self._begin(number, frame, mask)
                    seen[number] = (mask, score)
        self._last_seen |= dict.fromkeys(seen, frame)
        self._forget(frame)
        return _instances(seen, photo.size_hw)

    def see(self, frame: int, boxes_xyxy: Mapping[int, Box]) -> None:
        """Take note of the numbers that an earlier run gave on a frame."""
        self._frames[frame] = None
        self._last_seen |= dict.fromkeys(boxes_xyxy, frame)

    def resume(self, frame: int, photo: Photo, masks: Mapping[int, NDArray[np.bool_]]) -> None:
        """Go on behind a frame whose answer is known: its masks are the memory to start from."""
        with self._turn, torch.inference_mode():
            self._show(frame, photo)
            for number, mask in masks.items():
                self._begin(number, frame, mask)
        self._last_seen |= dict.fromkeys(masks, frame)
        self._forget(frame)

    def _show(self, frame: int, photo: Photo) -> None:
        pixels = self._masker.pixel_values(photo)[0]
        self._frames[frame] = pixels.to(self._video.device, self._video.dtype)
        self._cache.clear_all()

    def _begin(self, number: int, frame: int, mask: NDArray[np.bool_]) -> None:
        """Give a thing a memory, which starts with its mask."""
        session: Any = Sam2VideoInferenceSession(
            inference_device=self._video.device,
            inference_state_device=self._video.device,
            video_storage_device=self._video.device,
            dtype=self._video.dtype,
        )
        session.processed_frames, session.cache = self._frames, self._cache
        side = int(self._video.image_size)
        whole = torch.from_numpy(mask).float()[None, None]
        resized = interpolate(whole, (side, side), mode="bilinear", antialias=True) >= 0.5
        session.obj_id_to_idx(_ONE)
        session.add_mask_inputs(_ONE, frame, resized.to(self._video.dtype))
        session.obj_with_new_inputs.append(_ONE)
        self._video(session, frame_idx=frame)
        self._things[number] = session

    def _remember(
        self, session: Any, frame: int, size_hw: tuple[int, int]
    ) -> tuple[NDArray[np.bool_], float] | None:
        """Return where memory says that a thing is now, and how sure; None where out of sight."""
        output = self._video(session, frame_idx=frame)
        score = float(output.object_score_logits.float().flatten()[0].sigmoid())
        mask = masks_at(output.pred_masks[:, 0].float(), size_hw)[0]
        return (mask, score) if score > self._prompt.min_score and mask.any() else None

    def _forget(self, frame: int) -> None:
        """Drop what no later frame looks at: pictures, old memories and lost things."""
        self._frames[frame] = None  # its place stays: frames are counted by it
        config = self._video.config
        oldest = frame - max(config.num_maskmem, config.max_object_pointers_in_encoder)
        for session in self._things.values():
            for memories in (
                session.output_dict_per_obj[_ONE]["non_cond_frame_outputs"],
                session.frames_tracked_per_obj[_ONE],
            ):
                for index in [one for one in memories if one <= oldest]:
                    del memories[index]
        for number, last in self._last_seen.items():
            if frame - last > MAX_UNSEEN:
                self._things.pop(number, None)


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 0.0


def _instances(
    seen: Mapping[int, tuple[NDArray[np.bool_], float]], size_hw: tuple[int, int]
) -> tuple[list[int], Instances]:
    """Return what is in sight, by score; where masks overlap, the surest has the pixel."""
    taken = np.zeros(size_hw, dtype=bool)
    numbers: list[int] = []
    counts: list[str] = []
    boxes: list[tuple[int, int, int, int]] = []
    for number in sorted(seen, key=lambda one: (-seen[one][1], one)):
        mask = seen[number][0] & ~taken
        taken |= mask
        box = tight_box(mask)
        if box is not None:
            numbers.append(number)
            counts.append(encode_mask(mask)["counts"])
            boxes.append(box)
    return numbers, Instances(
        masks=Masks(size_hw, counts),
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([seen[one][1] for one in numbers], np.float32),
        presence=max((seen[one][1] for one in numbers), default=0.0),
    )
