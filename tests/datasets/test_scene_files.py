"""Datasets on disk: written ones and other people's read back, bad ones are named."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.registry import open_dataset, read_dataset
from sam3i_agent.data.kinds import InstructionKind
from sam3i_agent.data.scene_files import write_scenes
from sam3i_agent.data.scenes import SceneLimits, generate_scene
from sam3i_agent.segmodel.tokenization import InstructionTokenizer
from sam3i_agent.training.batches import BatchPlan, make_batch
from sam3i_agent.training.pictures import RecordSource, SceneSource
from sam3i_agent.training.stages import Stage


def _source(path, stage=Stage.SIMPLE, **changes):
    settings = {"seed": 1, "samples_per_picture": 4, "max_instances": 25}
    return RecordSource(path, stage, **{**settings, **changes})


def test_written_scenes_read_back(tmp_path):
    path = write_scenes(8, tmp_path / "set", seed=3)
    records = open_dataset(path).records
    assert {level for record in records for level in record.texts} == set(InstructionLevel)
    assert {record.granularity for record in records} == {"1to1", "1toN", "1toAll"}
    assert any(not record.encoded_masks for record in records)
    for record in records[:20]:
        scene = generate_scene(3, int(record.file_name[7:13]))
        for mask in record.masks():
            assert any(np.array_equal(mask, item.mask) for item in scene.objects)


def test_a_dataset_trains_on_what_the_scenes_hold(tmp_path):
    """The same pictures through the file give the same tensors as straight from the generator."""
    path = write_scenes(4, tmp_path / "set", seed=3)
    source = _source(path, Stage.COMPLEX)
    pictures = [source.picture(number, 16) for number in range(len(source))]
    scenes = {generate_scene(3, index).image.tobytes(): index for index in range(4)}
    straight = SceneSource(3, Stage.COMPLEX, 4, SceneLimits())
    assert source.record_count == sum(len(one.samples) for one in pictures)
    for picture in pictures:
        scene = straight.picture(scenes[picture.image.tobytes()], 16)
        for row, cover in zip(picture.boxes_cxcywh, picture.coverage, strict=True):
            distances = (scene.boxes_cxcywh - row).abs().amax(1)
            assert distances.min() < 1e-6
            torch.testing.assert_close(cover, scene.coverage[distances.argmin()])


def test_each_pass_shuffles_and_repeats_exactly(tmp_path):
    source = _source(write_scenes(6, tmp_path / "set", seed=3))
    count = len(source)

    def texts(numbers):
        return [
            sample.texts[InstructionLevel.SIMPLE]
            for number in numbers
            for sample in source.picture(number, 8).samples
        ]

    first, second = texts(range(count)), texts(range(count, 2 * count))
    assert sorted(first) == sorted(second) and first != second
    assert first == texts(range(count))


def test_batches_from_a_dataset_have_no_dense_targets(tmp_path):
    source = _source(write_scenes(4, tmp_path / "set", seed=3), Stage.ALIGN)
    plan = BatchPlan(source, images=2, image_size=32, mask_size=8, vocabulary_size=1024)
    batch = make_batch(plan, 0, InstructionTokenizer(1024))
    assert batch.object_labels is None and batch.texts.keys() == set(InstructionLevel)
    assert int(batch.target_counts.sum()) == len(batch.masks) == len(batch.boxes_cxcywh)


def _write(tmp_path, segmentation, **changes):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    image = {
        "id": 1, "file_name": "a.png", "width": 20, "height": 10,
        "text_inst_input": {"concept": [], "simple_query": ["the box"], "complex_query": []},
        **changes,
    }  # fmt: skip
    content = {
        "images": [image],
        "annotations": [{"id": 1, "image_id": 1, "segmentation": segmentation}],
    }
    path = tmp_path / "own.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "segmentation",
    [
        [[5, 2, 15, 2, 15, 8, 5, 8]],
        {"size": [10, 20], "counts": [52, *[6, 4] * 9, 6, 52]},
    ],
)
def test_polygons_and_plain_rle_are_read(tmp_path, segmentation):
    (record,) = open_dataset(_write(tmp_path, segmentation)).records
    (mask,) = record.masks()
    assert mask.sum() == 60 and mask[2:8, 5:15].all()
    picture = _source(tmp_path / "own.json").picture(0, 10)
    torch.testing.assert_close(picture.boxes_cxcywh, torch.tensor([[0.5, 0.5, 0.5, 0.6]]))


@pytest.mark.parametrize(
    ("segmentation", "changes", "message"),
    [
        ("x", {}, "RLE or polygons"),
        ({"size": [9, 9], "counts": "x"}, {}, "size|mask of"),
        ([[5, 2, 15, 2, 15, 8]], {"text_inst_input": {"concept": ["box"]}}, "has a simple text"),
        ([[5, 2, 15, 2, 15, 8]], {"width": None}, "no SAM3-I dataset"),
    ],
)
def test_bad_datasets_are_named(tmp_path, segmentation, changes, message):
    with pytest.raises(InputError, match=message):
        _source(_write(tmp_path, segmentation, **changes))


def test_records_with_more_instances_than_queries_are_left_out(tmp_path):
    path = _write(tmp_path, [[5, 2, 15, 2, 15, 8, 5, 8]])
    with pytest.raises(InputError, match="too many instances"):
        _source(path, max_instances=0)


def test_texts_say_what_kind_they_are_and_old_files_without_it_still_read(tmp_path):
    path = write_scenes(3, tmp_path / "set", seed=5)
    records = read_dataset(path).records
    kinds = {kind for one in records for kind in one.kinds.values()}
    assert {"absent", "order", "function"} <= kinds <= {*InstructionKind}
    assert all((one.kinds.get(level) == "absent") == (not one.encoded_masks)
               for one in records for level in one.texts)  # fmt: skip
    content = json.loads(path.read_text())
    for image in content["images"]:
        image.pop("kind", None)
    path.write_text(json.dumps(content))
    assert [replace(one, kinds={}) for one in records] == read_dataset(path).records
    content["images"][0]["kind"] = {"hard": "x"}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="'hard' is not a valid"):
        read_dataset(path)
