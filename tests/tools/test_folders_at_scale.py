"""A thousand pictures by the command itself: killed twice, finished, and with workers the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam3i_agent.core.contracts import PictureAnswer
from sam3i_agent.core.journal import Journal
from sam3i_agent.data.scenes import generate_scene
from tests.tools.folder_readers import read_coco, read_label_studio, read_yolo

COUNT = 1000
TEXT = "the largest red shape"
_POLL_S = 0.2
_KIB_PER_MIB = 1024
_MAX_GROWTH = 1.1

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "photos"
    folder.mkdir()
    for number in range(COUNT):
        Image.fromarray(generate_scene(960, number).image).save(folder / f"{number:04}.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def finished(photos: Path) -> tuple[Path, list[int]]:
    """The results of a run that was killed twice, and its memory in MiB, from start to end."""
    out = photos.parent / "out"
    _killed_at(photos, out, COUNT // 10)
    _killed_at(photos, out, COUNT // 4)
    return out, _watched(_start(photos, out), out, COUNT)


def _start(photos: Path, out: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = ("-m", "sam3i_agent.cli", "segment", str(photos), TEXT, "--route", "direct")
    return subprocess.Popen(
        [sys.executable, *command, "--out", str(out), *options], start_new_session=True
    )


def _killed_at(photos: Path, out: Path, count: int) -> None:
    process = _start(photos, out)
    while _done(out) < count:
        assert process.poll() is None
        time.sleep(_POLL_S)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def _watched(process: "subprocess.Popen[bytes]", out: Path, count: int) -> list[int]:
    """Return the memory while the pictures are answered, once for each poll."""
    seen: list[int] = []
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        resident = [int(one.split()[1]) for one in lines if one.startswith("VmRSS")]
        if resident and COUNT // 4 + COUNT // 20 < _done(out) <= count:
            seen.append(resident[0] // _KIB_PER_MIB)
        time.sleep(_POLL_S)
    assert process.returncode == 0
    return seen


def _done(out: Path) -> int:
    path = out / "results.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_each_of_a_thousand_pictures_is_once_in_every_export(
    finished: tuple[Path, list[int]], photos: Path
):
    out, _ = finished
    names = {f"{number:04}.png" for number in range(COUNT)}
    lines = list(Journal(out / "results.jsonl", PictureAnswer))
    assert len(lines) == COUNT + 1 and {one.file for one in lines} == names | {"broken.jpg"}
    coco, yolo, label_studio = read_coco(out), read_yolo(out), read_label_studio(out)
    assert names == coco.keys() == label_studio.keys()
    assert {str((photos / one).resolve()) for one in names} == yolo.keys()
    for name in names:
        masks = yolo[str((photos / name).resolve())]
        assert len(masks) == len(coco[name]) == label_studio[name]


def test_memory_does_not_grow_with_the_pictures(finished: tuple[Path, list[int]]):
    _, seen = finished
    tenth = max(1, len(seen) // 10)
    first, last = np.median(seen[:tenth]), np.median(seen[-tenth:])
    print(f"memory: {first:.0f} MiB in the first tenth, {last:.0f} MiB in the last")
    assert last <= _MAX_GROWTH * first


def test_workers_give_the_same_results(finished: tuple[Path, list[int]], photos: Path):
    pytest.importorskip("ray")
    out, _ = finished
    parted = photos.parent / "parted"
    assert _start(photos, parted, "--workers", "2").wait() == 0
    here, there = read_coco(out), read_coco(parted)
    assert here.keys() == there.keys()
    for name, masks in here.items():
        assert len(masks) == len(there[name])
        for one, other in zip(masks, there[name], strict=True):
            # Pictures that share a pass differ in the last bits, which moves pixels at an edge.
            assert (one ^ other).sum() <= 0.02 * max(one.sum(), 1)
