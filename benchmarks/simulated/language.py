"""What the agent is worth with a language model of known quality: routes over generated scenes.

A simulated model knows the truth of each scene and errs at given rates; the direct head, the agent
and the automatic route answer the same texts.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from sam3i_agent.agent.language.factory import LanguageFactory
from sam3i_agent.benchmarks.simulated.answering import Answerer
from sam3i_agent.benchmarks.simulated.error_rates import ErrorRates
from sam3i_agent.benchmarks.simulated.error_sets import NO_ERRORS
from sam3i_agent.benchmarks.simulated.model import simulated_language
from sam3i_agent.benchmarks.simulated.questions import LEVELS, Question
from sam3i_agent.benchmarks.simulated.rows import (
    FinishedRows,
    LanguageBench,
    LevelRow,
    Measured,
    Row,
)
from sam3i_agent.core.contracts import RouteChoice, RunStatus
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks, union_iou
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.segmenter import Segmenter

NO_LANGUAGES: Mapping[str, LanguageFactory] = {}


def measure_language(
    segmenter: Segmenter,
    questions: Sequence[Question],
    series: int,
    routes: Sequence[RouteChoice],
    errors: Mapping[str, ErrorRates],
    *,
    seed: int = 0,
    prompts: str,
    use_head: bool = True,
    text_only: bool = False,
    languages: Mapping[str, LanguageFactory] = NO_LANGUAGES,
    finished: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> LanguageBench:
    """Answer all questions by each route under each set of error rates, and with real models.

    Args:
        segmenter: a loaded model; nothing is asked of it twice.
        questions: see `read_questions`.
        series: that they are of, for the table.
        routes: by which routes; the direct one asks no model and is measured once.
        errors: sets of error rates by name.
        seed: of the errors.
        prompts: version of the questions to the model.
        use_head: let the direct answer be a candidate of the agent.
        text_only: the simulated model does not see.
        languages: models by name, each a row of every route but the direct one.
        finished: a file of finished rows, which are not measured again; see `FinishedRows`.
        advance: called after each answer, and as often for a row that is finished.

    Raises:
        InputError: a model that does not see is to converse, or `finished` cannot be used.
    """
    if text_only and RouteChoice.AGENT_TOOLS in routes:
        raise InputError(
            f"{RouteChoice.AGENT_TOOLS} shows pictures, and this model does not see",
            "leave that route out",
        )

    def simulated(rates: ErrorRates) -> Callable[[Question], LanguageFactory]:
        return lambda one: simulated_language(
            one.truth, rates, seed + one.number, prompts, text_only=text_only
        )

    with Answerer(segmenter) as answerer:
        measured = Measured(
            model=segmenter.name,
            series=series,
            scenes=len({one.photo.sha256 for one in questions}),
            prompts=prompts,
            use_head=use_head,
            text_only=text_only,
            oracle=_oracle(answerer, questions),
        )
        kept = FinishedRows(finished, measured)
        rows: list[Row] = []
        for route in routes:
            sides = [("", NO_ERRORS, ErrorRates(), simulated(ErrorRates()))]
            if route is not RouteChoice.DIRECT:
                sides = [("", name, rates, simulated(rates)) for name, rates in errors.items()]
                sides += [
                    (name, NO_ERRORS, ErrorRates(), lambda one, made=made: made)
                    for name, made in languages.items()
                ]
            for language, name, rates, side in sides:
                known = {key: value for key, value in rates.model_dump().items() if value}
                row = kept.find(route, language, known)
                if row is None:
                    about = {"language": language, "error_set": name, "errors": known}
                    row = _measure(answerer, questions, route, side, use_head, advance)
                    row = row.model_copy(update=about)
                    kept.add(row)
                else:
                    for _ in questions:
                        advance()
                rows.append(row)
    return LanguageBench(**measured.model_dump(), rows=rows)


def _oracle(answerer: Answerer, questions: Sequence[Question]) -> dict[str, float]:
    """Return by level the gIoU of the best union of masks that phrases and head find, percent."""
    ious: dict[str, list[float]] = {level: [] for level in LEVELS}
    for one in questions:
        phrases = {word for index in one.truth.targets for word in one.truth.objects[index].words}
        prompts = [Prompt(phrase) for phrase in sorted(phrases)]
        levels = [level for level in LEVELS if level in answerer.segmenter.levels]
        prompts += [Prompt(one.text, level) for level in levels]
        found = answerer.photo(one.photo).segment(prompts) if len(one.wanted) else []
        masks = [answer.masks[[i]] for answer in found for i in range(len(answer))]
        ious[one.level].append(_best_union(masks, one.wanted))
    return {level: 100 * float(np.mean(values)) for level, values in ious.items()}


def _best_union(masks: Sequence[Masks], wanted: Masks) -> float:
    """Return the IoU that adding the best mask, as long as one helps, ends with."""
    if not len(wanted):
        return 1.0
    chosen, best = Masks(wanted.size_hw, ()), 0.0
    left = list(masks)
    while left:
        tries = [Masks(wanted.size_hw, (*chosen.counts, *one.counts)) for one in left]
        scores = [union_iou(one, wanted) for one in tries]
        top = int(np.argmax(scores))
        if scores[top] <= best:
            break
        chosen, best = tries[top], scores[top]
        del left[top]
    return best


def _measure(
    answerer: Answerer,
    questions: Sequence[Question],
    route: RouteChoice,
    language_of: Callable[[Question], LanguageFactory],
    use_head: bool,
    advance: Callable[[], None],
) -> Row:
    ious: dict[InstructionLevel, list[float]] = {level: [] for level in LEVELS}
    refused: dict[InstructionLevel, list[bool]] = {level: [] for level in LEVELS}
    endings: Counter[str] = Counter()
    usages = []
    seconds: list[float] = []
    for one in questions:
        result, took = answerer.answer(one, route, language_of(one), use_head=use_head)
        ious[one.level].append(union_iou(result.masks(), one.wanted))
        if not len(one.wanted):
            refused[one.level].append(not result.count)
        endings[result.status] += 1
        usages.append(result.usage)
        seconds.append(took)
        advance()
    simple, complex_ = (
        LevelRow(
            giou=100 * float(np.mean(ious[level])),
            refused=100 * float(np.mean(refused[level])) if refused[level] else None,
            records=len(ious[level]),
        )
        for level in LEVELS
    )
    return Row(
        route=route,
        errors={},
        simple=simple,
        complex=complex_,
        calls=float(np.mean([one.mllm_calls for one in usages])),
        tokens=float(np.mean([one.tokens for one in usages])),
        pictures=float(np.mean([one.pictures for one in usages])),
        seconds=float(np.mean(seconds)),
        rounds=float(np.mean([one.rounds for one in usages])),
        endings={status: endings[status] for status in RunStatus if endings[status]},
    )
