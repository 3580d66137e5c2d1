"""A loaded model, and images that it has seen.

segmenter = load_segmenter("tiny")
image = segmenter.encode(photo)                      # the costly part, once
red, blue = image.segment([Prompt("red circle"), Prompt("blue ring")])
"""
# transformers' annotations hide what its modules and configurations hold.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.sam3.modeling_sam3 import (
    Sam3DetrDecoderLayer,
    Sam3DetrEncoderLayer,
    Sam3VisionEncoderOutput,
    Sam3ViTLayer,
)

from sam3i_agent.segmodel.encoding_cache import EncodingCache
from sam3i_agent.segmodel.errors import InputError
from sam3i_agent.segmodel.exemplars import check_box, pad_exemplars
from sam3i_agent.segmodel.instances import Instances
from sam3i_agent.segmodel.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.photo import Photo
from sam3i_agent.segmodel.postprocessing import SCORE_THRESHOLD, to_instances
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.prompt import Prompt
from sam3i_agent.segmodel.stopping import check_stop
from sam3i_agent.segmodel.tokenization import InstructionTokenizer

PROMPTS_PER_PASS = 16
"""More prompts are answered in several passes, which bounds memory."""
_LAYERS = (Sam3ViTLayer, Sam3DetrEncoderLayer, Sam3DetrDecoderLayer)
"""A caller that has gone away stops the work before the next of them."""


class Segmenter:
    """A model ready to use; safe to share between threads, which take turns.

    The latest photos stay encoded in `encodings`, so a further question about one of them is
    cheap.
    """

    def __init__(self, model: InstructionSam3, name: str) -> None:
        self.name = name
        self.model = model
        self.tokenizer = InstructionTokenizer(model.config.text_config.vocab_size)
        self.encodings: EncodingCache[EncodedImage] = EncodingCache()
        self.turn = threading.Lock()
        """Held by whoever runs the model."""
        for module in model.modules():
            if isinstance(module, _LAYERS):
                module.register_forward_pre_hook(_stop_hook)

    @property
    def levels(self) -> tuple[InstructionLevel, ...]:
        """Levels that the model was trained for."""
        if self.model.config.has_instruction_head:
            return tuple(InstructionLevel)
        return (InstructionLevel.CONCEPT,)

    @property
    def takes_exemplars(self) -> bool:
        """Whether the model was trained on example boxes."""
        return self.model.config.takes_exemplars

    @property
    def description(self) -> str:
        """Name, device and precision, for a log line."""
        return f"{self.name} on {self.model.device.type} in {str(self.model.dtype)[6:]}"

    def count_tokens(self, text: str) -> int:
        """Return the ids that `text` needs, start and end markers included; the model takes 32."""
        return self.tokenizer.count_tokens(text)

    def encode(self, photo: Photo, *, keep: bool = True) -> EncodedImage:
        """Compute the features of `photo`, or return those kept from before.

        Args:
            photo: the picture, upright.
            keep: whether to keep them; False for a frame of a clip, which does not come again.

        Raises:
            StoppedError: the caller of `stopping.run_in_thread` was cancelled.
        """
        if not keep:
            return self._encode(photo)
        # A model that was moved or cast has other features.
        key = f"{photo.sha256} {photo.size_hw} {self.model.dtype} {self.model.device}"
        return self.encodings.get(key, lambda: self._encode(photo))

    def _encode(self, photo: Photo) -> EncodedImage:
        pixel_values = to_pixel_values(photo.pixels, self.model.config.image_size)
        with self.turn, torch.inference_mode():
            vision = self.model.get_vision_features(
                pixel_values.to(self.model.device, self.model.dtype)
            )
        return EncodedImage(self, vision, photo.size_hw)

    def answer(
        self,
        vision: Sam3VisionEncoderOutput,
        size_hw: tuple[int, int],
        prompts: Sequence[Prompt],
        score_threshold: float,
    ) -> list[Instances]:
        """Answer `prompts` about one encoded image; see `EncodedImage.segment`."""
        found: list[Instances] = []
        for start in range(0, len(prompts), PROMPTS_PER_PASS):
            some = prompts[start : start + PROMPTS_PER_PASS]
            found += self._pass(vision, size_hw, some, score_threshold)
        return found

    def _pass(
        self,
        vision: Sam3VisionEncoderOutput,
        size_hw: tuple[int, int],
        prompts: Sequence[Prompt],
        score_threshold: float,
    ) -> list[Instances]:
        """Answer a few prompts; those with exemplars and those without are batches of their own."""
        found: dict[int, Instances] = {}
        for with_boxes in (False, True):
            chosen = [i for i, one in enumerate(prompts) if bool(one.exemplars) is with_boxes]
            if not chosen:
                continue
            some = [prompts[i] for i in chosen]
            tokens = self.tokenizer([prompt.text for prompt in some])
            boxes = self._boxes(some, size_hw) if with_boxes else {}
            with self.turn, torch.inference_mode():
                output = self.model(
                    vision_embeds=vision,
                    input_ids=tokens.input_ids.to(self.model.device),
                    attention_mask=tokens.attention_mask.to(self.model.device),
                    level=[prompt.level for prompt in some],
                    **boxes,
                )
                answers = to_instances(output, size_hw, score_threshold)
            found |= dict(zip(chosen, answers, strict=True))
        return [found[i] for i in range(len(prompts))]

    def _boxes(self, prompts: Sequence[Prompt], size_hw: tuple[int, int]) -> dict[str, Tensor]:
        if not self.takes_exemplars:
            raise InputError(
                f"the model {self.name!r} was not trained on example boxes",
                "use --model facebook/sam3, or say in words what to look for",
            )
        for exemplar in (one for prompt in prompts for one in prompt.exemplars):
            check_box(exemplar.box_xyxy, size_hw)
        boxes, labels = pad_exemplars([prompt.exemplars for prompt in prompts], size_hw)
        return {
            "input_boxes": boxes.to(self.model.device, self.model.dtype),
            "input_boxes_labels": labels.to(self.model.device),
        }


def _stop_hook(module: nn.Module, inputs: Any) -> None:
    check_stop()


@dataclass(frozen=True)
class EncodedImage:
    """The features of one photo, computed once, that answer any number of prompts."""

    segmenter: Segmenter
    vision: Sam3VisionEncoderOutput
    size_hw: tuple[int, int]
    """Of the photo, in pixels."""
    encodings: int = 1
    """Passes through the encoder that it took."""

    @property
    def nbytes(self) -> int:
        """Bytes of the features."""
        vision = self.vision
        maps = (*vision.fpn_hidden_states, *vision.fpn_position_encoding, vision.last_hidden_state)
        return sum(one.nbytes for one in maps if one is not None)

    def segment(
        self, prompts: Sequence[Prompt], score_threshold: float = SCORE_THRESHOLD
    ) -> list[Instances]:
        """Return the instances of each prompt, in order, computed in one batch.

        Args:
            prompts: any number; different levels may be mixed.
            score_threshold: scores must be above it, 0..1.

        Raises:
            InputError: a level needs an instruction head that the model lacks, the model takes no
                exemplars, or a box does not lie in the photo.
            StoppedError: the caller of `stopping.run_in_thread` was cancelled.
        """
        return self.segmenter.answer(self.vision, self.size_hw, prompts, score_threshold)
