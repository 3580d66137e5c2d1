"""Other models beside transformers' classes: both sides do the same work on the same weights."""

import json

import pytest
import torch
from transformers import Owlv2Config, Sam2Model, Sam3LiteTextConfig
from typer.testing import CliRunner

from sam3i_agent.benchmarks import backends
from sam3i_agent.benchmarks.backends import (
    Backend,
    BackendTimes,
    floors_of,
    lite_text_backend,
    measure_backends,
    open_vocabulary_backend,
)
from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from tests.conftest import Scene
from tests.segmodel.small_models import save_lite_text, save_owlv2, save_sam2

_PHRASES = ("thing number 0", "thing number 1")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Backend]:
    torch.manual_seed(0)
    lite = save_lite_text(tmp_path_factory.mktemp("lite"))
    owl = save_owlv2(tmp_path_factory.mktemp("owl"))
    sam = save_sam2(tmp_path_factory.mktemp("sam"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "STD", 0.2)  # of layers so narrow, or all queries are alike
        return {
            "sam3-litetext": lite_text_backend(Sam3LiteTextConfig.from_pretrained(lite)),
            "owlv2+sam2": open_vocabulary_backend(
                Owlv2Config.from_pretrained(owl), Sam2Model.from_pretrained(sam).config
            ),
        }


def test_every_kind_is_measured_and_written_as_json(
    small: dict[str, Backend], monkeypatch: pytest.MonkeyPatch
):
    for kind, backend in small.items():
        monkeypatch.setitem(backends.BACKENDS, kind, lambda reduced, one=backend: one)
    run = CliRunner().invoke(app, ["bench", "backends", "--phrases", "2", "--json"])
    assert run.exit_code == 0, run.output
    measured = BackendTimes.model_validate(json.loads(run.stdout)).models
    assert [one.image_side for one in measured] == [112, 96]
    for one in measured:
        assert one.phrases == 2 and one.ratio == pytest.approx(
            (one.encode_s + one.answer_s) / one.stock_s, rel=0.05, abs=0.01
        )
        assert 0 < one.processor_ratio < 2
    table = CliRunner().invoke(app, ["bench", "backends", "--phrases", "1"]).output
    assert table.count("\n| ") == len(small) + 1
    header, rule, *rows = (line for line in table.splitlines() if line.startswith("|"))
    assert {line.count("|") for line in (header, rule, *rows)} == {11}


@pytest.mark.parametrize("kind", ["sam3-litetext", "owlv2+sam2"])
def test_both_sides_draw_as_many_instances(small: dict[str, Backend], kind: str, scene: Scene):
    backend = small[kind]
    photo = Photo(scene.image, "backends")
    floors = [backend.stock(photo, text) for text in _PHRASES]
    if not backend.same_scores:
        floors = floors_of(backend.ours, photo, _PHRASES)
    prompts = [Prompt(text, min_score=floor) for text, floor in zip(_PHRASES, floors, strict=True)]
    found = backend.ours.encode(photo, keep=False).segment(prompts)
    drawn = [len(one.masks) for one in found]
    if kind == "sam3-litetext":
        assert drawn == [backends.INSTANCES] * 2
    else:  # doubles are dropped on both sides
        assert all(0 < count <= backends.INSTANCES for count in drawn)


def test_kinds_that_are_none_are_refused():
    with pytest.raises(InputError, match="no kind 'sam9'"):
        measure_backends(["sam9"], 1, 1, True, lambda: None)
