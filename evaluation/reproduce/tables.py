"""What the papers measured: dataset, level, rules, and where the annotations come from."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.evaluation.metrics.protocol import EvaluationProtocol

SIMPLE, COMPLEX = InstructionLevel.SIMPLE, InstructionLevel.COMPLEX
_SAM3I_SOURCE = "annotations: the drive folder in the README of github.com/debby-0527/SAM3-I"
_COCO_2014 = "photos: COCO train2014 and val2014, cocodataset.org"
_COCO_2017 = "photos: COCO train2017 and val2017, cocodataset.org"


class Paper(StrEnum):
    """Whose table."""

    SAM3I = "sam3i"
    SAM3_AGENT = "sam3-agent"


@dataclass(frozen=True)
class Row:
    """One measurement of a table."""

    dataset: str
    level: InstructionLevel
    protocol: EvaluationProtocol
    annotations: str
    """File or folder, from the folder of all annotations."""
    source: str
    """Where annotations and photos come from."""
    published_as: str
    """Its benchmark in `published.json`."""
    keep_best: bool = False
    """Whether the best mask alone counts."""
    by_boxes: bool = False
    """Whether the accuracy of boxes is reported too."""
    split: str = ""
    """Of a dataset that holds several in one file."""
    part: str = ""
    """Of a dataset with a folder each."""

    @property
    def name(self) -> str:
        """Of the row, and of its folder."""
        return "-".join(
            part for part in (self.dataset, self.split or self.part, self.level) if part
        )


@dataclass(frozen=True)
class PaperTable:
    """All measurements of a paper."""

    rows: tuple[Row, ...]
    route: RouteChoice
    models: tuple[str, ...]
    """As `published.json` calls them."""


def _sam3i(dataset: str, level: InstructionLevel, *, single: bool, photos: str) -> Row:
    return Row(
        dataset=dataset,
        level=level,
        protocol=EvaluationProtocol.SAM3I_1TO1 if single else EvaluationProtocol.SAM3I_MULTI,
        annotations=f"{dataset}/sam3i_val.json",
        source=f"{_SAM3I_SOURCE}; {photos}",
        published_as=f"{dataset}, {level}",
        # Of a single target, its script keeps the best mask, but not on its own dataset.
        keep_best=single and not dataset.startswith("HMPL-Instruct"),
    )


def _reasonseg(split: str) -> Row:
    return Row(
        dataset="ReasonSeg",
        level=COMPLEX,
        protocol=EvaluationProtocol.REASONSEG,
        annotations=f"ReasonSeg/{split}",
        source="photos and annotations: the drive folder in the README of dvlab-research/LISA",
        published_as=f"ReasonSeg {split}",
        part=split,
    )


def _refer(dataset: str, split: str) -> Row:
    return Row(
        dataset=dataset,
        level=SIMPLE,
        protocol=EvaluationProtocol.REASONSEG,
        annotations=dataset,
        source=f"annotations: github.com/lichengunc/refer; {_COCO_2014}",
        published_as={"refcoco+": "RefCOCO+", "refcocog": "RefCOCOg"}[dataset],
        by_boxes=True,
        split=split,
    )


TABLES = {
    Paper.SAM3I: PaperTable(
        rows=(
            *(
                _sam3i(f"HMPL-Instruct_{kind}", level, single=kind == "1to1", photos=_COCO_2017)
                for kind in ("1to1", "1toN", "1toAll")
                for level in (SIMPLE, COMPLEX)
            ),
            _sam3i("RefCOCO", SIMPLE, single=True, photos=_COCO_2014),
            _sam3i("Ref-ZOM", SIMPLE, single=False, photos=_COCO_2014),
        ),
        route=RouteChoice.DIRECT,
        models=("SAM3-I",),
    ),
    Paper.SAM3_AGENT: PaperTable(
        rows=(
            *(_reasonseg(split) for split in ("val", "test")),
            *(_refer("refcoco+", split) for split in ("val", "testA", "testB")),
            *(_refer("refcocog", split) for split in ("val", "test")),
        ),
        route=RouteChoice.AGENT,
        models=("SAM 3 Agent (Gemini 2.5 Pro)",),
    ),
}


@dataclass(frozen=True)
class Published:
    """A number that a paper reports."""

    model: str
    benchmark: str
    metric: str
    value: str
    source: str


def read_published() -> list[Published]:
    """Return the numbers that are known, each with its source."""
    text = files("sam3i_agent.evaluation.compare").joinpath("published.json").read_text("utf-8")
    return [Published(**one) for one in json.loads(text)]


def published_for(table: PaperTable) -> Callable[[Row, str], Published | None]:
    """Return what finds the published number of a row's metric; None where none is known."""
    ours = [one for one in read_published() if one.model in table.models]
    known = {(one.benchmark, one.metric): one for one in ours}
    return lambda row, metric: known.get((row.published_as, metric))
