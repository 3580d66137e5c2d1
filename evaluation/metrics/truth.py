"""Ground truth, as the protocols read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.core.rle import Rle, as_rle
from sam3i_agent.data.formats.registry import read_dataset
from sam3i_agent.data.records import Record

NO_ANNOTATION = -1


@dataclass(frozen=True)
class Mask:
    """One annotated mask."""

    id: int
    """Of the annotation; `NO_ANNOTATION` of pixels that do not count."""
    rle: Rle
    ignored: bool = False
    """Its pixels do not count (ReasonSeg's 255)."""
    is_crowd: bool = False
    """It marks a crowd, not one instance."""


@dataclass(frozen=True)
class GroundTruth:
    """What the images of a dataset hold."""

    images: dict[int, Record]
    """By id."""
    masks: dict[int, list[Mask]]
    """By image id; every image has a list."""

    @classmethod
    def of(cls, records: Sequence[Record]) -> "GroundTruth":
        """Return the masks of records."""
        return cls({one.id: one for one in records}, {one.id: _masks(one) for one in records})

    def size_hw(self, image_id: int) -> tuple[int, int]:
        """Return height and width of an image."""
        image = self.images[image_id]
        return image.height, image.width


def read_ground_truth(path: Path) -> GroundTruth:
    """Read the masks of a dataset, of any format of `data.formats.registry`.

    Raises:
        InputError: it cannot be read or is no such dataset.
    """
    return GroundTruth.of(read_dataset(path, level_of=classify_level).records)


def _masks(record: Record) -> list[Mask]:
    size = (record.height, record.width)
    wanted = zip(record.annotation_ids, record.encoded_masks, strict=True)
    return [
        *(
            Mask(id_, as_rle(size, counts), is_crowd=id_ in record.crowd_ids)
            for id_, counts in wanted
        ),
        *(
            Mask(NO_ANNOTATION, as_rle(size, counts), ignored=True)
            for counts in record.encoded_ignored
        ),
    ]
