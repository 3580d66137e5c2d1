"""Tracking by SAM 3's own memory: what was seen of a thing says where it is now.

`Sam3VideoModel` detects the concept in every frame, propagates the tracks so far through its
memory, and matches the two. The concept model's ViT serves both halves. The session of
transformers keeps every frame and every memory; here only what the next frame can use stays, so a
clip may be of any length.
"""
# transformers' annotations hide what its modules and configurations hold.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalIterable=false, reportOptionalSubscript=false, reportGeneralTypeIssues=false

import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from transformers import Sam3VideoModel
from transformers.models.sam3_video.modeling_sam3_video import (
    Sam3VideoInferenceSession,
    Sam3VideoSegmentationOutput,
)

from sam3i_agent.core.instances import Instances
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.rle import encode_mask, tight_box
from sam3i_agent.segmodel.checkpoints.other_half import load_other_half
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.postprocessing import masks_at
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.segmenter import Box
from sam3i_agent.segmodel.tokenization import InstructionTokenizer

MAX_UNSEEN = 300
"""Frames after which a track that is out of sight is given up."""
_PROMPT_ID = 0


class MemoryTracker:
    """Follows one noun phrase through a clip; not to be shared between threads.

    Args:
        video: as `load_video_model` returned it.
        tokenizer: of the concept model in it.
        turn: held by whoever runs that model.
        text: the noun phrase.
    """

    def __init__(
        self,
        video: Sam3VideoModel,
        tokenizer: InstructionTokenizer,
        turn: threading.Lock,
        text: str,
    ) -> None:
        self._video = video
        self._turn = turn
        self._session = Sam3VideoInferenceSession(
            inference_device=video.device,
            inference_state_device=video.device,
            video_storage_device=video.device,
            dtype=video.dtype,
        )
        self._session.add_prompt(text)
        tokens = tokenizer([text])
        with turn, torch.inference_mode():
            features = video.detector_model.encode_text(tokens.input_ids.to(video.device))
        self._session.prompt_input_ids[_PROMPT_ID] = tokens.input_ids.to(video.device)
        self._session.prompt_attention_masks[_PROMPT_ID] = tokens.attention_mask.to(video.device)
        self._session.prompt_embeddings[_PROMPT_ID] = features
        self._last_seen: dict[int, int] = {}

    def step(self, frame: int, photo: Photo) -> tuple[list[int], Instances]:
        """Return the number and the mask of each track in sight; see `Tracker.step`."""
        with self._turn, torch.inference_mode():
            output = self._video(self._session, frame=self._pixels(photo), frame_idx=frame)
        numbers, found = _instances(output, photo.size_hw)
        self._last_seen |= dict.fromkeys(numbers, frame)
        self._forget(frame)
        return numbers, found

    def see(self, frame: int, boxes_xyxy: Mapping[int, Box]) -> None:
        """Take note of the numbers that an earlier run gave on a frame."""
        self._last_seen |= dict.fromkeys(boxes_xyxy, frame)

    def resume(self, frame: int, photo: Photo, masks: Mapping[int, NDArray[np.bool_]]) -> None:
        """Go on behind a frame whose answer is known: its masks are the memory to start from.

        Args:
            frame: its index; all frames up to it went through `see`.
            photo: the frame.
            masks: (H, W) of each track in sight, by number.
        """
        session, video = self._session, self._video
        session.processed_frames = dict.fromkeys(range(frame))
        session.max_obj_id = max(self._last_seen, default=0) - 1
        if not masks:
            return
        identities = [number - 1 for number in masks]
        side = (video.low_res_mask_size,) * 2
        small = torch.from_numpy(np.stack(list(masks.values()))).float()[:, None]
        small = interpolate(small, side, mode="area")[:, 0].to(video.device, video.dtype)
        with self._turn, torch.inference_mode():
            session.add_new_frame(self._pixels(photo), frame)
            vision = video.detector_model.get_vision_features(session.get_frame(frame)[None])
            maps, positions = video.get_vision_features_for_tracker(vision)
            session.cache.cache_vision_features(
                frame, {"vision_feats": maps, "vision_pos_embeds": positions}
            )
            for identity in identities:
                session.obj_id_to_prompt_id[identity] = _PROMPT_ID
                session.obj_id_to_score[identity] = 1.0
                session.obj_first_frame_idx[identity] = frame
                session.trk_keep_alive[identity] = video.init_trk_keep_alive
            video._tracker_add_new_objects(session, frame, identities, small)
        self._forget(frame)

    def _pixels(self, photo: Photo) -> torch.Tensor:
        side = self._video.detector_model.config.image_size
        return to_pixel_values(photo.pixels, side)[0].to(self._video.device, self._video.dtype)

    def _forget(self, frame: int) -> None:
        """Drop what no later frame looks at: pictures, old memories and lost tracks."""
        session, tracker = self._session, self._video.tracker_model.config
        session.processed_frames[frame] = None  # its place stays: frames are counted by it
        pointers = tracker.max_object_pointers_in_encoder
        oldest = frame - max(tracker.num_maskmem, pointers)
        for memories in session.output_dict_per_obj.values():
            _keep_after(memories["non_cond_frame_outputs"], oldest)
            told = memories["cond_frame_outputs"]
            for index in sorted(told)[1 : max(1, len(told) - pointers + 1)]:
                del told[index]  # the first look and the latest ones stay
        for tracked in session.frames_tracked_per_obj.values():
            _keep_after(tracked, oldest)
        for by_frame in (session.obj_id_to_tracker_score_frame_wise, session.suppressed_obj_ids):
            _keep_after(by_frame, frame - 1)
        # Both only decide on removals in the first frames of a clip that is known as a whole.
        session.unmatched_frame_inds = defaultdict(list)
        session.overlap_pair_to_frame_inds = defaultdict(list)
        for number, last in list(self._last_seen.items()):
            if frame - last > MAX_UNSEEN:
                del self._last_seen[number]
                self._give_up(number - 1)

    def _give_up(self, identity: int) -> None:
        session = self._session
        if identity not in session._obj_id_to_idx:
            return
        if len(session.obj_ids) == 1:
            # The session would throw away its objects, but not what it holds of them.
            session.reset_tracking_data()
            session.mask_inputs_per_obj.clear()
            session.point_inputs_per_obj.clear()
        else:
            session.remove_object(identity)
        for held in (
            session.obj_id_to_score,
            session.obj_id_to_last_occluded,
            session.obj_first_frame_idx,
            session.trk_keep_alive,
        ):
            held.pop(identity, None)


def load_video_model(name: str, concepts: InstructionSam3) -> Sam3VideoModel:
    """Load the video half of a model around its concept model.

    Args:
        name: hub id or folder of a repository that holds both halves, such as `facebook/sam3`; or
            an official file with both.
        concepts: the loaded concept model, which gives device, precision and the ViT.

    Raises:
        ModelError: there is none under this name.
    """
    video: Any = load_other_half(Sam3VideoModel, name)  # a decorator hides the type of `to`
    video.detector_model = concepts
    weight = next(concepts.parameters())
    return video.to(weight.device, weight.dtype).eval().requires_grad_(False)


def _instances(
    output: Sam3VideoSegmentationOutput, size_hw: tuple[int, int]
) -> tuple[list[int], Instances]:
    """Return what is to be seen, by score; where masks overlap, the surest has the pixel."""
    hidden = {*output.suppressed_obj_ids, *output.removed_obj_ids}
    detected: Any = output.obj_id_to_score
    scores: dict[int, float] = {**detected, **output.obj_id_to_tracker_score}
    shown = sorted(
        (one for one in output.obj_id_to_mask if one not in hidden),
        key=lambda one: (-float(scores[one]), one),
    )
    taken = np.zeros(size_hw, dtype=bool)
    kept: list[int] = []
    counts: list[str] = []
    boxes: list[tuple[int, int, int, int]] = []
    for one in shown:
        mask = masks_at(output.obj_id_to_mask[one], size_hw)[0] & ~taken
        taken |= mask
        box = tight_box(mask)
        if box is not None:
            kept.append(int(one))
            counts.append(encode_mask(mask)["counts"])
            boxes.append(box)
    found = Instances(
        masks=Masks(size_hw, counts),
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([float(scores[one]) for one in kept], np.float32),
        presence=float(bool(kept)),
    )
    return [one + 1 for one in kept], found


def _keep_after(by_frame: dict[int, Any], oldest: int) -> None:
    for index in [one for one in by_frame if one <= oldest]:
        del by_frame[index]
