"""Comparing routes: one call from a dataset to the report, resumable at any answer.

`DIR/predictions.jsonl` gets a line as soon as an answer is there; a killed run goes on behind the
last whole line. Photos are encoded once for all routes and texts about them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.agent.language.factory import LanguageFactory, offline_planner
from sam3i_agent.core.claimed_folder import claim_folder
from sam3i_agent.core.contracts import DEFAULT_BUDGETS, Budgets, LevelChoice, RouteChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.journal import Journal
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.data.formats.registry import Dataset, open_dataset
from sam3i_agent.data.formats.sam3i import SAM3I
from sam3i_agent.evaluation.compare.answering import (
    AnswerAll,
    Answerer,
    Task,
    tasks_of,
)
from sam3i_agent.evaluation.compare.cases import (
    WHOLE,
    Prediction,
    Shard,
    read_cases,
    read_predictions,
)
from sam3i_agent.evaluation.compare.elsewhere import read_elsewhere
from sam3i_agent.evaluation.compare.export import DEFAULT_FORMS, write_answer_files
from sam3i_agent.evaluation.compare.provenance import provenance
from sam3i_agent.evaluation.compare.report import EXAMPLES, write_report
from sam3i_agent.evaluation.compare.statistics import Comparison, compare_answers
from sam3i_agent.evaluation.forms.form import PredictionForm
from sam3i_agent.segmodel.segmenter import Segmenter

NO_FILES: Mapping[str, Path] = {}
NO_SETTINGS: Mapping[str, str] = {}
NO_LANGUAGES: Mapping[str, LanguageFactory] = {}
Advance = Callable[[int, int], None]
"""Called with answers done and in all."""


def compare_routes(
    dataset: Path | Dataset,
    routes: Sequence[RouteChoice],
    segmenter: Segmenter | ModelChoice,
    out: Path | None = None,
    *,
    language: LanguageFactory = offline_planner,
    languages: Mapping[str, LanguageFactory] = NO_LANGUAGES,
    budgets: Budgets = DEFAULT_BUDGETS,
    levels: Sequence[InstructionLevel] = tuple(InstructionLevel),
    read_as: LevelChoice | None = LevelChoice.AUTO,
    limit: int | None = None,
    shard: Shard = WHOLE,
    workers: int | None = None,
    elsewhere: Mapping[str, Path] = NO_FILES,
    pictures: int = EXAMPLES,
    model_name: str = "",
    language_name: str = "",
    language_settings: Mapping[str, str] = NO_SETTINGS,
    advance: Advance = lambda done, total: None,
) -> Comparison:
    """Answer a dataset's texts by several routes and return how these compare.

    Args:
        dataset: opened, or the path of one in any format of `data.formats.registry`.
        routes: which to compare; one alone is scored.
        segmenter: a loaded model, or which to load when there is something to answer.
        out: folder for the answers, the COCO files and the report (`report.html`, `.json`, `.md`);
            an earlier comparison of the same there goes on. None keeps all in memory.
        language: the agent's language side.
        languages: several, by name, in its place: each is a row `ROUTE@NAME` of every route but
            the direct one.
        budgets: of each agent run.
        levels: texts of which levels.
        read_as: how the direct route reads the texts; None reads each at the level that the
            dataset says.
        limit: at most so many cases.
        shard: part of the cases, for several machines that share `out`.
        workers: answer with so many Ray workers; each loads the model itself.
        elsewhere: further routes, by name: files of predictions in any form of `evaluation.forms`.
        pictures: how many cases of the report have some.
        model_name: of the model, for the report; a `ModelChoice` has its own.
        language_name: of the language side, likewise; the offline planner is known.
        language_settings: of the language side, for the report.
        advance: called with answers done and in all.

    Raises:
        InputError: the dataset cannot be used or has no text of the levels; or `out` holds another
            comparison; or workers are to share a model that is loaded already.
        ModelError: the model cannot be loaded.
        StorageError: `out` cannot be written.

    Example:
        >>> from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
        >>> comparison = compare_routes(
        ...     Path("scenes/annotations.json"),
        ...     (RouteChoice.DIRECT, RouteChoice.AGENT),
        ...     load_segmenter("tiny"),
        ...     Path("comparison"),
        ...     limit=50,
        ... )
        >>> comparison.summary(InstructionLevel.SIMPLE, RouteChoice.AGENT).metrics["gIoU"]
    """
    if not isinstance(dataset, Dataset):
        dataset = open_dataset(dataset, level_of=classify_level)
    cases = read_cases(dataset, levels, limit)
    answer_all = _answer_all(segmenter, dataset.images, budgets, language, languages, workers)
    asked = [case for case in cases if shard.holds(case.record.file_name)]
    tasks = tasks_of(asked, routes, read_as, tuple(languages) or ("",))
    added = [one for name, path in elsewhere.items() for one in read_elsewhere(name, path, cases)]
    if out is None:
        answered = _counted(answer_all(tasks), len(tasks), advance)
        return compare_answers(cases, [*answered, *added])
    splits = {one.split for one in dataset.records} - {""}
    settings = {
        "dataset": "/".join(dataset.path.resolve().parts[-2:]),
        "model": model_name or _name_of(segmenter),
        "language": language_name or ", ".join(languages) or _name_of(language),
        **({"split": splits.pop()} if len(splits) == 1 else {}),
        # Only where they are not the usual ones, as in comparisons from before they were kept.
        **({} if budgets == DEFAULT_BUDGETS else {"budgets": budgets.model_dump_json()}),
        **({} if read_as is LevelChoice.AUTO else {"read_as": str(read_as or "dataset")}),
    }
    run_comparison(answer_all, tasks, out, settings=settings, shard=shard, advance=advance)
    predictions = [*read_predictions(out), *added]
    comparison = compare_answers(cases, predictions)
    forms = (*DEFAULT_FORMS, PredictionForm.SAM3I) if dataset.format is SAM3I else DEFAULT_FORMS
    write_answer_files(cases, predictions, out, forms)
    told = {"name": settings["language"], **language_settings}
    write_report(
        comparison,
        settings,
        dataset.images,
        out,
        provenance=provenance(dataset.path, segmenter, told, elsewhere),
        pictures=pictures,
    )
    return comparison


def run_comparison(
    answer_all: AnswerAll,
    tasks: Sequence[Task],
    out: Path,
    *,
    settings: Mapping[str, str],
    shard: Shard = WHOLE,
    advance: Advance = lambda done, total: None,
) -> Journal[Prediction]:
    """Answer tasks and return the shard's predictions, in the tasks' order.

    Args:
        answer_all: answers what no earlier run has answered; not called where nothing is left.
        tasks: what to ask.
        out: folder of the comparison; an earlier run of the same settings there goes on.
        settings: what was compared (model, language model, dataset), so that runs do not mix.
        shard: which part of the cases the tasks are about.
        advance: called with answers done and in all.

    Raises:
        InputError: the folder holds a comparison of other settings.
        StorageError: it cannot be written, or its predictions are damaged.
    """
    claim_folder(out, settings)
    journal = shard.journal(out)
    journal.repair()
    done = {(one.case, one.route) for one in journal}
    left = [task for task in tasks if (task.case, task.row) not in done]
    count = len(tasks) - len(left)
    advance(count, len(tasks))
    if left:
        for prediction in answer_all(left):
            journal.append(prediction)
            count += 1
            advance(count, len(tasks))
        _sort(journal, tasks)
    return journal


def _answer_all(
    segmenter: Segmenter | ModelChoice,
    images: Path,
    budgets: Budgets,
    language: LanguageFactory,
    languages: Mapping[str, LanguageFactory],
    workers: int | None,
) -> AnswerAll:
    if workers is not None:
        if not isinstance(segmenter, ModelChoice):
            raise InputError("workers cannot share a loaded model", "give a ModelChoice")
        from sam3i_agent.evaluation.compare.ray_workers import WorkerSettings, answer_with_ray

        # Each worker must find the photos under this name, whatever its working directory.
        settings = WorkerSettings(segmenter, images.resolve(), budgets, language, languages)
        return lambda tasks: answer_with_ray(tasks, settings, workers)

    def answer(tasks: Sequence[Task]) -> Iterator[Prediction]:
        from sam3i_agent.segmodel.checkpoints.loading import open_segmenter

        loaded = open_segmenter(segmenter) if isinstance(segmenter, ModelChoice) else segmenter
        yield from Answerer(loaded, images, budgets, language, languages).answer(tasks)

    return answer


def _counted(
    predictions: Iterator[Prediction], total: int, advance: Advance
) -> Iterator[Prediction]:
    for count, prediction in enumerate(predictions, start=1):
        yield prediction
        advance(count, total)


def _name_of(part: Segmenter | ModelChoice | LanguageFactory) -> str:
    if isinstance(part, ModelChoice):
        return part.name
    return "offline planner" if part is offline_planner else "given by the caller"


def _sort(journal: Journal[Prediction], tasks: Sequence[Task]) -> None:
    """Put lines that came from several workers into the cases' order."""
    place = {(task.case, task.row): index for index, task in enumerate(tasks)}
    found = [(place.get((one.case, one.route), len(place)), one) for one in journal]
    if any(before[0] > after[0] for before, after in pairwise(found)):
        found.sort(key=lambda pair: pair[0])
        journal.rewrite(one for _, one in found)
