"""COCO instances and a CSV table become a dataset; wrong rows are named."""

import json

import pytest
from PIL import Image

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
