"""Big jobs on a cluster of two machines that exists before, of which one is lost half-way."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sam3i_agent.core.contracts import PictureAnswer
from sam3i_agent.core.journal import Journal
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.rle import encode_mask
from sam3i_agent.core.storage.blobs import Blobs
from sam3i_agent.data.formats.sam3i import sam3i_content
from sam3i_agent.data.records import Record
from sam3i_agent.data.scenes import CANVAS_SIZE, generate_scene
from sam3i_agent.evaluation.compare.cases import Shard, read_predictions
from sam3i_agent.tools.folders.pictures import RESULTS_NAME

COUNT = 80
TEXTS = 120
"""Of the comparison: fewer are answered before half of them are seen to be."""
_LONGEST_S = 500
_POLL_S = 0.1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # Ray uses what it has deprecated itself
]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Two nodes with a core each; yields the cluster and the second node."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster, second
    cluster.shutdown()


def _start(*arguments: str) -> "subprocess.Popen[bytes]":
    command = (sys.executable, "-m", "sam3i_agent.cli", *arguments, "--device", "cpu")
    return subprocess.Popen(
        [*command, "--workers", "2"], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def _lose_node_half_way(
    process: "subprocess.Popen[bytes]", file: Path, lines: int, cluster: tuple[Any, Any]
) -> None:
    """Kill the second node when a file has half of its lines, and wait for the end."""
    end = time.monotonic() + _LONGEST_S
    while not file.exists() or file.read_bytes().count(b"\n") < lines // 2:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(_POLL_S)
    whole, second = cluster
    whole.remove_node(second, allow_graceful=False)
    assert file.read_bytes().count(b"\n") < lines  # it was not over yet
    assert process.wait(end - time.monotonic()) == 0


def test_a_folder_of_pictures_has_each_result_once(cluster: tuple[Any, Any], tmp_path: Path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(COUNT):
        Image.fromarray(generate_scene(960, number).image).save(photos / f"{number:03}.png")
    text = "the largest red shape"
    process = _start("segment", str(photos), text, "--route", "direct", "--out", str(out))
    _lose_node_half_way(process, out / RESULTS_NAME, COUNT, cluster)
    files = Counter(one.file for one in Journal(out / RESULTS_NAME, PictureAnswer))
    assert files == Counter(f"{number:03}.png" for number in range(COUNT))


def test_a_comparison_has_each_answer_once(cluster: tuple[Any, Any], tmp_path: Path):
    scenes, out = tmp_path / "scenes", tmp_path / "out"
    made = (sys.executable, "-m", "sam3i_agent.cli", "dataset", "scenes", "10", str(scenes))
    subprocess.run(made, check=True)
    dataset = ("compare", str(scenes / "annotations.json"), "--out", str(out), "--pictures", "0")
    process = _start(*dataset, "--routes", "direct,agent", "--limit", str(TEXTS))
    _lose_node_half_way(process, out / Shard().file_name, 2 * TEXTS, cluster)
    answers = Counter((one.case, one.route) for one in read_predictions(out))
    assert len(answers) == 2 * TEXTS and set(answers.values()) == {1}


def test_a_papers_table_has_each_answer_once_also_in_the_store(
    cluster: tuple[Any, Any], tmp_path: Path
):
    _write_dataset(tmp_path / "json" / "RefCOCO", tmp_path / "images" / "coco2014")
    out, store = tmp_path / "out", tmp_path / "store"
    roots = ("--annotations", str(tmp_path / "json"), "--images", str(tmp_path / "images"))
    process = _start(
        "reproduce", "sam3i", *roots, "--out", str(out), "--store", str(store),
        "--image-folders", "RefCOCO:coco2014",
    )  # fmt: skip
    row = out / "RefCOCO-simple"
    _lose_node_half_way(process, row / Shard().file_name, TEXTS, cluster)
    answers = Counter(one.case for one in read_predictions(row))
    assert len(answers) == TEXTS and set(answers.values()) == {1}
    kept = {one.key for one in Blobs(str(store)).list("jobs")}
    wanted = ("table.md", f"RefCOCO-simple/{Shard().file_name}")
    assert all(f"jobs/out/{name}" in kept for name in wanted)


def _write_dataset(annotations: Path, images: Path) -> None:
    """Write scenes, each asked about once, as SAM3-I's authors lay a dataset out."""
    records: list[Record] = []
    annotations.mkdir(parents=True)
    images.mkdir(parents=True)
    numbers = itertools.count()
    while len(records) < TEXTS:
        number = next(numbers)
        scene = generate_scene(961, number)
        if not scene.objects:
            continue
        item, name = scene.objects[0], f"{number}.png"
        Image.fromarray(scene.image).save(images / name)
        texts = {InstructionLevel.SIMPLE: (f"the {item.colour} {item.shape}",)}
        masks = (encode_mask(item.mask)["counts"],)
        records.append(Record(number, name, CANVAS_SIZE, CANVAS_SIZE, texts, masks))
    (annotations / "sam3i_val.json").write_text(json.dumps(sam3i_content(records)))
