"""One image and what is asked about it, whatever file it came from."""

from dataclasses import dataclass, field

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks


@dataclass(frozen=True)
class Record:
    """One image and one target in it."""

    id: int
    file_name: str
    """Relative to the dataset's folder of images."""
    height: int
    width: int
    texts: dict[InstructionLevel, tuple[str, ...]]
    """By level, only levels that have some; each means exactly the record's masks."""
    encoded_masks: tuple[str, ...]
    """Compressed RLE counts; none where the texts ask for something absent."""
    granularity: str = "1to1"
    annotation_ids: tuple[int, ...] = ()
    """Of the masks, as the dataset numbers them."""
    encoded_ignored: tuple[str, ...] = ()
    """Pixels that do not count in an evaluation."""
    crowd_ids: frozenset[int] = frozenset()
    """Of the annotations that mark a crowd, not one instance (COCO's `iscrowd`)."""
    kinds: dict[InstructionLevel, str] = field(default_factory=dict)
    """What the texts of a level take to be understood (`data.kinds`), where the dataset says it."""
    split: str = ""
    """Of a dataset that holds several in one file: train, val, testA."""
    is_exhaustive: bool = True
    """Whether all that the texts mean has a mask; SA-Co leaves the others out."""

    def masks(self) -> Masks:
        """Return the T masks of height x width pixels."""
        return Masks((self.height, self.width), self.encoded_masks)


def granularity_by_count(instances: int) -> str:
    """Return SAM3-I's word for so many targets, where nothing says that they are all there are."""
    return "1to1" if instances <= 1 else "1toN"
