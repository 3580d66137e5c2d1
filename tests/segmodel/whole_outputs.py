"""What an answer keeps, picked from the output of the whole network: the plain way."""

from collections.abc import Sequence

import torch
from transformers.models.sam3.modeling_sam3 import Sam3ImageSegmentationOutput

from sam3i_agent.segmodel.network.answering import RowAnswer


def kept_of(output: Sam3ImageSegmentationOutput, floors: Sequence[float]) -> list[RowAnswer]:
    """Return the queries of each row that score above its floor, the best first."""
    assert output.presence_logits is not None and output.pred_logits is not None
    presence = output.presence_logits.float().sigmoid()
    scores = output.pred_logits.float().sigmoid() * presence
    rows: list[RowAnswer] = []
    for row, floor in enumerate(floors):
        kept = torch.nonzero(scores[row] > floor).flatten()
        kept = kept[scores[row, kept].argsort(descending=True, stable=True)]
        boxes, masks = output.pred_boxes[row, kept], output.pred_masks[row, kept]
        rows.append(RowAnswer(float(presence[row]), scores[row, kept], boxes, masks))
    return rows
