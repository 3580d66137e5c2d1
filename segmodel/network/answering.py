"""From phrases about encoded photos to what is kept of the answer.

Score = sigmoid(logit) * sigmoid(presence), kept above 0.5 or what a prompt says, as in the official
code. What an answer does not need is not done: a phrase whose queries all score too low has no
masks made, others have those of the queries that are kept, and nobody has a semantic map. Training
and whoever wants all of it calls the model itself.

Legend: N rows (prompts), K queries that are kept of a row, C channels, M mask side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import conv_transpose2d, interpolate
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.sam3.modeling_sam3 import Sam3MaskDecoder

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.network.finding import Findings, PromptTokens, find, prompt_tokens
from sam3i_agent.segmodel.network.photo_features import PhotoFeatures, doubling_kernel

if TYPE_CHECKING:
    from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3

_CELLS_FOR_CPU = 2048
"""Of the rows that a CPU works on at a time: what MLPs make of more is slower; see `adapters`."""
Find = Callable[..., Findings]
"""`find`, or a compiled one."""


@dataclass(frozen=True)
class Question:
    """N rows, each about a photo."""

    photos: Sequence[PhotoFeatures]
    """Of each row; rows about one photo stand together."""
    texts: Tensor
    """(N, 32, C), by `encode_text`."""
    mask: Tensor
    """(N, 32), 1 for what is no padding."""
    levels: Sequence[InstructionLevel]
    min_scores: Sequence[float]
    """That scores must be above."""
    boxes: Tensor | None = None
    """(N, B, 4) examples, centre-size in 0..1."""
    box_labels: Tensor | None = None
    """(N, B): 1, 0, or -10 for padding."""

    def part(self, rows: slice) -> "Question":
        """Return some of the rows."""
        return Question(
            self.photos[rows],
            self.texts[rows],
            self.mask[rows],
            self.levels[rows],
            self.min_scores[rows],
            None if self.boxes is None else self.boxes[rows],
            None if self.box_labels is None else self.box_labels[rows],
        )


@dataclass(frozen=True)
class RowAnswer:
    """What one row has found, the best first."""

    presence: float
    scores: Tensor
    """(K,) on the CPU, fp32."""
    boxes: Tensor
    """(K, 4), xyxy in 0..1."""
    mask_logits: Tensor
    """(K, M, M)."""


def answer(model: "InstructionSam3", question: Question, how: Find = find) -> list[RowAnswer]:
    """Answer every row; under inference mode only.

    Args:
        model: the network.
        question: the rows.
        how: to find.
    """
    rows = len(question.photos)
    at_once = rows
    if question.texts.device.type == "cpu":
        height, width = question.photos[0].side_hw
        at_once = max(1, _CELLS_FOR_CPU // (height * width))
    answers: list[RowAnswer] = []
    for start in range(0, rows, at_once):
        answers += _answer(model, question.part(slice(start, start + at_once)), how)
    return answers


def _answer(model: "InstructionSam3", question: Question, how: Find) -> list[RowAnswer]:
    photos = question.photos
    seen = torch.cat([one.seen(model) for one in photos])
    prompt = prompt_tokens(
        model, photos, question.texts, question.mask, question.boxes, question.box_labels
    )
    findings = how(model, question.levels, seen, photos[0].positions, photos[0].side_hw, prompt)
    presence = findings.presence_logits.float().sigmoid()
    scores = (findings.logits.float().sigmoid() * presence).cpu()  # the one wait for the device
    sure = presence.flatten().tolist()
    chosen: list[Tensor] = []
    for row, floor in enumerate(question.min_scores):
        kept = torch.nonzero(scores[row] > floor).flatten()
        chosen.append(kept[scores[row, kept].argsort(descending=True, stable=True)])
    masks = _masks(model, question, findings, prompt, chosen)
    return [
        RowAnswer(sure[row], scores[row, kept], findings.boxes[row, kept], masks[row])
        for row, kept in enumerate(chosen)
    ]


def _masks(
    model: "InstructionSam3", question: Question, findings: Findings, prompt: PromptTokens,
    chosen: Sequence[Tensor],
) -> list[Tensor]:  # fmt: skip
    """Return the mask logits of the chosen queries of each row, (K, M, M)."""
    decoder = model.mask_decoder
    photos = question.photos
    wanted = [row for row, kept in enumerate(chosen) if len(kept)]
    for photo in dict.fromkeys(photos):
        photo.expect_masks(decoder.pixel_decoder, sum(photos[row] is photo for row in wanted))
    convolutions = decoder.pixel_decoder.conv_layers
    kernels = (
        [doubling_kernel(one.get_parameter("weight")) for one in convolutions]
        if any(photos[row].is_convolved for row in wanted)
        else []
    )
    side_hw = photos[0].maps[0].shape[-2:]
    found = [findings.queries.new_empty(0, *side_hw)] * len(photos)
    # Row by row: a row's finest maps are as large as a cache, and what is done is the same.
    for row in wanted:
        one = slice(row, row + 1)
        asked = PromptTokens(prompt.features[one], prompt.mask[one])
        cells = _attend_to_prompt(decoder, findings.cells[one], asked)
        pixels = _embed_pixels(decoder, photos[row], cells, kernels)
        queries = findings.queries[one, chosen[row]]
        with model.at_level(question.levels[row], 1):
            embedded = decoder.mask_embedder(queries)[0]
        found[row] = _project(decoder, embedded, pixels)
    return found


def _attend_to_prompt(decoder: Sam3MaskDecoder, cells: Tensor, prompt: PromptTokens) -> Tensor:
    normed = decoder.prompt_cross_attn_norm(cells)
    attends = create_bidirectional_mask(
        config=decoder.config,
        inputs_embeds=normed,
        attention_mask=prompt.mask,
        encoder_hidden_states=prompt.features,
    )
    attended, _ = decoder.prompt_cross_attn(
        query=normed, key=prompt.features, value=prompt.features, attention_mask=attends
    )
    return cells + attended


def _embed_pixels(
    decoder: Sam3MaskDecoder, photo: PhotoFeatures, cells: Tensor, kernels: Sequence[Tensor]
) -> Tensor:
    """Return (1, C, M, M)."""
    pixel_decoder = decoder.pixel_decoder
    pixels = cells.transpose(1, 2).unflatten(-1, photo.side_hw)
    for step, own in enumerate(reversed(photo.maps[:-1])):
        if photo.is_convolved:
            pixels = conv_transpose2d(pixels, kernels[step], stride=2, padding=1).add_(own)
        else:
            grown = interpolate(pixels, size=own.shape[-2:], mode="nearest").add_(own)
            pixels = pixel_decoder.conv_layers[step](grown)
        pixels = pixel_decoder.norms[step](pixels).relu_()
    return pixels


def _project(decoder: Sam3MaskDecoder, embedded: Tensor, pixels: Tensor) -> Tensor:
    """Return (K, M, M): products of queries and projected pixels.

    The projection is applied to the few queries instead of the many pixels.
    """
    projection = decoder.instance_projection
    weight = projection.weight.flatten(1)  # (C, C)
    moved = embedded @ weight
    offset = embedded @ projection.get_parameter("bias")
    return torch.addmm(offset[:, None], moved, pixels[0].flatten(1)).unflatten(1, pixels.shape[-2:])
