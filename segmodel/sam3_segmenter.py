"""SAM 3 in this process, with or without an instruction head: the plain segmenter.

segmenter = load_segmenter("tiny")
image = segmenter.encode(photo)                      # the costly part, once
red, blue = image.segment([Prompt("red circle"), Prompt("blue ring")])
"""
# transformers' annotations hide what its modules and configurations hold.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportOptionalSubscript=false

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers.models.sam3.modeling_sam3 import (
    Sam3DetrDecoderLayer,
    Sam3DetrEncoderLayer,
    Sam3VisionEncoderOutput,
    Sam3ViTLayer,
)

from sam3i_agent.core.contracts import WeightsFile
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click, Prompt
from sam3i_agent.segmodel.checkpoints.hashes import RunningWeights
from sam3i_agent.segmodel.checkpoints.repository import base_model_of, has_video_half
from sam3i_agent.segmodel.exemplars import check_box, pad_exemplars
from sam3i_agent.segmodel.hardware import dtype_name
from sam3i_agent.segmodel.network.answering import Find, Question, RowAnswer, answer
from sam3i_agent.segmodel.network.finding import find
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from sam3i_agent.segmodel.network.photo_features import PhotoFeatures
from sam3i_agent.segmodel.postprocessing import to_instances
from sam3i_agent.segmodel.preprocessing import to_pixel_values
from sam3i_agent.segmodel.sam3_image import Sam3Image
from sam3i_agent.segmodel.segmenter import Box, Lookups, Passes, Tracker, Work
from sam3i_agent.segmodel.sharing.combining import Combiner
from sam3i_agent.segmodel.sharing.encoding_cache import EncodingCache
from sam3i_agent.segmodel.sharing.text_cache import TextCache
from sam3i_agent.segmodel.stop_hooks import stop_hook
from sam3i_agent.segmodel.tokenization import PAD_ID, InstructionTokenizer
from sam3i_agent.segmodel.video.linking import LinkingTracker

if TYPE_CHECKING:
    from transformers import Sam3VideoModel

    from sam3i_agent.segmodel.clicks import ClickModel

PASS_BYTES = 2 * 1024**3
"""Of what one pass over prompts makes beside the features; more prompts take several passes."""
MAX_ROWS = 64
"""Prompts in one pass at most."""
MAX_PHOTOS = 8
"""Photos in one pass through the encoder."""
_PATCHES_FOR_CPU = 2048
"""That keep a CPU busy: more photos in a pass would only make each of them wait for all."""
_MAPS_OF_MASK_SIZE = 3
"""Feature maps as fine as the masks that the mask decoder holds at a time."""
_LAYERS = (Sam3ViTLayer, Sam3DetrEncoderLayer, Sam3DetrDecoderLayer)
"""A caller that has gone away stops the work before the next of them."""


@dataclass(frozen=True)
class _Question:
    """Prompts about one encoded photo, all with example boxes or all without."""

    photo: PhotoFeatures
    size_hw: tuple[int, int]
    prompts: Sequence[Prompt]


class Sam3Segmenter:
    """A model ready to use; safe to share between threads.

    What several threads ask while the model is busy is answered together. The latest photos stay
    encoded in `encodings` and the latest texts in `texts`, so a further question is cheap.

    Args:
        model: in evaluation mode.
        name: under which it was loaded; where that, or what its head is on top of, is a SAM 3 with
            both halves, clicks and the memory of clips come from there, when first needed.
    """

    def __init__(self, model: InstructionSam3, name: str) -> None:
        self.name = name
        self._base = base_model_of(name)
        self._weights = RunningWeights(name)
        self.model = model
        text = model.config.text_config
        self.tokenizer = InstructionTokenizer(text.vocab_size, text.max_position_embeddings)
        self.encodings: EncodingCache[Sam3Image] = EncodingCache()
        self.texts = TextCache()
        self.find: Find = find
        """How phrases are looked for; see `network.compiling`."""
        self.turn = threading.Lock()
        """Held by whoever runs the model."""
        self.encoder = Combiner(self._encode_together, self.turn, _photos_per_pass(model))
        self.decoder = Combiner(self._answer_together, self.turn, _rows_per_pass(model))
        self._stops = [
            (type(module), module.register_forward_pre_hook(stop_hook))
            for module in model.modules()
            if isinstance(module, _LAYERS)
        ]
        self._loading = threading.Lock()
        self._clicker: ClickModel | None = None
        self._video: Sam3VideoModel | None = None

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
    def weights(self) -> tuple[WeightsFile, ...]:
        """Files that it was loaded from, with their hashes; see `Segmenter.weights`."""
        return self._weights.files()

    @property
    def takes_clicks(self) -> bool:
        """Whether the model's repository has a half for clicks."""
        return has_video_half(self._base)

    @property
    def has_memory(self) -> bool:
        """Whether the model's repository has a half for videos."""
        return has_video_half(self._base)

    @property
    def context_length(self) -> int:
        """Ids that the model reads of a text."""
        return self.tokenizer.context_length

    @property
    def input_side(self) -> int:
        """Side of the square that photos are resized to, in pixels."""
        return self.model.config.image_size

    @property
    def query_count(self) -> int:
        """Instances that an answer can have at most."""
        return self.model.config.detr_decoder_config.num_queries

    @property
    def description(self) -> str:
        """Name, device and precision, for a log line."""
        return f"{self.name} on {self.model.device.type} in {dtype_name(self.model.dtype)}"

    @property
    def tokens(self) -> InstructionTokenizer:
        """Counts as the model does."""
        return self.tokenizer

    def work(self) -> Work:
        """Return what the model has done so far."""
        return Work(
            photos=Lookups(self.encodings.hits, self.encodings.misses),
            texts=Lookups(self.texts.hits, self.texts.misses),
            kept_bytes=self.encodings.nbytes,
            encoder=Passes(self.encoder.batches, self.encoder.jobs),
            decoder=Passes(self.decoder.batches, self.decoder.jobs),
        )

    def forget_stops(self, kind: type[nn.Module]) -> None:
        """No longer look before layers of this kind whether the caller still waits."""
        for layer, hook in self._stops:
            if issubclass(layer, kind):
                hook.remove()

    def count_tokens(self, text: str) -> int:
        """Return the ids that `text` needs, start and end markers included."""
        return self.tokenizer.count_tokens(text)

    def encode(self, photo: Photo, *, keep: bool = True) -> Sam3Image:
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

    def _encode(self, photo: Photo) -> Sam3Image:
        pixel_values = to_pixel_values(photo.pixels, self.input_side, self.model.device)
        return Sam3Image(self.answer, self.encoder(pixel_values), photo.size_hw)

    def click(
        self,
        photo: Photo,
        clicks: Sequence[Click] = (),
        box_xyxy: Box | None = None,
        mask: NDArray[np.bool_] | None = None,
        *,
        several: bool = True,
    ) -> ClickMasks:
        """Return the masks of the one instance that clicks and a box mean; see `Segmenter`."""
        with self._loading:
            if self._clicker is None:
                from sam3i_agent.segmodel.clicks import load_click_model

                self._clicker = load_click_model(self._base, self.model)
        return self._clicker.segment(self.encode(photo), clicks, box_xyxy, mask, several=several)

    def follow(self, text: str) -> Tracker:
        """Return what follows a noun phrase: by SAM 3's memory where the model has one.

        Raises:
            ModelError: the model's video half cannot be loaded.
        """
        if not self.has_memory:
            return LinkingTracker(self, text)
        from sam3i_agent.segmodel.video.memory import MemoryTracker, load_video_model

        with self._loading:
            if self._video is None:
                self._video = load_video_model(self._base, self.model)
        return MemoryTracker(self._video, self.tokenizer, self.turn, text)

    @torch.inference_mode()
    def _encode_together(self, photos: Sequence[Tensor]) -> list[PhotoFeatures]:
        pixel_values = torch.cat(list(photos)).to(self.model.device, self.model.dtype)
        vision = self.model.get_vision_features(pixel_values)
        rows = [vision] if len(photos) == 1 else [_row(vision, i) for i in range(len(photos))]
        return [PhotoFeatures(one) for one in rows]

    def answer(
        self, photo: PhotoFeatures, size_hw: tuple[int, int], prompts: Sequence[Prompt]
    ) -> list[Instances]:
        """Answer `prompts` about one encoded image; see `Sam3Image.segment`."""
        self._check(prompts, size_hw)
        at_once = _rows_per_pass(self.model)
        found: dict[int, Instances] = {}
        for with_boxes in (False, True):
            chosen = [i for i, one in enumerate(prompts) if bool(one.exemplars) is with_boxes]
            for start in range(0, len(chosen), at_once):
                some = chosen[start : start + at_once]
                question = _Question(photo, size_hw, [prompts[i] for i in some])
                rows = self.decoder(question, kind=with_boxes, cost=len(some))
                with torch.inference_mode():
                    found |= {
                        i: to_instances(row, size_hw) for i, row in zip(some, rows, strict=True)
                    }
        return [found[i] for i in range(len(prompts))]

    @torch.inference_mode()
    def _answer_together(self, questions: Sequence[_Question]) -> list[list[RowAnswer]]:
        prompts = [prompt for one in questions for prompt in one.prompts]
        tokens = self.tokenizer([prompt.words for prompt in prompts])
        levels = [prompt.level for prompt in prompts]
        features = self.texts.get(
            [(one.words, one.level, self.model.dtype, self.model.device) for one in prompts],
            lambda rows: self.encode_texts(tokens.input_ids[rows], [levels[row] for row in rows]),
        )
        boxes = self._boxes(questions) if prompts[0].exemplars else {}
        asked = Question(
            photos=[one.photo for one in questions for _ in one.prompts],
            texts=features,
            mask=tokens.attention_mask.to(self.model.device),
            levels=levels,
            min_scores=[prompt.min_score for prompt in prompts],
            **boxes,
        )
        answers = iter(answer(self.model, asked, self.find))
        return [[next(answers) for _ in one.prompts] for one in questions]

    def encode_texts(self, input_ids: Tensor, levels: Sequence[InstructionLevel]) -> Tensor:
        """Return the features of texts, (N, L, C), kept by nobody; not for several threads.

        Where the text encoder is causal what follows the longest text is not computed: it is
        padding, which every later layer masks. The adapters of the other levels do look there.

        Args:
            input_ids: (N, L), on the CPU.
            levels: of the texts.
        """
        length = input_ids.shape[1]
        used = length
        if not self.model.config.has_lite_text and set(levels) == {InstructionLevel.CONCEPT}:
            used = 1 + int((input_ids != PAD_ID).any(0).nonzero().max())
        asked = input_ids[:, :used].to(self.model.device)
        features = self.model.encode_text(asked, levels).pooler_output
        if features is None:
            raise ValueError("the text encoder gave no features")
        return pad(features, (0, 0, 0, length - used))

    def _check(self, prompts: Sequence[Prompt], size_hw: tuple[int, int]) -> None:
        """Refuse bad prompts before they meet those of others."""
        self.model.check_levels([prompt.level for prompt in prompts])
        exemplars = [one for prompt in prompts for one in prompt.exemplars]
        if exemplars and not self.takes_exemplars:
            raise InputError(
                f"the model {self.name!r} was not trained on example boxes",
                "use --model facebook/sam3, or say in words what to look for",
            )
        for one in exemplars:
            check_box(one.box_xyxy, size_hw)

    def _boxes(self, questions: Sequence[_Question]) -> dict[str, Tensor]:
        boxes, labels = pad_exemplars(
            [(prompt.exemplars, one.size_hw) for one in questions for prompt in one.prompts]
        )
        return {
            "boxes": boxes.to(self.model.device, self.model.dtype),
            "box_labels": labels.to(self.model.device),
        }


def _photos_per_pass(model: InstructionSam3) -> int:
    """Return how many photos are worth encoding together."""
    if model.device.type != "cpu":
        return MAX_PHOTOS
    backbone = model.config.vision_config.backbone_config
    patches = (backbone.image_size // backbone.patch_size) ** 2
    return max(1, min(MAX_PHOTOS, _PATCHES_FOR_CPU // patches))


def _rows_per_pass(model: InstructionSam3) -> int:
    """Return how many prompts fit into a pass; queries' masks and fine maps take the memory."""
    config = model.config
    side = config.vision_config.backbone_feature_sizes[0][0]
    maps = config.detr_decoder_config.num_queries
    maps += _MAPS_OF_MASK_SIZE * config.vision_config.fpn_hidden_size
    return max(1, min(MAX_ROWS, PASS_BYTES // (maps * side * side * model.dtype.itemsize)))


def _row(vision: Sam3VisionEncoderOutput, index: int) -> Sam3VisionEncoderOutput:
    """Return one photo's features, without holding on to the others'."""
    return Sam3VisionEncoderOutput(
        last_hidden_state=vision.last_hidden_state[index : index + 1].clone(),
        fpn_hidden_states=tuple(one[index : index + 1].clone() for one in vision.fpn_hidden_states),
        fpn_position_encoding=tuple(one[:1] for one in vision.fpn_position_encoding),
    )
