"""Comparisons: resumable at any record, honest statistics, and a report that stands alone."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from sam3i_agent.agent.planner.parsing import singular_of
from sam3i_agent.agent.run import offline_planner
from sam3i_agent.core.contracts import DEFAULT_BUDGETS, Budgets, LevelChoice, RouteChoice
from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.core.photo import read_photo
from sam3i_agent.data.formats.registry import open_dataset
from sam3i_agent.data.phrases import GENERIC_NOUNS
from sam3i_agent.data.scene_files import write_scenes
from sam3i_agent.data.scenes import Colour, Shape, Texture, generate_scene
from sam3i_agent.evaluation.compare.answering import Answerer, tasks_of
from sam3i_agent.evaluation.compare.cases import WHOLE, Shard, read_cases, read_predictions
from sam3i_agent.evaluation.compare.comparison import compare_routes, run_comparison
from sam3i_agent.evaluation.compare.export import write_answer_files
from sam3i_agent.evaluation.compare.ray_workers import WorkerSettings, answer_with_ray
from sam3i_agent.evaluation.compare.report import markdown_table, reading, write_report
from sam3i_agent.evaluation.compare.scoring import Failure, score_answers
from sam3i_agent.evaluation.compare.significance import interval_of
from sam3i_agent.evaluation.compare.statistics import compare_answers
from sam3i_agent.evaluation.forms.answers import Selection
from sam3i_agent.evaluation.metrics.evaluators import evaluate
from sam3i_agent.evaluation.metrics.protocol import EvaluationProtocol
from tests.conftest import KnowingImage, KnowingSegmenter

LEVELS = (InstructionLevel.CONCEPT, InstructionLevel.SIMPLE)
ROUTES = (RouteChoice.DIRECT, RouteChoice.AGENT)
SETTINGS = {"dataset": "x", "model": "y", "language": "z"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(write_scenes(5, tmp_path_factory.mktemp("data") / "set", seed=33))


class _PerPhoto(KnowingSegmenter):
    """Answers every noun phrase about the dataset's scenes rightly, and nothing else."""

    def __init__(self, dataset):
        super().__init__(levels=(InstructionLevel.CONCEPT,))
        images = sorted((dataset.images / "images").iterdir())
        self.scenes = {
            read_photo(path).sha256: generate_scene(33, index) for index, path in enumerate(images)
        }

    def encode(self, photo):
        scene, image = self.scenes[photo.sha256], super().encode(photo)

        def answer(prompt):
            words = {singular_of(word) for word in prompt.text.split()} - {*GENERIC_NOUNS}
            known = {str(word) for kind in (Shape, Colour, Texture) for word in kind}
            found = [
                (item.mask, 0.9)
                for item in scene.objects
                if words <= known and words <= {item.shape, item.colour, item.texture}
            ]
            self.answers = {prompt.text: found}
            return KnowingImage(self, image.size_hw)._answer(prompt)

        image._answer = answer
        return image


def _run(dataset, out, segmenter=None, routes=ROUTES, levels=LEVELS, **changes):
    answerer = Answerer(segmenter or _PerPhoto(dataset), dataset.images, DEFAULT_BUDGETS)
    shard = changes.get("shard", WHOLE)
    cases = [one for one in read_cases(dataset, levels) if shard.holds(one.record.file_name)]
    settings = {"settings": SETTINGS, **changes}
    return run_comparison(answerer.answer, tasks_of(cases, routes), out, **settings)


def _without_seconds(journal):
    lines = journal.path.read_text().splitlines()
    return [re.sub(r'"seconds":[0-9.e-]+', "", line) for line in lines]


@pytest.mark.parametrize("cut", [0, 1, 300])
def test_a_killed_comparison_ends_the_same(dataset, tmp_path, cut):
    whole = _run(dataset, tmp_path / "whole")

    class KilledError(Exception):
        pass

    def advance(done, total):
        if done == 7:
            raise KilledError

    with pytest.raises(KilledError):
        _run(dataset, tmp_path / "killed", advance=advance)
    path = tmp_path / "killed" / Shard().file_name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - cut])  # as a crash may leave it, within a line
    resumed = _run(dataset, tmp_path / "killed")
    assert _without_seconds(resumed) == _without_seconds(whole)
    segmenter = _PerPhoto(dataset)
    _run(dataset, tmp_path / "killed", segmenter)
    assert segmenter.encodings == 0  # nothing is left to do


def test_a_photo_is_encoded_once_for_all_routes_and_texts(dataset, tmp_path, tiny):
    before = tiny.encodings.misses
    routes = (RouteChoice.DIRECT, RouteChoice.AGENT, RouteChoice.AUTO)
    _run(dataset, tmp_path / "out", tiny, routes=routes)
    assert tiny.encodings.misses - before == 5


def test_shards_part_the_cases_by_photo_and_meet_in_one_folder(dataset, tmp_path):
    parts = [
        {one.case for one in _run(dataset, tmp_path, shard=Shard.parse(text))}
        for text in ("1/2", "2/2")
    ]
    cases = {case.id for case in read_cases(dataset, LEVELS)}
    assert parts[0] | parts[1] == cases and not parts[0] & parts[1]
    assert {one.case for one in read_predictions(tmp_path)} == cases
    for text in ("3/2", "0/1", "1", "a/b"):
        with pytest.raises(InputError, match="--shard"):
            Shard.parse(text)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray uses what it has deprecated itself
def test_two_ray_workers_answer_as_one_process_does(dataset, tmp_path, tiny):
    cases = read_cases(dataset, LEVELS)
    settings = WorkerSettings(
        ModelChoice("tiny", "cpu", Tiling.OFF), dataset.images, DEFAULT_BUDGETS, offline_planner
    )
    path = run_comparison(
        lambda tasks: answer_with_ray(tasks, settings, workers=2),
        tasks_of(cases, ROUTES), tmp_path / "ray", settings=SETTINGS,
    )  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the workers: what several threads add up is rounded otherwise
    try:
        here = _run(dataset, tmp_path / "here", tiny)
    finally:
        torch.set_num_threads(threads)
    assert _without_seconds(path) == _without_seconds(here)


def test_a_photo_of_another_size_is_named(dataset, tmp_path):
    records = [replace(one, height=one.height + 1) for one in dataset.records]
    with pytest.raises(
        InputError, match=r"000000.png' is 256x256 pixels, the dataset says 256x257"
    ):
        _run(replace(dataset, records=records), tmp_path)


def test_the_files_say_to_the_protocols_what_the_report_says(dataset, tmp_path):
    """The report's own numbers come again from the COCO files, by the official rules."""
    _run(dataset, tmp_path)
    cases = read_cases(dataset, LEVELS)
    comparison = compare_answers(cases, read_predictions(tmp_path))
    write_answer_files(cases, read_predictions(tmp_path), tmp_path)
    for one in comparison.summaries:
        files = [tmp_path / "coco" / f"{name}-{one.level}.json" for name in ("truth", one.route)]
        saco = evaluate(EvaluationProtocol.SACO, files[:1], files[1])
        assert 100 * saco["cgF1@0.5"] == pytest.approx(one.metrics["cgF1@0.5"])
        referring = evaluate(EvaluationProtocol.REASONSEG, files[:1], files[1])
        assert referring["gIoU"] == pytest.approx(one.giou.value)
        assert referring["cIoU"] == pytest.approx(one.metrics["cIoU"])
        assert evaluate(EvaluationProtocol.SAM3I_MULTI, files[:1], files[1])["images"] == one.cases


def test_a_comparison_scores_the_same_in_each_form_that_it_writes(dataset, tmp_path):
    compare_routes(dataset, ROUTES, _PerPhoto(dataset), tmp_path, levels=LEVELS, limit=25)
    truth = [tmp_path / "coco" / "truth-simple.json"]
    for route in ROUTES:
        coco, sam3i = (tmp_path / form / f"{route}-simple.json" for form in ("coco", "sam3i"))
        for protocol in EvaluationProtocol:
            assert evaluate(protocol, truth, coco) == evaluate(protocol, truth, sam3i)
        protocol = EvaluationProtocol.SAM3I_1TO1  # the others count what was not asked too
        chosen = Selection(route=route, level=InstructionLevel.SIMPLE)
        own = evaluate(protocol, [dataset.path], tmp_path / "predictions.jsonl", selection=chosen)
        assert own == evaluate(protocol, truth, sam3i)


def test_other_settings_and_damaged_files_are_refused(dataset, tmp_path):
    path = _run(dataset, tmp_path / "out").path
    with pytest.raises(InputError, match="holds another run: its dataset is 'x'"):
        _run(dataset, tmp_path / "out", settings={"model": "another"})
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(StorageError, match="line 1"):
        _run(dataset, tmp_path / "out")


def test_the_truth_scores_a_hundred_and_nothing_scores_its_absences(dataset, tmp_path):
    cases = read_cases(dataset, (InstructionLevel.CONCEPT,))
    levels, routes = (InstructionLevel.CONCEPT,), (RouteChoice.DIRECT,)
    path = _run(dataset, tmp_path / "a", levels=levels, routes=routes)
    (summary,) = compare_answers(cases, path).summaries
    for name in ("gIoU", "cIoU", "P@0.50", "count accuracy", "right nothing"):
        assert summary.metrics[name] == 100
    assert not summary.failures and summary.giou.low == summary.giou.high == 100
    path = _run(dataset, tmp_path / "b", KnowingSegmenter(), levels=levels, routes=routes)
    answers = score_answers(cases, path)
    wrong = [one for one in answers if one.truths]
    assert all(one.failure is Failure.NOTHING for one in wrong)
    assert [one.iou for one in answers if not one.truths] == [1.0] * (len(cases) - len(wrong))


def test_differences_are_paired_and_significance_needs_evidence(dataset, tmp_path):
    path = _run(dataset, tmp_path / "out")
    cases = read_cases(dataset, LEVELS)
    comparison = compare_answers(cases, path)
    by_level = dict(comparison.differences)
    concept = by_level["concept"]
    assert concept.giou.value == concept.giou.low == 0 and not concept.significant
    simple = by_level["simple"]  # only the agent turns these texts into known phrases
    assert simple.giou.low <= simple.giou.value <= simple.giou.high
    assert simple.significant and simple.giou.value > 0
    first, second = reading(comparison)
    assert first == "On concept texts agent and direct do not differ significantly."
    assert second.startswith("On simple texts agent beats direct by ")


def test_the_report_stands_alone(dataset, tmp_path):
    path = _run(dataset, tmp_path / "out")
    comparison = compare_answers(read_cases(dataset, LEVELS), path)
    html = write_report(comparison, SETTINGS, dataset.images, tmp_path / "out").read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', html)  # nothing from elsewhere
    assert "prefers-color-scheme: dark" in html and "viewport" in html
    assert html.count("<section") <= 24 and "data:image/jpeg;base64," in html
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(content["summaries"]) == 4 and len(content["differences"]) == 2
    table = markdown_table(comparison)
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_texts_in_the_report_cannot_break_it(dataset, tmp_path):
    path = _run(dataset, tmp_path / "out")
    cases = read_cases(dataset, LEVELS)
    evil = "<script>alert(1)</script>"
    cases = [type(case)(case.id, case.record, case.level, evil) for case in cases]
    comparison = compare_answers(cases, path)
    html = write_report(comparison, SETTINGS, dataset.images, tmp_path / "out").read_text()
    assert evil not in html and "&lt;script&gt;" in html


def test_intervals_narrow_with_more_photos():
    rng = np.random.default_rng(0)
    few, many = (np.stack([rng.random(n), np.ones(n)], axis=1) for n in (10, 1000))
    widths = [one.high - one.low for one in (interval_of(few), interval_of(many))]
    assert widths[0] > 4 * widths[1]
    assert interval_of(many).low < 50 < interval_of(many).high


def test_one_call_from_python_goes_from_a_dataset_to_the_report(dataset, tmp_path):
    steps = []
    comparison = compare_routes(
        dataset.path,
        ROUTES,
        _PerPhoto(dataset),
        tmp_path,
        levels=LEVELS,
        limit=20,
        model_name="knowing",
        advance=lambda done, total: steps.append((done, total)),
    )
    assert {(one.level, one.route) for one in comparison.summaries} == {
        (level, route) for level in LEVELS for route in ROUTES
    }
    assert comparison.summary(LEVELS[0], RouteChoice.AGENT).metrics["gIoU"] == 100
    assert steps[0] == (0, 40) and steps[-1] == (40, 40)
    for name in ("report.html", "report.json", "report.md", "predictions.jsonl", "coco"):
        assert (tmp_path / name).exists()
    settings = json.loads((tmp_path / "report.json").read_text())["settings"]
    assert settings == {
        "dataset": "set/annotations.json", "model": "knowing", "language": "offline planner"
    }  # fmt: skip


def test_a_comparison_in_memory_says_the_same_and_writes_nothing(dataset, tmp_path):
    arguments = (dataset, ROUTES, _PerPhoto(dataset))
    kept = compare_routes(*arguments, tmp_path / "out", levels=LEVELS)
    free = compare_routes(*arguments, levels=LEVELS)
    assert [one.metrics for one in free.summaries] == [one.metrics for one in kept.summaries]
    assert free.differences == kept.differences
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_model_is_loaded_only_where_something_is_left_to_answer(dataset, tmp_path, monkeypatch):
    loads = []
    monkeypatch.setattr(
        "sam3i_agent.segmodel.checkpoints.loading.open_segmenter",
        lambda model: loads.append(model) or _PerPhoto(dataset),
    )
    for _ in range(2):
        compare_routes(dataset, ROUTES, ModelChoice("x", "cpu"), tmp_path, levels=LEVELS)
    assert loads == [ModelChoice("x", "cpu")]
    assert json.loads((tmp_path / "settings.json").read_text())["model"] == "x"


def test_budgets_and_readings_are_part_of_what_a_comparison_is(dataset, tmp_path):
    arguments = (dataset, ROUTES[:1], _PerPhoto(dataset), tmp_path)
    compare_routes(*arguments, levels=LEVELS[:1])
    for changes in ({"budgets": Budgets(max_rounds=1)}, {"read_as": LevelChoice.CONCEPT}):
        with pytest.raises(InputError, match=f"its {next(iter(changes))} is None, not"):
            compare_routes(*arguments, levels=LEVELS[:1], **changes)


def test_a_loaded_model_cannot_go_to_workers(dataset, tmp_path):
    with pytest.raises(InputError, match="cannot share a loaded model"):
        compare_routes(dataset, ROUTES, _PerPhoto(dataset), tmp_path, workers=2)


def test_each_of_several_language_models_is_a_row(dataset, tmp_path):
    asked: list[str] = []

    def model(name):
        def make(meter):
            asked.append(name)
            return offline_planner(meter)

        return make

    languages = {name: model(name) for name in ("one", "two")}
    arguments = (dataset, ROUTES, _PerPhoto(dataset), tmp_path)
    comparison = compare_routes(*arguments, languages=languages, levels=LEVELS[:1], limit=4)
    rows = ["direct", "agent@one", "agent@two"]
    assert [one.route for one in comparison.summaries] == rows
    assert {one.cases for one in comparison.summaries} == {4}
    assert asked.count("two") == 4  # the direct route asks the first of them, in vain
    settings = json.loads((tmp_path / "report.json").read_text())["settings"]
    assert settings["language"] == "one, two"
    assert {f"{row}-concept.json" for row in rows} <= {
        path.name for path in (tmp_path / "coco").iterdir()
    }
    before = len(asked)
    compare_routes(*arguments, languages=languages, levels=LEVELS[:1], limit=4)
    assert len(asked) == before  # all of it was answered
