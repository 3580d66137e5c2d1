"""Corrections add up, never change an earlier result, and are refused in words."""

from dataclasses import dataclass, field
from pathlib import Path

import anyio
import numpy as np
import pytest
import skimage

from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.contracts import LevelChoice, RouteChoice, RunStatus
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.instances import ClickMasks, Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import read_photo
from sam3i_agent.core.prompt import Exemplar, Prompt
from sam3i_agent.tools.purpose import PHOTO_WARNING
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox
from tests.conftest import KnowingSegmenter, block

LEFT, RIGHT = block(10, 10, 30, 30), block(60, 10, 90, 40)


@dataclass
class _Model:
    """Finds one more instance for each example, and three readings of a click."""

    prompts: list[Prompt] = field(default_factory=list)
    clicked: list[tuple[tuple, bool]] = field(default_factory=list)
    takes_exemplars = True
    levels = (InstructionLevel.CONCEPT,)
    encodings = 1

    context_length = 32
    weights = ()

    def count_tokens(self, text):
        return 1

    def encode(self, photo):
        return self

    def segment(self, prompts):
        self.prompts += prompts
        return [self._found(1 + len(prompts[0].exemplars))]

    def click(self, photo, clicks, mask=None):
        self.clicked.append((clicks, mask is not None))
        readings = Masks.encode([block(0, 0, side, side) for side in (40, 20, 10)], (100, 100))
        return ClickMasks(readings, np.array([0.9, 0.6, 0.3], np.float32), 0.9)

    def _found(self, count):
        masks = Masks.encode([block(10 * i, 50, 10 * i + 8, 58) for i in range(count)], (100, 100))
        boxes = np.array([(10 * i, 50, 10 * i + 8, 58) for i in range(count)], np.float32)
        return Instances(masks, boxes, np.full(count, 0.9, np.float32), 0.9)


class _Service(SegmentationService):
    def __init__(self, model):
        super().__init__()
        self.segmenter = lambda: model


@pytest.fixture
def setup(grey_photo):
    model = _Model()
    toolbox = Toolbox(_Service(model), ImageSource(ResultStore()))
    knowing = KnowingSegmenter({"umbrella": [(LEFT, 0.9), (RIGHT, 0.8)]})
    result = segment_photo_sync(knowing, grey_photo, "umbrella")
    return toolbox, model, toolbox.results.add(result, grey_photo)


def _refine(toolbox, *args, **changes):
    return anyio.run(lambda: toolbox.refine(*args, **changes))


def test_examples_add_up_and_the_earlier_result_undoes_them(setup):
    toolbox, model, first = setup
    second = _refine(toolbox, first.id, [(10, 10, 30, 30)])
    third = _refine(toolbox, second.id, [(60, 10, 90, 40)], positive=False)
    assert [prompt.text for prompt in model.prompts] == ["umbrella"] * 2
    assert model.prompts[1].exemplars == (
        Exemplar((10, 10, 30, 30)), Exemplar((60, 10, 90, 40), positive=False),
    )  # fmt: skip
    assert [one.result.count for one in (first, second, third)] == [2, 2, 3]
    assert (second.parent, third.parent) == (first.id, second.id)
    assert "1 examples and 1 counterexamples" in third.result.trace[-1]
    _refine(toolbox, first.id, [(1, 1, 9, 9)])  # from the first again: the others are undone
    assert len(model.prompts[-1].exemplars) == 1
    assert toolbox.results.get(first.id).result.count == 2


def test_a_correction_warns_of_a_photograph_once(setup):
    toolbox, _, _ = setup  # whose service has the choice of the shipped model
    photo = read_photo(Path(skimage.__file__).parent / "data" / "chelsea.png")
    knowing = KnowingSegmenter({"cat": [(np.ones(photo.size_hw, bool), 0.9)]})
    first = toolbox.results.add(segment_photo_sync(knowing, photo, "cat"), photo)
    assert not first.result.warnings
    second = _refine(toolbox, first.id, points=[(15, 15)])
    third = _refine(toolbox, second.id, points=[(35, 35)])
    assert second.result.warnings == third.result.warnings == (PHOTO_WARNING,)


def test_clicks_correct_the_instance_under_them_and_add_up(setup):
    toolbox, model, first = setup
    second = _refine(toolbox, first.id, points=[(15, 15)])
    assert second.result.count == 2 and second.result.instances[0].area == 1600
    assert second.result.instances[1] == first.result.instances[1]
    third = _refine(toolbox, second.id, points=[(35, 35)], positive=False, instance=1, reading=2)
    clicks, had_mask = model.clicked[-1]
    assert [(one.point_xy, one.positive) for one in clicks] == [((15, 15), True), ((35, 35), False)]
    assert had_mask and third.result.instances[0].area == 400
    assert third.result.instances[0].score == pytest.approx(0.6)


def test_a_click_beside_all_instances_adds_one_and_examples_combine_with_it(setup):
    toolbox, model, first = setup
    second = _refine(toolbox, first.id, points=[(50, 90)])
    assert second.result.count == 3 and model.clicked[-1][1] is False
    third = _refine(toolbox, second.id, [(10, 10, 30, 30)])
    fourth = _refine(toolbox, third.id, points=[(3, 55)])
    assert third.result.count == fourth.result.count == 2
    assert fourth.edits.exemplars == third.edits.exemplars and 1 in fourth.edits.clicks


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "either boxes"),
        ({"boxes": [(1, 1, 2, 2)], "points": [(1, 1)]}, "either boxes"),
        ({"points": [(1, 1)], "instance": 3}, "there is no instance 3"),
        ({"points": [(15, 15)], "reading": 4}, "there is no reading 4"),
        ({"points": [(15, 15)], "positive": False}, "which instance is meant"),
    ],
)
def test_corrections_that_make_no_sense(setup, changes, said):
    toolbox, _, first = setup
    with pytest.raises(InputError, match=said):
        _refine(toolbox, first.id, **changes)


def test_a_box_cannot_be_example_and_counterexample(setup):
    toolbox, _, first = setup
    second = _refine(toolbox, first.id, [(10, 10, 30, 30)])
    with pytest.raises(InputError, match="both an example and none"):
        _refine(toolbox, second.id, [(10, 10, 30, 30)], positive=False)


def test_a_refined_result_tells_of_the_new_answer_and_not_of_the_one_before(setup, grey_photo):
    toolbox, _, _ = setup
    nothing = segment_photo_sync(KnowingSegmenter(), grey_photo, "umbrella")
    assert nothing.status is RunStatus.NO_TARGET and nothing.presence == pytest.approx(0.1)
    slow = nothing.usage.model_copy(update={"seconds": 90.0})
    nothing = nothing.model_copy(update={"usage": slow})
    first = toolbox.results.add(nothing, grey_photo)
    by_box = _refine(toolbox, first.id, [(10, 10, 30, 30)]).result
    assert by_box.status is RunStatus.SELECTED and by_box.count == 2
    assert by_box.presence == pytest.approx(0.9)
    assert by_box.usage.prompts == 1 and by_box.usage.seconds < nothing.usage.seconds
    assert not any("presence 0.10" in line for line in by_box.trace)
    by_click = _refine(toolbox, first.id, points=[(50, 90)]).result
    assert by_click.status is RunStatus.SELECTED and by_click.presence == pytest.approx(0.9)
    assert by_click.usage.seconds > nothing.usage.seconds
    assert by_click.trace[:-1] == nothing.trace  # the other instances still come from there


def test_boxes_alone_need_no_word(setup, grey_photo):
    _, model, _ = setup
    result = segment_photo_sync(model, grey_photo, "", exemplars=(Exemplar((1, 1, 9, 9)),))
    (prompt,) = model.prompts
    assert prompt.text == "" and prompt.exemplars == (Exemplar((1, 1, 9, 9)),)
    assert result.instruction == "" and result.count == 2 and result.presence > 0.8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"route": RouteChoice.AGENT}, "leave out --route agent"),
        ({"level": LevelChoice.COMPLEX}, "leave out --level"),
    ],
)
def test_examples_refuse_what_contradicts_them(setup, grey_photo, options, said):
    _, model, _ = setup
    with pytest.raises(InputError, match=said):
        segment_photo_sync(model, grey_photo, "x", exemplars=(Exemplar((1, 1, 9, 9)),), **options)
