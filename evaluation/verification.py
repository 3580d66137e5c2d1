"""The AI verifier of a dataset: whether each mask is right and all instances are there.

Two questions per record, as in the data engines of SAM 3 and SAM3-I: *mask verification* (every
annotated mask is what the text asks for) and *exhaustivity verification* (nothing that the text
asks for lacks a mask). A record that fails either is flagged in the file, or dropped.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.agent.language.side import Decision, LanguageSide, View
from sam3i_agent.agent.run import segment_photo
from sam3i_agent.core.contracts import RouteChoice, RunStatus
from sam3i_agent.core.errors import LanguageError
from sam3i_agent.core.files import read_json
from sam3i_agent.core.masks import Masks, mask_ious
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.rle import tight_box
from sam3i_agent.data.formats.registry import Dataset, open_dataset
from sam3i_agent.data.formats.sam3i import SAM3I, sam3i_content, write_sam3i
from sam3i_agent.data.photos import read_dataset_photo
from sam3i_agent.data.records import Record
from sam3i_agent.segmodel.segmenter import Segmenter

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

    def __init__(self, segmenter: Segmenter) -> None:
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
            everything = View(photo, text, 1, candidates=candidates)
            verdicts = await self._model.verify(everything) if candidates else ()
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
    path: Path,
    judge: Judge,
    out: Path,
    *,
    images: Path | None = None,
    drop: bool = False,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> VerificationReport:
    """Judge the first text of every record and write the dataset with the judgements.

    Args:
        path: a dataset in any format of `data.formats.registry`.
        judge: who judges.
        out: SAM3-I JSON file to write, whatever was read; what a SAM3-I file holds beyond what is
            read here stays in it. Each record gets `verification`: {"masks": true/false/null,
            "exhaustive": likewise, "reason": text}. Names of photos hold from the file's folder.
        images: where the photos are, if not beside the dataset.
        drop: leave failed records out instead of flagging them.
        advance: called with records done and in all.

    Raises:
        InputError: the dataset cannot be read.
        StorageError: `out` cannot be written.
    """
    dataset = open_dataset(path, images, level_of=classify_level)
    records = dataset.records
    judgements: dict[int, Judgement] = {}
    for done, record in enumerate(records, start=1):
        size = (record.height, record.width)
        photo = read_dataset_photo(dataset.images, record.file_name, size)
        judgements[record.id] = await judge.judge(photo, _first_text(record), record.masks())
        advance(done, len(records))
    failed = {key for key, one in judgements.items() if not one.passed}
    _write(dataset, judgements, failed if drop else set(), out)
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
    dataset: Dataset, judgements: dict[int, Judgement], dropped: set[int], out: Path
) -> None:
    content = (
        read_json(dataset.path)
        if dataset.format is SAM3I
        else sam3i_content(dataset.records, f"from {dataset.path.name}, {dataset.format.title}")
    )
    content["images"] = [one for one in content["images"] if one["id"] not in dropped]
    content["annotations"] = [
        one for one in content["annotations"] if one["image_id"] not in dropped
    ]
    for image in content["images"]:
        judgement = judgements[image["id"]]
        image["verification"] = {
            "masks": judgement.masks_right,
            "exhaustive": judgement.exhaustive,
            "reason": judgement.reason,
        }
    write_sam3i(content, dataset.images, out)
