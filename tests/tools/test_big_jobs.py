"""Big jobs on a cluster of two machines that exists before, of which one is lost half-way."""

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
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.evaluation.compare.cases import Shard, read_predictions
from sam3i_agent.tools.folders.run import RESULTS_NAME

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
