"""Names of the forms of prediction files, without the weight of reading them."""

from enum import StrEnum


class PredictionForm(StrEnum):
    """Who reads a prediction file."""

    COCO = "coco"
    """A list of COCO results: the official evaluator of SA-Co, pycocotools."""
    SAM3I = "sam3i"
    """A list with an entry per annotation and text: SAM3-I's evaluation script."""
    JSONL = "jsonl"
    """The lines of a comparison, `sam3i compare`; those of a folder, `sam3i segment`, are read."""
