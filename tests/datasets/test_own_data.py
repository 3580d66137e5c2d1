"""COCO instances and a CSV table become a dataset; wrong rows are named."""

import json

import pytest
from PIL import Image

from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.registry import open_dataset
from sam3i_agent.data.own_data import build_dataset
from sam3i_agent.training.pictures import RecordSource
from sam3i_agent.training.stages import Stage

BOX = [[1, 1, 5, 1, 5, 5, 1, 5]]
HEADER = "file_name,level,instruction,annotation_ids\n"


@pytest.fixture
def coco(tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "photos" / "a.png")
    content = {
        "images": [{"id": 5, "file_name": "a.png", "width": 20, "height": 10}],
        "annotations": [{"id": i, "image_id": 5, "segmentation": BOX} for i in (7, 8)],
    }
    path = tmp_path / "photos" / "instances.json"
    path.write_text(json.dumps(content))
    return path


def _build(coco, rows):
    table = coco.parent.parent / "instructions.csv"
    table.write_text(HEADER + rows)
    out = coco.parent.parent / "out" / "set.json"
    return build_dataset(coco, table, coco.parent, out), out


def test_rows_of_the_same_instances_are_one_record(coco):
    rows = (
        "a.png,simple,the left box,7",
        'a.png,complex,"what holds, and carries?",7',
        "a.png,concept,box,8 7",
        "a.png,simple,the tree,",
        "a.png,simple,the car,",
    )
    count, out = _build(coco, "\n".join(rows))
    assert count == 4
    records = open_dataset(out).records
    assert records[0].texts == {
        InstructionLevel.SIMPLE: ("the left box",),
        InstructionLevel.COMPLEX: ("what holds, and carries?",),
    }
    assert [len(record.encoded_masks) for record in records] == [1, 2, 0, 0]
    source = RecordSource(out, Stage.ALIGN, seed=1, samples_per_picture=4, max_instances=9)
    assert source.picture(0, 8).image.shape == (10, 20, 3)  # found from the file's own folder


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.png,simple,x,7", "row 2: the COCO file has no image 'b.png'"),
        ("a.png,hard,x,7", "row 2: 'hard' is not a valid"),
        ("a.png,simple,x,9", "has no annotation 9"),
        ("a.png,simple,x,seven", "row 2: invalid literal"),
        ("a.png,simple, ,7", "instruction is empty"),
        ("a.png,simple", "row 2 lacks a column"),
        ("", "has no rows"),
    ],
)
def test_wrong_rows_are_named(coco, row, message):
    with pytest.raises(InputError, match=message):
        _build(coco, row)


def test_a_run_trains_on_a_plain_folder_whose_table_names_no_levels(coco):
    folder = coco.parent.parent / "plain"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (20, 10)).save(folder / "images" / "a.png")
    mask = Image.new("L", (20, 10))
    mask.paste(1, (1, 1, 5, 5))
    mask.save(folder / "mask.png")
    (folder / "instructions.csv").write_text(
        "file_name,instruction,mask\n"
        "a.png,the box on the left,mask.png\n"
        "a.png,the cat at the top,\n"
    )
    settings = {"seed": 1, "samples_per_picture": 4, "max_instances": 9}
    source = RecordSource(folder, Stage.SIMPLE, level_of=classify_level, **settings)
    picture = source.picture(0, 10)
    assert source.record_count == 2 and [len(one.indices) for one in picture.samples] == [1, 0]
    assert picture.coverage.sum() == 8  # 16 pixels on cells of two
    with pytest.raises(InputError, match="column level"):
        RecordSource(folder, Stage.SIMPLE, **settings)
