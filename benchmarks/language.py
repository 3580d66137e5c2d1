"""What the agent is worth with a language model of known quality: routes over generated scenes.

A simulated model knows the truth of each scene and errs at given rates; the direct head, the agent
and the automatic route answer the same texts.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from sam3i_agent.agent.language.factory import LanguageFactory
from sam3i_agent.agent.language.simulated import (
    ErrorRates,
    KnownObject,
    Truth,
    simulated_language,
)
from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.benchmarks.simulated.scene_plans import parts_of
from sam3i_agent.core.contracts import Frozen, RouteChoice, RunStatus
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks, mask_ious, union_iou
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.formats.registry import open_dataset
from sam3i_agent.data.phrases import Concept
from sam3i_agent.data.records import Record
from sam3i_agent.data.scene_files import write_scenes
from sam3i_agent.data.scenes import Colour, Noun, Scene, Shape, Texture, generate_scene
from sam3i_agent.segmodel.segmenter import Segmenter

LEVELS = (InstructionLevel.SIMPLE, InstructionLevel.COMPLEX)
SWEEP = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Values that a swept rate takes; `all` scales by twice these, so that 0.5 is the set as given."""
NO_LANGUAGES: Mapping[str, LanguageFactory] = {}
VOCABULARY = tuple(f"{colour} {shape}" for colour in Colour for shape in Shape)


class LevelRow(Frozen):
    """How the texts of one level fared."""

    giou: float
    """Mean IoU of the united masks, percent; nothing found where nothing is meant counts 100."""
    refused: float
    """Of the texts that mean nothing, percent that got nothing."""
    records: int


class Row(Frozen):
    """One route under one set of error rates."""

    route: RouteChoice
    language: str = ""
    """Name of the language model; empty for the simulated one, and where none is asked."""
    errors: dict[str, float | bool]
    simple: LevelRow
    complex: LevelRow
    calls: float
    """Questions to the language model for each text, retries included."""
    tokens: float
    pictures: float
    rounds: float
    seconds: float
    """Of each text, the first about a photo with its encoding."""
    endings: dict[str, int]
    """How many runs ended in which status."""


class LanguageBench(Frozen):
    """The table."""

    model: str
    series: int
    scenes: int
    prompts: str
    oracle: dict[str, float]
    """By level: gIoU of the best union out of all that any run had for candidates, percent."""
    rows: list[Row]


@dataclass(frozen=True)
class Question:
    """One text about one scene, and its truth."""

    photo: Photo
    text: str
    level: InstructionLevel
    wanted: Masks
    truth: Truth
    number: int


def read_questions(count: int, series: int) -> list[Question]:
    """Draw scenes and return all their simple and complex texts.

    Args:
        count: of scenes.
        series: of scenes (`sam3i dataset scenes --seed`).
    """
    questions: list[Question] = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_scenes(count, Path(folder) / "scenes", seed=series)
        photos: dict[str, Photo] = {}
        for record in open_dataset(path).records:
            if record.file_name not in photos:
                photos[record.file_name] = read_photo(path.parent / record.file_name)
            scene = generate_scene(series, int(Path(record.file_name).stem))
            for level in LEVELS:
                if level not in record.texts:
                    continue
                questions.append(
                    Question(
                        photos[record.file_name],
                        record.texts[level][0],
                        level,
                        record.masks(),
                        truth_of(scene, record, record.texts[level][0]),
                        len(questions),
                    )
                )
    return questions


def truth_of(scene: Scene, record: Record, text: str) -> Truth:
    """Return what a simulated model knows about a record of a scene and a text about it."""
    objects = tuple(
        KnownObject(_words(one.shape, one.colour, one.texture), encode_mask(one.mask)["counts"])
        for one in scene.objects
    )
    size = (record.height, record.width)
    ious = mask_ious(record.masks(), Masks(size, (one.counts for one in objects)))
    targets = tuple(int(one) for one in ious.argmax(axis=1))
    return Truth(objects, targets, VOCABULARY, tuple(parts_of(text)))


def _words(shape: Noun, colour: Colour, texture: Texture) -> tuple[str, ...]:
    exact = Concept(shape, colour).phrase()
    textured = Concept(shape, colour, texture).phrase() if texture is not Texture.PLAIN else exact
    plain = Concept(shape).phrase()
    return tuple(dict.fromkeys([exact, textured, plain, Concept(colour=colour).phrase()]))


def rates_to_measure(errors: str, sweep: str | None) -> list[ErrorRates]:
    """Return sets of error rates.

    Args:
        errors: JSON, an object of rates or a list of them.
        sweep: a rate to vary over `SWEEP` beside the first set; `all` scales that set instead.

    Raises:
        InputError: it is no JSON, or a rate is unknown or not 0 to 1.
    """
    try:
        values = json.loads(errors)
        sets = values if isinstance(values, list) else [values]
        if not sets or not all(isinstance(one, dict) for one in sets):
            raise TypeError("no object")
        if sweep is None:
            return [ErrorRates.parse(one) for one in sets]
        if sweep == "all":
            return [ErrorRates.parse(sets[0]).scaled(2 * one) for one in SWEEP]
        return [ErrorRates.parse({**sets[0], sweep: one}) for one in SWEEP]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        known = ", ".join(["verify", "select", *ErrorRates.model_fields])
        raise InputError(f"--errors: {name}: {first['msg']}", f"known: {known}") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"--errors takes a JSON object of rates, not {errors!r}") from error


def measure_language(
    segmenter: Segmenter,
    questions: Sequence[Question],
    series: int,
    routes: Sequence[RouteChoice],
    errors: Sequence[ErrorRates],
    *,
    seed: int = 0,
    prompts: str,
    use_head: bool = True,
    languages: Mapping[str, LanguageFactory] = NO_LANGUAGES,
    advance: Callable[[], None] = lambda: None,
) -> LanguageBench:
    """Answer all questions by each route under each set of error rates, and with real models.

    Args:
        segmenter: a loaded model.
        questions: see `read_questions`.
        series: that they are of, for the table.
        routes: by which routes; the direct one asks no model and is measured once.
        errors: sets of error rates.
        seed: of the errors.
        prompts: version of the questions to the model.
        use_head: let the direct answer be a candidate of the agent.
        languages: models by name, each a row of every route but the direct one.
        advance: called after each answer.
    """

    def simulated(rates: ErrorRates) -> Callable[[Question], LanguageFactory]:
        return lambda one: simulated_language(one.truth, rates, seed + one.number, prompts)

    rows: list[Row] = []
    for route in routes:
        if route is RouteChoice.DIRECT:
            sides = [("", ErrorRates(), simulated(ErrorRates()))]
        else:
            sides = [("", rates, simulated(rates)) for rates in errors]
            sides += [
                (name, ErrorRates(), lambda one, made=made: made)
                for name, made in languages.items()
            ]
        for name, rates, side in sides:
            row = _measure(segmenter, questions, route, side, use_head, advance)
            known = {key: value for key, value in rates.model_dump().items() if value}
            rows.append(row.model_copy(update={"language": name, "errors": known}))
    return LanguageBench(
        model=segmenter.name,
        series=series,
        scenes=len({one.photo.sha256 for one in questions}),
        prompts=prompts,
        oracle=_oracle(segmenter, questions),
        rows=rows,
    )


def _oracle(segmenter: Segmenter, questions: Sequence[Question]) -> dict[str, float]:
    """Return by level the gIoU of the best union of masks that phrases and head find, percent."""
    ious: dict[str, list[float]] = {level: [] for level in LEVELS}
    for one in questions:
        phrases = {word for index in one.truth.targets for word in one.truth.objects[index].words}
        prompts = [Prompt(phrase) for phrase in sorted(phrases)]
        prompts += [Prompt(one.text, level) for level in LEVELS if level in segmenter.levels]
        found = segmenter.encode(one.photo).segment(prompts) if len(one.wanted) else []
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
    segmenter: Segmenter,
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
    for one in questions:
        result = segment_photo_sync(
            segmenter,
            one.photo,
            one.text,
            route=route,
            use_head=use_head,
            language=language_of(one),
        )
        ious[one.level].append(union_iou(result.masks(), one.wanted))
        if not len(one.wanted):
            refused[one.level].append(not result.count)
        endings[result.status] += 1
        usages.append(result.usage)
        advance()
    simple, complex_ = (
        LevelRow(
            giou=100 * float(np.mean(ious[level])),
            refused=100 * float(np.mean(refused[level])),
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
        seconds=float(np.mean([one.seconds for one in usages])),
        rounds=float(np.mean([one.rounds for one in usages])),
        endings={status: endings[status] for status in RunStatus if endings[status]},
    )


def stops_paying_at(bench: LanguageBench, level: InstructionLevel) -> float | None:
    """Return the swept value from which on the agent is worse than the direct route.

    Between two measured values the line is straight. None: it pays everywhere, or no direct route
    was measured.
    """
    direct = [one for one in bench.rows if one.route is RouteChoice.DIRECT]
    agent = [one for one in bench.rows if one.route is RouteChoice.AGENT]
    if not direct or len(agent) != len(SWEEP):
        return None
    bar = _level(direct[0], level).giou
    gains = [_level(one, level).giou - bar for one in agent]
    for i, gain in enumerate(gains):
        if gain < 0:
            if i == 0:
                return SWEEP[0]
            share = gains[i - 1] / (gains[i - 1] - gain)
            return SWEEP[i - 1] + share * (SWEEP[i] - SWEEP[i - 1])
    return None


def table_of(bench: LanguageBench) -> str:
    """Return the rows as lines of text."""
    lines = [
        f"{bench.model}, {bench.scenes} scenes of series {bench.series}, prompts {bench.prompts}; "
        "gIoU simple / complex",
        "best union of all candidates: "
        + " / ".join(f"{bench.oracle[level]:.1f}" for level in LEVELS),
    ]
    for one in bench.rows:
        errors = ", ".join(f"{name} {value:g}" for name, value in one.errors.items()) or "none"
        endings = ", ".join(f"{name} {count}" for name, count in one.endings.items())
        way = f"{one.route} {one.language}".rstrip()
        lines.append(
            f"{way:12} {one.simple.giou:5.1f} / {one.complex.giou:5.1f}  refused "
            f"{one.simple.refused:.0f} / {one.complex.refused:.0f}  calls {one.calls:.2f}  "
            f"tokens {one.tokens:.0f}  pictures {one.pictures:.2f}  "
            f"seconds {one.seconds:.3f}  {endings}  errors: {errors}"
        )
    return "\n".join(lines)


def _level(row: Row, level: InstructionLevel) -> LevelRow:
    return row.simple if level is InstructionLevel.SIMPLE else row.complex
