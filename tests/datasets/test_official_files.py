"""RefCOCO's and Ref-ZOM's pickles, and MMR: read as they were published; bad ones are named."""

import json
import pickle
from collections import OrderedDict

import pytest

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.data.formats.registry import read_dataset
from tests.conftest import block

WHOLE, OTHER = block(0, 0, 20, 20), block(50, 50, 60, 60)
SIMPLE, COMPLEX = InstructionLevel.SIMPLE, InstructionLevel.COMPLEX


def _sentences(*ids):
    return [{"sent_id": id_, "sent": f"text {id_}", "raw": f"Text {id_}", "tokens": []}
            for id_ in ids]  # fmt: skip


def _ref(id_, ann_id, *sentences, **fields):
    return {"ref_id": id_, "image_id": 5, "ann_id": ann_id, "split": "val", "category_id": 1,
            "sentences": _sentences(*sentences), **fields}  # fmt: skip


def _folder(path, refs, name="refs(unc).p"):
    path.mkdir(exist_ok=True)
    data = refs if isinstance(refs, bytes) else pickle.dumps(refs, protocol=2)
    (path / name).write_bytes(data)
    annotations = [
        {"id": 11, "image_id": 5, "segmentation": encode_mask(WHOLE)},
        {"id": 12, "image_id": 5, "segmentation": [[50, 50, 60, 50, 60, 60, 50, 60]]},
    ]
    images = [{"id": 5, "file_name": "COCO_train2014_5.jpg", "height": 100, "width": 100}]
    (path / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def test_a_reference_is_a_record_per_sentence_and_splits_are_told_apart(tmp_path):
    refs = [_ref(1, 11, 1, 2), _ref(2, 12, 3, split="testA")]
    dataset = read_dataset(_folder(tmp_path / "refcoco", refs))
    assert dataset.format.name == "refer"
    assert [(one.id, one.annotation_ids, one.split) for one in dataset.records] == [
        (1, (11,), "val"), (2, (11,), "val"), (3, (12,), "testA")
    ]  # fmt: skip
    assert dataset.records[0].texts == {SIMPLE: ("text 1",)}
    assert dataset.records[0].file_name == "COCO_train2014_5.jpg"
    assert (dataset.records[0].masks()[0] == WHOLE).all()
    assert [one.id for one in dataset.of_split("testA").records] == [3]
    with pytest.raises(InputError, match=r"no split 'test'.*testA, val"):
        dataset.of_split("test")


def test_ref_zom_asks_for_several_targets_or_none(tmp_path):
    refs = [_ref(1, [11, 12], 1, source="multi"), _ref(2, [-1], 2, source="zero")]
    several, none = read_dataset(_folder(tmp_path / "zom", refs, "Ref-ZOM(final).p")).records
    assert several.annotation_ids == (11, 12) and several.granularity == "1toN"
    assert none.annotation_ids == none.encoded_masks == ()


@pytest.mark.parametrize(
    ("refs", "said"),
    [
        (b"", "no pickle of references"),
        (b"\x80\x02]q", "no pickle of references"),
        (pickle.dumps(OrderedDict()), "holds collections.OrderedDict, not plain values"),
        ([_ref(1, 99, 1)], r"refs\(unc\).p: reference 1 cannot be used: KeyError\(99\)"),
        ([{"ref_id": 1}], "reference 1 cannot be used"),
        (7, "cannot be used"),
    ],
)
def test_pickles_that_do_not_fit_are_named_and_run_nothing(tmp_path, refs, said):
    with pytest.raises(InputError, match=said):
        read_dataset(_folder(tmp_path / "bad", refs))


def _mmr(tmp_path, **fields):
    entry = {
        "file_name": "train2017/5.jpg", "height": 100, "width": 100, "image_id": 5,
        "questions": [" what rolls? ", "what flies?"],
        "answers": [[{"segmentation": encode_mask(one)} for one in (WHOLE, OTHER)], []],
        **fields,
    }  # fmt: skip
    path = tmp_path / "MMR_val.json"
    path.write_text(json.dumps([entry, entry]))
    return path


def test_a_question_of_mmr_is_a_record_with_all_its_targets(tmp_path):
    dataset = read_dataset(_mmr(tmp_path))
    assert dataset.format.name == "mmr"
    assert [(one.id, one.annotation_ids) for one in dataset.records] == [
        (1, (1, 2)), (2, ()), (3, (3, 4)), (4, ())
    ]  # fmt: skip
    assert dataset.records[0].texts == {COMPLEX: ("what rolls?",)}
    assert (dataset.records[0].masks()[1] == OTHER).all()


def test_an_entry_of_mmr_that_does_not_fit_is_named(tmp_path):
    with pytest.raises(InputError, match="entry 0 cannot be used"):
        read_dataset(_mmr(tmp_path, answers=[[]]))
