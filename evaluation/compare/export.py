"""A comparison's answers and truth as files that the official evaluators read.

`DIR/coco/truth-LEVEL.json` is the truth of a level: each record is an image entry of its own, with
`text_input` (SA-Co) and `text_inst_input` (SAM3-I). `DIR/coco/ROUTE-LEVEL.json` are the answers as
COCO results, and `DIR/sam3i/ROUTE-LEVEL.json`, where the dataset is one of SAM3-I, as its entries.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.rle import as_rle
from sam3i_agent.data.formats.sam3i import TEXT_LISTS
from sam3i_agent.evaluation.compare.cases import Case, Prediction
from sam3i_agent.evaluation.forms.answers import Answer
from sam3i_agent.evaluation.forms.coco_results import mask_fields
from sam3i_agent.evaluation.forms.files import write_answers
from sam3i_agent.evaluation.forms.form import PredictionForm
from sam3i_agent.evaluation.forms.own_lines import answer_of
from sam3i_agent.evaluation.metrics.truth import GroundTruth

DEFAULT_FORMS = (PredictionForm.COCO,)


def write_answer_files(
    cases: Sequence[Case],
    predictions: Iterable[Prediction],
    out: Path,
    forms: Sequence[PredictionForm] = DEFAULT_FORMS,
) -> None:
    """Write the truth of each level, and the answers of each route and level.

    Args:
        cases: all that was asked.
        predictions: all answers; those to unknown cases are left out.
        out: folder of the comparison.
        forms: of the answers; each gets a folder of its name.

    Raises:
        StorageError: it cannot be written.
    """
    by_id = {case.id: case for case in cases}
    truth = GroundTruth.of(list({case.record.id: case.record for case in cases}.values()))
    for level in dict.fromkeys(case.level for case in cases):
        content = _truth([case for case in cases if case.level is level])
        _write(out / PredictionForm.COCO / f"truth-{level}.json", content)
    answers: dict[str, list[Answer]] = {}
    for one in predictions:
        if (case := by_id.get(one.case)) is not None:
            answers.setdefault(f"{one.route}-{case.level}", []).append(answer_of(one, truth))
    for form in forms:
        for name, some in answers.items():
            write_answers(some, truth, form, out / form / f"{name}.json")


def _write(path: Path, content: Any) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, json.dumps(content))
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def _truth(cases: Sequence[Case]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for case in cases:
        record = case.record
        size = (record.height, record.width)
        texts = {key: [] for key in TEXT_LISTS.values()} | {TEXT_LISTS[case.level]: [case.text]}
        images.append(
            {
                "id": record.id,
                "file_name": record.file_name,
                "height": record.height,
                "width": record.width,
                "text_input": case.text,
                "text_inst_input": texts,
                "is_instance_exhaustive": True,
            }
        )
        shared = {"image_id": record.id, "category_id": 1}
        for id_, counts in zip(record.annotation_ids, record.encoded_masks, strict=True):
            mask = mask_fields(as_rle(size, counts))
            crowd = int(id_ in record.crowd_ids)
            annotations.append({"id": id_, **shared, "iscrowd": crowd, **mask})
        for index, counts in enumerate(record.encoded_ignored, start=1):
            marks = {"id": -1000 * record.id - index, "iscrowd": 0, "ignore": 1}
            annotations.append({**shared, **marks, **mask_fields(as_rle(size, counts))})
    categories = [{"id": 1, "name": "object"}]
    return {"images": images, "annotations": annotations, "categories": categories}
