"""The AI verifier finds records that were spoiled on purpose, and says how many."""

import asyncio
import json

import numpy as np
import pytest

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.core.contracts import Budgets
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.formats.registry import open_dataset
from sam3i_agent.evaluation.verification import ModelJudge, OfflineJudge, verify_dataset
from tests.agent.scripted_server import call, question, serve
from tests.conftest import KnowingSegmenter, block

CAT, DOG = block(10, 10, 40, 40), block(60, 60, 90, 90)


@pytest.fixture
def dataset(tmp_path):
    """Four records about one photo: right, wrong mask, lacking a mask, beyond the planner."""
    from PIL import Image

    Image.fromarray(np.full((100, 100, 3), 128, np.uint8)).save(tmp_path / "a.png")
    wanted = [("cat", [CAT]), ("dog", [CAT]), ("animal", [CAT]), ("what would bark?", [DOG])]
    content = {"images": [], "annotations": []}
    for number, (text, masks) in enumerate(wanted, start=1):
        texts = {"concept": [text], "simple_query": [], "complex_query": []}
        content["images"].append(
            {"id": number, "file_name": "a.png", "width": 100, "height": 100,
             "text_inst_input": texts}
        )  # fmt: skip
        for mask in masks:
            content["annotations"].append(
                {"id": number, "image_id": number, "segmentation": encode_mask(mask)}
            )
    path = tmp_path / "set.json"
    path.write_text(json.dumps(content))
    return path


def test_the_offline_judge_flags_and_drops(dataset):
    found = {"cat": [(CAT, 0.9)], "dog": [(DOG, 0.9)], "animal": [(CAT, 0.9), (DOG, 0.8)]}
    judge = OfflineJudge(KnowingSegmenter(found))
    out = dataset.with_name("checked.json")
    report = asyncio.run(verify_dataset(dataset, judge, out))
    assert report.as_dict() == {
        "records": 4, "passed": 2, "wrong_masks": 1, "not_exhaustive": 2, "unjudged": 1,
        "dropped": 0,
    }  # fmt: skip
    flags = [one["verification"] for one in json.loads(out.read_text())["images"]]
    assert [one["masks"] for one in flags] == [True, False, True, None]
    assert [one["exhaustive"] for one in flags] == [True, False, False, None]
    report = asyncio.run(verify_dataset(dataset, judge, out, drop=True))
    assert report.dropped == 2
    assert [record.id for record in open_dataset(out).records] == [1, 4]


def test_an_empty_mask_is_wrong_without_asking(grey_photo):
    def script(body, number):
        assert "this mask alone" in question(body) or number == 1
        return call(body, verdict="accept") if number == 0 else call(body, complete=True)

    async def run(url):
        model = language_factory(LanguageChoice(url=url, model="m"))(
            Meter(Budgets(), MemoryLedger())
        )
        try:
            return await ModelJudge(model).judge(
                grey_photo, "cat", Masks.encode([CAT, CAT & False], CAT.shape)
            )
        finally:
            await model.close()

    with serve(script) as server:
        judgement = asyncio.run(run(server.url))
    assert (judgement.masks_right, judgement.exhaustive) == (False, True)
    assert judgement.reason == "1 masks are empty" and len(server.log) == 2


def test_a_model_judges_masks_and_completeness(dataset):
    def script(body, number):
        text = question(body)
        if "judge" in text.lower() and "this mask alone" in text:
            return call(body, verdict="reject" if '"dog"' in text else "accept", reason="a cat")
        return call(body, complete='"animal"' not in text, missing="the dog")

    out = dataset.with_name("checked.json")

    async def run(url):
        model = language_factory(LanguageChoice(url=url, model="m"))(
            Meter(Budgets(), MemoryLedger())
        )
        try:
            return await verify_dataset(dataset, ModelJudge(model), out, drop=True)
        finally:
            await model.close()

    with serve(script) as server:
        report = asyncio.run(run(server.url))
    assert (report.passed, report.wrong_masks, report.not_exhaustive) == (2, 1, 1)
    assert [record.id for record in open_dataset(out).records] == [1, 4]
    assert len(server.log) == 8  # a mask and a completeness question each


def test_any_format_is_verified_and_written_as_sam3i(dataset):
    """A RefCOCO file, with its photos and the output in other folders."""
    content = json.loads(dataset.read_text())
    for image in content["images"]:
        image["caption"] = image.pop("text_inst_input")["concept"][0]
    photos = dataset.parent / "photos"
    photos.mkdir()
    (dataset.parent / "a.png").rename(photos / "a.png")
    dataset.write_text(json.dumps(content))
    found = {"cat": [(CAT, 0.9)], "dog": [(DOG, 0.9)], "animal": [(CAT, 0.9), (DOG, 0.8)]}
    out = dataset.parent / "new" / "checked.json"
    judge = OfflineJudge(KnowingSegmenter(found))
    report = asyncio.run(verify_dataset(dataset, judge, out, images=photos))
    assert (report.passed, report.wrong_masks, report.not_exhaustive) == (2, 1, 2)
    checked = json.loads(out.read_text())
    assert checked["images"][1]["text_inst_input"]["simple_query"] == ["dog"]
    assert checked["images"][1]["verification"]["masks"] is False
    assert open_dataset(out).having((InstructionLevel.SIMPLE,))


def test_what_a_sam3i_file_holds_beyond_records_stays_in_it(dataset):
    content = json.loads(dataset.read_text())
    content["licenses"], content["images"][0]["source"] = ["CC"], "flickr"
    content["annotations"][0]["note"] = "by hand"
    dataset.write_text(json.dumps(content))
    out = dataset.parent / "sub" / "checked.json"
    asyncio.run(verify_dataset(dataset, OfflineJudge(KnowingSegmenter()), out))
    checked = json.loads(out.read_text())
    assert checked["licenses"] == ["CC"] and checked["images"][0]["source"] == "flickr"
    assert checked["annotations"] == content["annotations"]
    assert checked["images"][0]["file_name"] == "../a.png"
