"""Base and head trained together: whose turn it is, what moves, what is written."""

from collections import Counter

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.complex_texts import draw_complex_instructions
from sam3i_agent.data.kinds import InstructionKind, SceneStyle
from sam3i_agent.data.scenes import SceneLimits, generate_scene
from sam3i_agent.data.simple_texts import draw_instructions
from sam3i_agent.segmodel.checkpoints.loading import load_model
from sam3i_agent.segmodel.checkpoints.repository import base_model_of
from sam3i_agent.segmodel.tokenization import InstructionTokenizer
from sam3i_agent.training.batches import BatchPlan, make_batch
from sam3i_agent.training.config import TrainConfig
from sam3i_agent.training.loop import train
from sam3i_agent.training.pictures import SceneSource
from sam3i_agent.training.stages import Stage
from sam3i_agent.training.validation import validate
from tests.training.test_loop import SIZE

TURNS = (Stage.CONCEPT, Stage.SIMPLE, Stage.EXEMPLARS, Stage.COMPLEX)


def _config(folder, **changes):
    values = {
        "output": folder, "stage": "joint", "turns": TURNS, "steps": 4, "images": 2,
        "samples_per_image": 3, "warmup_steps": 1, "workers": 0, "device": "cpu", "model": SIZE,
        "adapter_dim": 8, "adapter_heads": 2, "ema_decay": 0.0, "learning_rate": 1e-2,
    }  # fmt: skip
    return TrainConfig.model_validate(values | changes)


def test_batches_ask_for_the_texts_whose_turn_it_is():
    source = SceneSource(5, Stage.JOINT, 3, SceneLimits(), turns=TURNS, images=2)
    plan = BatchPlan(source, images=2, image_size=32, mask_size=8, vocabulary_size=1024)
    batches = [make_batch(plan, number, InstructionTokenizer(1024)) for number in range(5)]
    concept, simple, complex_ = InstructionLevel
    assert [list(one.texts) for one in batches] == [
        [concept], [simple], [concept], [complex_], [concept],
    ]  # fmt: skip
    assert [one.examples is not None for one in batches] == [False, False, True, False, False]


def test_a_joint_run_moves_base_and_head_and_writes_them_apart(tmp_path):
    model_folder = train(_config(tmp_path / "from_nothing"), progress=False)
    both = load_model(str(model_folder))
    base = load_model(str(model_folder), with_head=False)
    assert both.config.has_instruction_head and not base.config.has_instruction_head
    assert base_model_of(str(model_folder)) == str(model_folder.resolve())
    went_on = train(_config(tmp_path / "on", start_from=str(model_folder)), progress=False)
    after = load_model(str(went_on)).state_dict()
    moved = {key for key, value in both.state_dict().items() if not torch.equal(value, after[key])}
    for part in ("vision_encoder", "text_encoder", ".adapters.simple", ".adapters.complex_out"):
        assert any(part in key for key in moved), part


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"turns": ()}, "needs turns"),
        ({"turns": ("concept", "align")}, "turns are of"),
        ({"stage": "concept"}, "needs turns"),
        ({"data": "set.json"}, "generated scenes"),
    ],
)
def test_turns_that_cannot_be_are_refused(tmp_path, changes, reason):
    with pytest.raises(ValidationError, match=reason):
        _config(tmp_path, **changes)


def test_a_share_of_the_pictures_is_everyday_and_validation_measures_either_style():
    def pictures(share):
        source = SceneSource(5, Stage.CONCEPT, 2, SceneLimits(), everyday_share=share)
        return [source.picture(number, 8).image for number in range(12)]

    plain, mixed, everyday = pictures(0.0), pictures(0.5), pictures(1.0)
    as_plain = [np.array_equal(a, b) for a, b in zip(mixed, plain, strict=True)]
    as_everyday = [np.array_equal(a, b) for a, b in zip(mixed, everyday, strict=True)]
    assert any(as_plain) and any(as_everyday)
    assert as_plain == [not one for one in as_everyday]
    model = load_model("tiny").float().eval()
    on_plain, on_everyday = (
        validate(model, InstructionLevel.CONCEPT, 10, style) for style in SceneStyle
    )
    assert on_plain.giou != on_everyday.giou


def test_favoured_kinds_are_asked_for_more_often_and_others_stay():
    scenes = [generate_scene(8, index) for index in range(40)]

    def drawn(favoured):
        return Counter(
            wish.kind
            for index, scene in enumerate(scenes)
            for draw in (draw_instructions, draw_complex_instructions)
            for wish in draw(np.random.default_rng(index), scene, 4, favoured)
        )

    plain, favoured = drawn({}), drawn({InstructionKind.ORDER: 4})
    assert favoured[InstructionKind.ORDER] > 1.5 * plain[InstructionKind.ORDER]
    assert favoured.keys() == plain.keys()
