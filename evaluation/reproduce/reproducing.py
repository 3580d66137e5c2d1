"""A paper's table measured here: what is there is answered and scored, what is not is listed.

Each row is a comparison of one route in a folder of its own, so that a killed run goes on behind
its last answer and several machines can share the work.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.agent.language.factory import LanguageFactory, offline_planner
from sam3i_agent.core.contracts import LevelChoice, RouteChoice
from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.data.formats.registry import Dataset, read_dataset
from sam3i_agent.evaluation.compare.cases import WHOLE, Shard
from sam3i_agent.evaluation.compare.comparison import compare_routes
from sam3i_agent.evaluation.forms.files import read_answers, write_answers
from sam3i_agent.evaluation.forms.form import PredictionForm
from sam3i_agent.evaluation.metrics.box_accuracy import BOX_ACCURACY, box_accuracy
from sam3i_agent.evaluation.metrics.evaluators import evaluate
from sam3i_agent.evaluation.metrics.protocol import EvaluationProtocol
from sam3i_agent.evaluation.metrics.truth import read_ground_truth
from sam3i_agent.evaluation.reproduce.tables import (
    TABLES,
    Paper,
    PaperTable,
    Published,
    Row,
    published_for,
)
from sam3i_agent.segmodel.segmenter import Segmenter

TABLE_NAME = "table"
_SHOWN = ("gIoU", "cIoU", "mIoU", "P@0.50", "AP", "AP50", BOX_ACCURACY)
_SAM3I_RULES = (EvaluationProtocol.SAM3I_1TO1, EvaluationProtocol.SAM3I_MULTI)


@dataclass(frozen=True)
class Roots:
    """Where annotations and photos are."""

    annotations: Path
    images: Path
    image_folders: Mapping[str, str] = field(default_factory=dict)
    """Dataset to its folder in `images`; its own name where none is said."""

    def images_of(self, row: Row) -> Path:
        """Return the folder of a row's photos."""
        folder = self.image_folders.get(row.dataset)
        if folder is None and row.part:
            return self.annotations / row.annotations  # they lie together
        return self.images / (folder or row.dataset)


def parse_image_folders(text: str) -> dict[str, str]:
    """Read `DATASET:FOLDER,DATASET:FOLDER`, as SAM3-I's evaluation script takes it.

    Raises:
        InputError: it is not of that form.
    """
    found: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, folder = part.partition(":")
        if not name.strip() or not folder.strip():
            raise InputError(f"--image-folders takes DATASET:FOLDER,..., not {part!r}")
        found[name.strip()] = folder.strip()
    return found


@dataclass(frozen=True)
class RowResult:
    """One row measured here, or why it is not."""

    row: Row
    problem: str = ""
    """Empty where it was measured."""
    metrics: dict[str, float] = field(default_factory=dict)
    published: dict[str, Published] = field(default_factory=dict)
    """By metric."""


def reproduce(
    paper: Paper,
    roots: Roots,
    segmenter: Segmenter | ModelChoice,
    out: Path,
    *,
    language: LanguageFactory = offline_planner,
    language_name: str = "",
    limit: int | None = None,
    shard: Shard = WHOLE,
    workers: int | None = None,
    advance: Callable[[str, int, int], None] = lambda row, done, total: None,
) -> list[RowResult]:
    """Measure a paper's table and return its rows.

    Args:
        paper: whose.
        roots: of annotations and photos, in the layout of `tables.TABLES`.
        segmenter: a loaded model, or which to load.
        out: folder with a folder per row, the predictions in SAM3-I's form, and the table.
        language: the agent's language side.
        language_name: of it.
        limit: at most so many cases of each row; then it is measured on these alone.
        shard: part of the cases, for several machines that share `out`.
        workers: Ray workers of each row.
        advance: called with a row's name, answers done and in all.

    Raises:
        InputError: no dataset is there, or `out` holds a run of other settings.
        ModelError: the model cannot be loaded, or lacks a level.
        StorageError: `out` cannot be written.
    """
    table = TABLES[paper]
    if not any((roots.annotations / row.annotations).exists() for row in table.rows):
        wanted = ", ".join(dict.fromkeys(row.annotations for row in table.rows))
        where = str(roots.annotations)
        raise InputError(f"{where!r} has none of the datasets", f"it needs {wanted}")
    results: list[RowResult] = []
    for row in table.rows:
        dataset = _open(row, roots)
        if isinstance(dataset, str):
            results.append(RowResult(row, dataset))
            continue
        comparison = compare_routes(
            dataset,
            (table.route,),
            segmenter,
            out / row.name,
            language=language,
            language_name=language_name,
            levels=(row.level,),
            read_as=None if table.route is RouteChoice.DIRECT else LevelChoice.AUTO,
            limit=limit,
            shard=shard,
            workers=workers,
            advance=lambda done, total, name=row.name: advance(name, done, total),
        )
        answered = comparison.summary(row.level, table.route).cases
        wanted = len([one for one in dataset.records if row.level in one.texts][:limit])
        if answered < wanted:
            results.append(RowResult(row, f"{answered} of {wanted} cases are answered so far"))
            continue
        results.append(_measure(row, table, roots, out, limited=limit is not None))
    _write_table(results, out)
    return results


def _open(row: Row, roots: Roots) -> Dataset | str:
    """Return a row's dataset, or why it cannot be measured."""
    path = roots.annotations / row.annotations
    if not path.exists():
        return f"{row.annotations} is not there; {row.source}"
    images = roots.images_of(row)
    dataset = read_dataset(path, images, level_of=classify_level)
    if row.split:
        dataset = dataset.of_split(row.split)
    names = dict.fromkeys(one.file_name for one in dataset.records)
    missing = [name for name in names if not (images / name).is_file()]
    if missing:
        count = f"{len(missing)} of {len(names)} photos are not in {images.name}"
        return f"{count} (first: {missing[0]}); {row.source}"
    return dataset


def _measure(row: Row, table: PaperTable, roots: Roots, out: Path, *, limited: bool) -> RowResult:
    folder = out / row.name
    by_sam3i = row.protocol in _SAM3I_RULES
    form = PredictionForm.SAM3I if by_sam3i else PredictionForm.COCO
    answered = folder / PredictionForm.COCO / f"{table.route}-{row.level}.json"
    asked = folder / PredictionForm.COCO / f"truth-{row.level}.json"
    truth_path = roots.annotations / row.annotations if by_sam3i and not limited else asked
    truth = read_ground_truth(truth_path)
    answers = read_answers(answered, truth).answers
    if row.keep_best:
        best = [sorted(one.masks, key=lambda mask: -mask.score)[:1] for one in answers]
        answers = [replace(one, masks=tuple(some)) for one, some in zip(answers, best, strict=True)]
    predictions = out / f"{row.name}.json"
    write_answers(answers, truth, form, predictions, level=row.level)
    metrics = evaluate(row.protocol, [truth_path], predictions)
    if row.by_boxes:
        metrics[BOX_ACCURACY] = box_accuracy(truth, answers)
    find = published_for(table)
    known = {name: one for name in metrics if (one := find(row, name)) is not None}
    return RowResult(row, metrics=metrics, published=known)


def markdown_table(results: Sequence[RowResult]) -> str:
    """Return the table: ours, the published number beside it, and the difference."""
    lines = [
        "| dataset | level | rules | metric | here | published | difference | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        name = f"{one.row.dataset} {one.row.split or one.row.part}".strip()
        start = f"| {name} | {one.row.level} | {one.row.protocol} |"
        if one.problem:
            lines.append(f"{start} | | | | not measured: {one.problem} |")
        for metric in (name for name in _SHOWN if name in one.metrics):
            value = one.metrics[metric]
            known = one.published.get(metric)
            beside = (
                f"{known.value} | {value - float(known.value):+.1f} | {known.model}, {known.source}"
                if known
                else " | | "
            )
            lines.append(f"{start} {metric} | {value:.2f} | {beside} |")
    return "\n".join(lines) + "\n"


def _write_table(results: Sequence[RowResult], out: Path) -> None:
    content = [
        {
            "dataset": one.row.dataset,
            "split": one.row.split or one.row.part,
            "level": one.row.level,
            "rules": one.row.protocol,
            "best_mask_alone": one.row.keep_best,
            "problem": one.problem,
            "metrics": one.metrics,
            "published": {name: asdict(known) for name, known in one.published.items()},
        }
        for one in results
    ]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / f"{TABLE_NAME}.json", json.dumps(content, indent=2))
        write_whole(out / f"{TABLE_NAME}.md", markdown_table(results))
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
