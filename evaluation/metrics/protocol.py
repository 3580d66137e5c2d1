"""Names of evaluation protocols, without the weight of computing them."""

from enum import StrEnum


class EvaluationProtocol(StrEnum):
    """An evaluation's rules."""

    SACO = "saco"
    """SA-Co: cgF1 over image-phrase pairs; several ground truths make an oracle."""
    SAM3I_1TO1 = "sam3i-1to1"
    """SAM3-I: one target per record, aligned by annotation."""
    SAM3I_MULTI = "sam3i-multi"
    """SAM3-I `multi_inst`: the union of an image's targets."""
    REASONSEG = "reasonseg"
    """gIoU and cIoU of ReasonSeg and RefCOCO."""
    GREFCOCO = "grefcoco"
    """The same with targets that may be absent."""
