"""The benchmark, fed with the truth and with nothing."""

import json
from pathlib import Path

import pytest

from sam3i_agent.core.contracts import LevelChoice, RouteChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.core.rle import decode_mask
from sam3i_agent.data.scene_files import write_scenes
from sam3i_agent.evaluation.benchmark import run_benchmark
from tests.conftest import KnowingImage, KnowingSegmenter


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(6, tmp_path_factory.mktemp("scenes") / "data", seed=3)


class _Oracle(KnowingSegmenter):
    """Knows the truth of the record that is asked next."""

    def __init__(self, annotations: Path, key: str) -> None:
        super().__init__(levels=tuple(InstructionLevel))
        content = json.loads(annotations.read_text())
        self._records = [r for r in content["images"] if r["text_inst_input"][key]]
        self._masks = {record["id"]: [] for record in content["images"]}
        for one in content["annotations"]:
            packed = one["segmentation"]
            self._masks[one["image_id"]].append(
                decode_mask(tuple(packed["size"]), packed["counts"])
            )

    def encode(self, photo):
        image = super().encode(photo)
        image._answer = lambda prompt: self._next(image)
        return image

    def _next(self, image):
        """Records are asked in order, one prompt each."""
        record = self._records[len(self.asked)]
        self.answers = {"x": [(mask, 0.9) for mask in self._masks[record["id"]]]}
        return KnowingImage(self, image.size_hw)._answer(Prompt("x"))


@pytest.mark.parametrize(
    ("level", "key"),
    [(InstructionLevel.CONCEPT, "concept"), (InstructionLevel.SIMPLE, "simple_query")],
)
def test_the_truth_scores_a_hundred(dataset, level, key):
    oracle = _Oracle(dataset, key)
    report = run_benchmark(oracle, dataset, level, RouteChoice.DIRECT, LevelChoice(level))
    assert report.records > 6
    assert report.giou == 100
    assert report.positive_micro_f1_50 == pytest.approx(100, abs=0.1)
    if level is InstructionLevel.CONCEPT:
        assert report.cgf1_50 == pytest.approx(100, abs=0.1) and report.nothing_right == 100


def test_finding_nothing_scores_nothing(dataset):
    report = run_benchmark(
        KnowingSegmenter(), dataset, InstructionLevel.CONCEPT, RouteChoice.DIRECT, LevelChoice.AUTO
    )
    assert report.cgf1_50 == 0 and report.positive_micro_f1_50 == 0
    assert report.nothing_right == 100
    assert report.giou == pytest.approx(100 * (1 - report.positives / report.records))


def test_each_text_is_read_as_asked(dataset):
    for read_as, wanted in (
        (LevelChoice.COMPLEX, {InstructionLevel.COMPLEX}),
        (LevelChoice.CONCEPT, {InstructionLevel.CONCEPT}),
    ):
        segmenter = KnowingSegmenter(levels=tuple(InstructionLevel))
        run_benchmark(segmenter, dataset, InstructionLevel.SIMPLE, RouteChoice.DIRECT, read_as)
        assert {level for _, level in segmenter.asked} == wanted


def test_datasets_without_the_level_or_broken_are_refused(dataset, tmp_path):
    content = json.loads(dataset.read_text())
    for record in content["images"]:
        record["text_inst_input"]["complex_query"] = []
    dataset.write_text(json.dumps(content))
    with pytest.raises(InputError, match="has a complex text"):
        run_benchmark(
            KnowingSegmenter(),
            dataset,
            InstructionLevel.COMPLEX,
            RouteChoice.DIRECT,
            LevelChoice.AUTO,
        )
    (tmp_path / "bad.json").write_text('{"images": [{}]}')
    with pytest.raises(InputError, match="images without texts"):
        run_benchmark(
            KnowingSegmenter(),
            tmp_path / "bad.json",
            InstructionLevel.CONCEPT,
            RouteChoice.DIRECT,
            LevelChoice.AUTO,
        )
