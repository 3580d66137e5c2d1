"""What a prediction file says, whatever its form: one answer per text of an image entry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import Rle
from sam3i_agent.evaluation.metrics.truth import NO_ANNOTATION, GroundTruth


class Selection(Frozen):
    """Which answers of a file are meant, where it has several kinds."""

    route: str | None = None
    """Of a comparison's lines."""
    level: InstructionLevel | None = None


EVERYTHING = Selection()


@dataclass(frozen=True)
class FoundMask:
    """One predicted mask."""

    rle: Rle
    score: float = 1.0


@dataclass(frozen=True)
class Answer:
    """All masks for one text; none where nothing was found."""

    image_id: int
    masks: tuple[FoundMask, ...]
    annotation_id: int = NO_ANNOTATION
    """That it answers; `NO_ANNOTATION` where the text means all annotations of its image."""
    level: InstructionLevel | None = None
    """Of the text; None where the file does not say it."""
    number: int = 0
    """Of the text among those of its level."""

    def rles(self, min_score: float = 0.0) -> list[Rle]:
        """Return the encodings of the masks with at least this score."""
        return [one.rle for one in self.masks if one.score >= min_score]


def by_annotation(answers: Sequence[Answer], truth: GroundTruth) -> list[Answer]:
    """Return answers that name an annotation each, as SAM3-I's files do.

    An answer about an image is one about each of its annotations; where an image has none, its
    answers name none.
    """
    found: list[Answer] = []
    for one in answers:
        ids = truth.images[one.image_id].annotation_ids
        if one.annotation_id != NO_ANNOTATION or not ids:
            found.append(one)
        else:
            found.extend(replace(one, annotation_id=id_) for id_ in ids)
    return found


def by_image(answers: Sequence[Answer]) -> list[Answer]:
    """Return answers about images: those about its annotations, put together.

    A mask that several annotations of an image were answered with counts once; one that a single
    answer repeats stays repeated.
    """
    groups: dict[tuple[int, InstructionLevel | None, int], Answer] = {}
    for one in answers:
        key = one.image_id, one.level, one.number
        before = groups.get(key)
        if before is None:
            groups[key] = replace(one, annotation_id=NO_ANNOTATION)
            continue
        known = {mask.rle["counts"] for mask in before.masks}
        new = tuple(mask for mask in one.masks if mask.rle["counts"] not in known)
        groups[key] = replace(before, masks=before.masks + new)
    return list(groups.values())
