"""The AI verifier of a dataset: whether each mask is right and all instances are there.

Two questions per record, as in the data engines of SAM 3 and SAM3-I: *mask verification* (every
annotated mask is what the text asks for) and *exhaustivity verification* (nothing that the text
asks for lacks a mask). A record that fails either is flagged in the file, or dropped.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.side import Decision, LanguageSide, View
from sam3i_agent.agent.run import segment_photo
from sam3i_agent.agent.state import SegmenterLike
from sam3i_agent.core.contracts import RouteChoice, RunStatus
from sam3i_agent.core.errors import LanguageError, StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.masks import Masks, mask_ious
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.core.rle import tight_box
from sam3i_agent.data.formats.sam3i import read_records
from sam3i_agent.data.records import Record

SAME_INSTANCE_IOU = 0.5


@dataclass(frozen=True)
class Judgement:
    """About one record; None where the judge cannot tell."""

    masks_right: bool | None
    exhaustive: bool | None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the record."""
        return self.masks_right is not False and self.exhaustive is not False


class Judge(Protocol):
    """Who answers the two questions."""

    async def judge(self, photo: Photo, text: str, masks: Masks) -> Judgement:
        """Judge the masks of a text about `photo`."""
        ...


class OfflineJudge:
    """Compares a record with what the agent and the offline planner find for its text.

    It can judge what the planner reads, and it is only as good as the segmentation model: a record
    it flags deserves a look, not blind trust.

    Args:
        segmenter: a loaded model.
    """

    def __init__(self, segmenter: SegmenterLike) -> None:
        self._segmenter = segmenter

    async def judge(self, photo: Photo, text: str, masks: Masks) -> Judgement:
        """Segment by `text` and match the results with `masks`."""
        result = await segment_photo(self._segmenter, photo, text, route=RouteChoice.AGENT)
        if result.status is RunStatus.FAILED:
            return Judgement(None, None, "the offline planner cannot read the text")
        ious = mask_ious(result.masks(), masks)
        unconfirmed = int((ious.max(axis=0, initial=0) < SAME_INSTANCE_IOU).sum())
        unannotated = int((ious.max(axis=1, initial=0) < SAME_INSTANCE_IOU).sum())
        reasons = []
        if unconfirmed:
            reasons.append(f"{unconfirmed} of {len(masks)} masks were not found again")
        if unannotated:
            reasons.append(f"{unannotated} instances were found that have no mask")
        return Judgement(not unconfirmed, not unannotated, "; ".join(reasons))


class ModelJudge:
    """Asks a multimodal model, mask by mask, and then whether anything is missing.

    Args:
        model: the language side of the agent, whose verdicts serve here too.
    """

    def __init__(self, model: LanguageSide) -> None:
        self._model = model

    async def judge(self, photo: Photo, text: str, masks: Masks) -> Judgement:
        """Judge each mask on its own, then all together."""
        candidates = tuple(
            _candidate(text, masks[[index]]) for index, area in enumerate(masks.areas) if area
        )
        empty = len(masks) - len(candidates)  # nothing to show, and wrong without asking
        reasons = [f"{empty} masks are empty"] if empty else []
        try:
            views = [View(photo, text, 1, candidates=(one,)) for one in candidates]
            verdicts = await asyncio.gather(*map(self._model.verify, views))
            everything = View(photo, text, 1, candidates=candidates)
            exhaustive = await self._model.is_exhaustive(everything)
        except LanguageError as error:
            return Judgement(None, None, error.message)
        rejected = [one for one in verdicts if one.decision is Decision.REJECT]
        reasons += [one.reason for one in rejected if one.reason]
        if exhaustive.decision is Decision.REJECT and exhaustive.reason:
            reasons.append(exhaustive.reason)
        return Judgement(
            not rejected and not empty,
            exhaustive.decision is not Decision.REJECT,
            "; ".join(reasons),
        )


@dataclass(frozen=True)
class VerificationReport:
    """How a dataset fared."""

    records: int
    passed: int
    wrong_masks: int
    """Records with a mask that is not what the text asks for."""
    not_exhaustive: int
    """Records that lack a mask."""
    unjudged: int
    dropped: int

    def as_dict(self) -> dict[str, int]:
        """Return the counts."""
        return asdict(self)


async def verify_dataset(
    annotations: Path,
    judge: Judge,
    out: Path,
    *,
    drop: bool = False,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> VerificationReport:
    """Judge the first text of every record and write the dataset with the judgements.

    Args:
        annotations: SAM3-I JSON beside its images.
        judge: who judges.
        out: JSON file to write, in the same folder for its image names to hold. Each record gets
            `verification`: {"masks": true/false/null, "exhaustive": likewise, "reason": text}.
        drop: leave failed records out instead of flagging them.
        advance: called with records done and in all.

    Raises:
        InputError: the dataset cannot be read.
        StorageError: `out` cannot be written.
    """
    records = read_records(annotations)
    judgements: dict[int, Judgement] = {}
    for done, record in enumerate(records, start=1):
        photo = read_photo(annotations.parent / record.file_name)
        judgements[record.id] = await judge.judge(photo, _first_text(record), record.masks())
        advance(done, len(records))
    failed = {key for key, one in judgements.items() if not one.passed}
    _write(annotations, judgements, failed if drop else set(), out)
    return VerificationReport(
        records=len(records),
        passed=len(records) - len(failed),
        wrong_masks=sum(one.masks_right is False for one in judgements.values()),
        not_exhaustive=sum(one.exhaustive is False for one in judgements.values()),
        unjudged=sum(one.masks_right is None for one in judgements.values()),
        dropped=len(failed) if drop else 0,
    )


def _first_text(record: Record) -> str:
    return next(iter(record.texts.values()))[0]


def _candidate(text: str, masks: Masks) -> Candidate:
    x0, y0, x1, y1 = tight_box(masks[0]) or (0, 0, 0, 0)
    return Candidate(text, masks, (float(x0), float(y0), float(x1), float(y1)), 1.0)


def _write(
    annotations: Path, judgements: dict[int, Judgement], dropped: set[int], out: Path
) -> None:
    content = json.loads(annotations.read_text(encoding="utf-8"))
    content["images"] = [one for one in content["images"] if one["id"] not in dropped]
    content["annotations"] = [
        one for one in content["annotations"] if one["image_id"] not in dropped
    ]
    for image in content["images"]:
        judgement = judgements.get(image["id"])
        if judgement is not None:
            image["verification"] = {
                "masks": judgement.masks_right,
                "exhaustive": judgement.exhaustive,
                "reason": judgement.reason,
            }
    try:
        write_whole(out, json.dumps(content))
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
