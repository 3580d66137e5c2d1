"""OWLv2: a photo is encoded once, any number of words or examples is one product with it.

Legend: P patches, each of which proposes a box; C channels; Q queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou, clip_boxes_to_image, nms
from transformers import Owlv2ForObjectDetection, Owlv2ImageProcessor

from sam3i_agent.core.photo import Photo
from sam3i_agent.segmodel.open_vocabulary.calibration import (
    EXAMPLE_THRESHOLD,
    TEXT_THRESHOLD,
    calibrated,
)
from sam3i_agent.segmodel.segmenter import Box
from sam3i_agent.segmodel.tokenization import InstructionTokenizer

NMS_IOU = 0.5
"""Of two boxes of a phrase that overlap more, the surer stays."""
MAX_INSTANCES = 200
"""Of a phrase; SAM 3 has as many queries."""
_NEARLY_BEST = 0.8
"""Share of the best overlap with an example from which a patch may stand for it (OWL-ViT)."""


@dataclass(frozen=True)
class Patches:
    """What OWLv2 sees of one photo."""

    features: Tensor
    """(1, P, C)."""
    looks: Tensor
    """(P, D), of which each can be a query."""
    boxes_xyxy: Tensor
    """(P, 4) fp32, in pixels of the photo, which they may leave."""
    size_hw: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return self.features.nbytes + self.looks.nbytes + self.boxes_xyxy.nbytes


@dataclass(frozen=True)
class Boxes:
    """What was found for one phrase, the surest first."""

    boxes_xyxy: Tensor
    """(N, 4) fp32, in pixels, inside the photo."""
    scores: Tensor
    """(N,) fp32, calibrated."""
    presence: float
    """The best score of all, kept or not: OWLv2 has no other."""


class Detector:
    """Turns words and examples into boxes; whoever calls it holds the model's turn.

    Args:
        model: in evaluation mode.
    """

    def __init__(self, model: Owlv2ForObjectDetection) -> None:
        self.model: Any = model  # transformers' annotations hide what its modules hold
        text = self.model.config.text_config
        self.tokenizer = InstructionTokenizer(text.vocab_size, text.max_position_embeddings)
        side = self.input_side
        self._processor = Owlv2ImageProcessor(size={"height": side, "width": side})

    @property
    def input_side(self) -> int:
        """Side of the square that photos are padded and resized to, in pixels."""
        return int(self.model.config.vision_config.image_size)

    def look(self, photo: Photo) -> Patches:
        """Encode a photo: the costly part."""
        model = self.model
        pixels = self._processor(  # a copy: those of replicas are read-only, of which torch warns
            images=np.array(photo.pixels), input_data_format="channels_last", return_tensors="pt"
        ).pixel_values.to(model.device, model.dtype)
        feature_map, _ = model.image_embedder(pixels)
        features = feature_map.flatten(1, 2)
        boxes = model.box_predictor(features, feature_map)[0].float()
        _, looks = model.class_predictor(features)
        scale = max(photo.size_hw)  # of the padded square
        return Patches(
            features, looks[0], box_convert(boxes, "cxcywh", "xyxy") * scale, photo.size_hw
        )

    def read(self, texts: Sequence[str]) -> Tensor:
        """Return the (Q, D) queries of texts."""
        model, tokens = self.model, self.tokenizer(texts)
        read = model.owlv2.get_text_features(
            tokens.input_ids.to(model.device),
            attention_mask=tokens.attention_mask.to(model.device),
        ).pooler_output
        return read / torch.linalg.norm(read, dim=-1, keepdim=True)

    def query_of(self, patches: Patches, example_xyxy: Box) -> Tensor:
        """Return the (D,) query of an example: the look of the patch that boxes it.

        Of several that box it nearly as well, the one least like the photo's mean stands for the
        example and not for the ground, as in OWL-ViT.
        """
        example = torch.tensor([example_xyxy], device=patches.boxes_xyxy.device)
        overlaps = box_iou(example, patches.boxes_xyxy)[0]
        near = torch.nonzero(overlaps >= _NEARLY_BEST * overlaps.max()).flatten()
        mean = patches.looks.float().mean(0)
        return patches.looks[near[(patches.looks[near].float() @ mean).argmin()]]

    def scores(self, patches: Patches, texts: Tensor, examples: Tensor) -> tuple[Tensor, Tensor]:
        """Return the calibrated (P, T) and (P, E) scores of T texts and E examples, in one product.

        Args:
            patches: of the photo.
            texts: (T, D), of `read`.
            examples: (E, D), of `query_of`.
        """
        queries = torch.cat([texts, examples])
        logits = self.model.class_predictor(patches.features, queries[None], None)[0][0]
        read, seen = logits.split([len(texts), len(examples)], dim=1)
        return calibrated(read, TEXT_THRESHOLD), calibrated(seen, EXAMPLE_THRESHOLD)


def pick(patches: Patches, scores: Tensor, min_score: float) -> Boxes:
    """Return the boxes of one phrase: above a score, inside the photo, without doubles.

    Args:
        patches: of the photo.
        scores: (P,), calibrated.
        min_score: that scores must be above.
    """
    chosen = torch.nonzero(scores > min_score).flatten()
    boxes = clip_boxes_to_image(patches.boxes_xyxy[chosen], patches.size_hw)
    within = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(dim=1)  # others lie in the padding
    chosen, boxes = chosen[within], boxes[within]
    kept = nms(boxes, scores[chosen], NMS_IOU)[:MAX_INSTANCES]
    return Boxes(boxes[kept], scores[chosen[kept]], float(scores.max()))
