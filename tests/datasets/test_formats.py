"""Every format gives the same kind of record, and whatever is wrong is named."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import decode_mask
from sam3i_agent.data.formats.folder import FOLDER
from sam3i_agent.data.formats.grefcoco import GREFCOCO
from sam3i_agent.data.formats.reasonseg import REASONSEG
from sam3i_agent.data.formats.refcoco import REFCOCO
from sam3i_agent.data.formats.registry import FORMATS, open_dataset, read_dataset
from sam3i_agent.data.formats.saco import SACO
from sam3i_agent.data.formats.sam3i import SAM3I, sam3i_content, write_sam3i
from sam3i_agent.data.photos import read_dataset_photo
from sam3i_agent.data.scene_files import write_scenes
from tests.conftest import block

SIZE = 100
LEFT, RIGHT = [[10, 10, 30, 10, 30, 30, 10, 30]], [[60, 10, 90, 10, 90, 40, 60, 40]]


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (SIZE, SIZE)).save(tmp_path / name)
    return tmp_path


def _coco(folder, key, *texts):
    images = [
        {"id": i, "file_name": "a.jpg", "height": SIZE, "width": SIZE, key: text}
        for i, text in enumerate(texts, start=1)
    ]
    annotations = [
        {"id": 7, "image_id": 1, "segmentation": LEFT},
        {"id": 8, "image_id": 1, "segmentation": RIGHT},
    ]
    path = folder / "set.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


@pytest.mark.parametrize(
    ("key", "kind", "level"),
    [
        ("text_input", SACO, InstructionLevel.CONCEPT),
        ("caption", REFCOCO, InstructionLevel.SIMPLE),
    ],
)
def test_coco_files_with_one_text_an_image(folder, key, kind, level):
    dataset = open_dataset(_coco(folder, key, "umbrella", "teapot"))
    assert dataset.format is kind and dataset.images == folder
    first, second = dataset.records
    assert first.texts == {level: ("umbrella",)} and first.annotation_ids == (7, 8)
    assert first.masks().areas.tolist() == [400, 900]
    assert second.texts == {level: ("teapot",)} and not second.encoded_masks


def test_generated_scenes(tmp_path):
    dataset = open_dataset(write_scenes(2, tmp_path / "x", seed=1))
    assert dataset.format is SAM3I and len(dataset.records) > 10


def test_grefcoco_has_several_targets_and_none(folder):
    size = {"height": SIZE, "width": SIZE}
    instances = {
        "images": [
            {"id": 1, "file_name": "a.jpg", **size},
            {"id": 2, "file_name": "b.jpg", **size},
        ],
        "annotations": [{"id": 7, "segmentation": LEFT}, {"id": 8, "segmentation": RIGHT}],
    }
    refs = [
        {"ref_id": 1, "image_id": 1, "ann_id": [7, 8], "no_target": False,
         "sentences": [{"sent_id": 1, "sent": "both"}, {"sent_id": 2, "raw": "the two"}]},
        {"ref_id": 2, "image_id": 2, "ann_id": [-1], "no_target": True,
         "sentences": [{"sent_id": 3, "sent": "the cat"}]},
    ]  # fmt: skip
    (folder / "instances.json").write_text(json.dumps(instances))
    (folder / "grefs(unc).json").write_text(json.dumps(refs))
    dataset = open_dataset(folder)
    assert dataset.format is GREFCOCO
    assert [len(one.encoded_masks) for one in dataset.records] == [2, 2, 0]
    assert dataset.records[1].texts == {InstructionLevel.SIMPLE: ("the two",)}
    refs[0]["ann_id"] = [99]
    (folder / "grefs(unc).json").write_text(json.dumps(refs))
    with pytest.raises(InputError, match="reference 1 cannot be used: KeyError"):
        open_dataset(folder)


def test_reasonseg_leaves_out_flags_and_keeps_what_is_ignored(folder):
    def shape(label, polygon):
        ring = np.array(polygon[0]).reshape(-1, 2).tolist()
        return {"label": label, "points": ring}

    for name, shapes in (
        ("a", [shape("target", LEFT), shape("target", RIGHT)]),
        ("b", [shape("target", LEFT), shape("ignore", RIGHT), shape("flag", RIGHT)]),
    ):
        content = {"text": [f"what is {name}’s?"], "is_sentence": True, "shapes": shapes}
        text = json.dumps(content, ensure_ascii=False)
        (folder / f"{name}.json").write_bytes(text.encode("cp1252"))  # as some of its files are
    dataset = open_dataset(folder)
    first, second = dataset.records
    assert dataset.format is REASONSEG
    assert first.texts == {InstructionLevel.COMPLEX: ("what is a’s?",)}
    assert first.masks().areas.sum() == 1300 and len(first.encoded_masks) == 1
    assert second.masks().areas.sum() == 400
    assert decode_mask((SIZE, SIZE), second.encoded_ignored[0]).sum() == 900
    (folder / "b.jpg").unlink()
    with pytest.raises(InputError, match=r"no photo beside 'b\.json'"):
        open_dataset(folder)


def _table(folder, *rows, columns=("file_name", "instruction", "mask", "level")):
    (folder / "images").mkdir(exist_ok=True)
    Image.new("RGB", (SIZE, SIZE)).save(folder / "images" / "a.png")
    labels = block(10, 10, 30, 30).astype(np.uint8) + 2 * block(60, 10, 90, 40).astype(np.uint8)
    Image.fromarray(labels).save(folder / "a-mask.png")
    with (folder / "instructions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows([columns, *rows])
    return folder


def test_a_plain_folder(tmp_path):
    rows = [
        ("a.png", "both umbrellas", "a-mask.png", ""),
        ("a.png", "what keeps the rain off?", "a-mask.png", "complex"),
        ("a.png", "cat", "", ""),
    ]
    dataset = open_dataset(_table(tmp_path, *rows), level_of=classify_level)
    assert dataset.format is FOLDER
    assert [tuple(one.texts) for one in dataset.records] == [
        (InstructionLevel.SIMPLE,), (InstructionLevel.COMPLEX,), (InstructionLevel.CONCEPT,),
    ]  # fmt: skip
    assert dataset.records[0].masks().areas.tolist() == [400, 900]
    assert not dataset.records[2].encoded_masks
    ids = [id_ for one in dataset.records for id_ in one.annotation_ids]
    assert len(ids) == len(set(ids)) == 4


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("a.png", "", "a-mask.png", ""), "row 2: the instruction is empty"),
        (("b.png", "cat", "", ""), "row 2: the photo 'b.png' cannot be read"),
        (("a.png", "cat", "no.png", ""), "row 2: the mask 'no.png' cannot be read"),
        (("a.png", "cat", "images/a.png", ""), "row 2: the mask 'a.png' has colours"),
        (("a.png", "cat", "small.png", ""), "row 2: the mask 'small.png' is 5x5 pixels, the photo"),
        (("a.png", "cat", "", "deep"), "row 2: 'deep' is not a valid"),
        (("a.png", "cat"), "row 2 lacks a column"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, said):
    Image.new("L", (5, 5)).save(tmp_path / "small.png")
    with pytest.raises(InputError, match=said):
        open_dataset(_table(tmp_path, row), level_of=classify_level)


def test_what_is_no_dataset_says_what_one_is(folder, tmp_path_factory):
    path = folder / "x.json"
    for content, said in (
        ("", "is empty"), ("{", "no JSON"), ("[]", "has no images"),
        ('{"images": []}', "no images"),
        ('{"images": [{"id": 1}]}', "images without texts"),
        ('{"images": [{"id": 1, "caption": "x"}], "annotations": []}', "image 1 cannot be used"),
    ):  # fmt: skip
        path.write_text(content)
        with pytest.raises(InputError, match=said):
            open_dataset(path)
    with pytest.raises(InputError, match="is no dataset"):
        open_dataset(tmp_path_factory.mktemp("empty"))
    with pytest.raises(InputError, match="--images FOLDER"):
        open_dataset(_coco(tmp_path_factory.mktemp("elsewhere"), "caption", "x"))
    assert (
        open_dataset(_coco(tmp_path_factory.mktemp("y"), "caption", "x"), folder).images == folder
    )


def test_a_text_without_a_level_needs_somebody_who_reads_it(tmp_path):
    folder = _table(tmp_path, ("a.png", "cat", "", ""))
    with pytest.raises(InputError, match=r"row 2: the instruction has no level .*column level"):
        open_dataset(folder)


def test_masks_without_texts_can_be_read_but_not_asked_about(folder):
    path = _coco(folder, "note", "x", "y")
    assert [len(one.encoded_masks) for one in read_dataset(path).records] == [2, 0]
    with pytest.raises(InputError, match=r"without texts .*text_inst_input \(SAM3-I\).*caption"):
        open_dataset(path)


def test_every_format_can_be_written_as_sam3i_and_means_the_same(tmp_path):
    shape = {"label": "target", "points": np.array(LEFT[0]).reshape(-1, 2).tolist()}
    ignored = {"label": "ignore", "points": np.array(RIGHT[0]).reshape(-1, 2).tolist()}
    Image.new("RGB", (SIZE, SIZE)).save(tmp_path / "a.jpg")
    content = {"text": ["what is it?"], "shapes": [shape, ignored]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    first = open_dataset(tmp_path)
    out = tmp_path / "elsewhere" / "set.json"
    write_sam3i(sam3i_content(first.records), first.images, out)
    again = open_dataset(out)
    (record,), (same,) = first.records, again.records
    assert again.format is SAM3I and (again.images / same.file_name).samefile(tmp_path / "a.jpg")
    for name in ("texts", "encoded_masks", "encoded_ignored", "height", "granularity"):
        assert getattr(same, name) == getattr(record, name)
    assert same.encoded_ignored and same.masks().areas.tolist() == [400]


def test_the_names_of_the_formats_are_their_own_and_the_catch_alls_come_last():
    names = [one.name for one in FORMATS]
    assert len(set(names)) == len(names)
    assert names.index("coco") > max(names.index(one) for one in ("sam3i", "saco", "refcoco"))
    assert names[-1] == "reasonseg"


def test_photos_of_another_size_than_the_dataset_says_are_refused(folder):
    dataset = open_dataset(_coco(folder, "caption", "x"))
    assert read_dataset_photo(dataset.images, "a.jpg", (SIZE, SIZE)).size_hw == (SIZE, SIZE)
    with pytest.raises(InputError, match=r"'a\.jpg' is 100x100 pixels, the dataset says 100x99"):
        read_dataset_photo(dataset.images, "a.jpg", (SIZE - 1, SIZE))
