"""What a process may have of the machine, read as both versions of control groups lay it out."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sam3i_agent.benchmarks.speed.memory import PeakMemory
from sam3i_agent.segmodel import machine_limits
from sam3i_agent.segmodel.checkpoints import memory
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.checkpoints.official_files import write_official
from sam3i_agent.segmodel.hardware import take_allowed_threads
from sam3i_agent.segmodel.machine_limits import allowed_processors, memory_left
from sam3i_agent.segmodel.network.instruction_sam3 import InstructionSam3
from tests.conftest import small_config

MIB = 1 << 20
WIDTH = 512
"""Of the text encoder, by which most of the small model's weights are embeddings."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Lay out control groups, on a machine of 16 processors."""
    monkeypatch.setattr(machine_limits, "_GROUPS", tmp_path)
    monkeypatch.setattr(machine_limits, "_OWN", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)

    def lay(own: str, **files: str) -> None:
        (tmp_path / "own").write_text(own)
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return lay


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {}, 16),  # no group sets anything
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n"}, 4),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, 16),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2),
        ("0::/a/b\n", {"cpu.max": "250000 100000\n"}, 2),  # a container sees its own as the root
        ("0::/a\n", {"a/cpu.max": "50000 100000\n"}, 1),
        ("0::/a\n", {"a/cpu.max": "9900000 100000\n"}, 16),  # more than there are
        ("4:cpu,cpuacct:/a\n0::/\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "300000\n",
                                      "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"}, 3),
        ("1:cpu:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1\n",
                        "cpu/a/cpu.cfs_period_us": "100000\n"}, 16),
        ("1:cpuset:/a\n", {"cpuset/a/cpu.max": "100000 100000\n"}, 16),  # not of this controller
    ],
)  # fmt: skip
def test_processors_are_those_of_the_nearest_quota(machine, own, files, expected):
    machine(own, **files)
    assert allowed_processors() == expected


def test_a_machine_without_control_groups_has_its_affinity(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_limits, "_OWN", tmp_path / "nothing")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert allowed_processors() == 2 and memory_left() is None


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a\n", {"a/memory.max": "max\n", "a/memory.stat": "anon 10\n"}, None),
        ("0::/a\n", {"a/memory.max": "1000\n", "a/memory.stat": "anon 300\nfile 600\n"}, 700),
        ("0::/a\n", {"a/memory.max": "1000\n", "memory.max": "500\n"}, 500),
        ("0::/a\n", {"a/memory.max": "100\n", "a/memory.stat": "anon 300\n"}, 0),
        ("8:memory:/a\n", {"memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("8:memory:/a\n", {"memory/a/memory.limit_in_bytes": "1000\n",
                           "memory/a/memory.stat": "rss 100\ntotal_rss 200\n"}, 800),
    ],
)  # fmt: skip
def test_memory_is_what_the_groups_leave(machine, own, files, expected):
    machine(own, **files)
    assert memory_left() == expected


def test_a_model_is_refused_where_the_container_is_too_small(machine, tmp_path):
    machine("0::/a\n", **{"a/memory.max": "1000\n"})
    weights = tmp_path / "weights"
    weights.write_bytes(bytes(2000))
    with pytest.raises(memory.ModelError, match=r"needs 0\.0 GB of memory, 0\.0 GB are free"):
        memory.check_memory("large", [weights])


@pytest.mark.parametrize("kind", ["folder", "official file"])
def test_a_model_is_loaded_without_a_second_copy_of_its_weights(kind: str, tmp_path: Path):
    config = small_config(adapter_dim=None)
    text: Any = config.text_config
    text.hidden_size = WIDTH
    model = InstructionSam3(config).eval()
    size = sum(one.nbytes for one in model.parameters()) / MIB
    assert size > 90  # most of it the embeddings of words
    if kind == "folder":
        model.save_pretrained(tmp_path)
    else:
        write_official(model, tmp_path / "official.pt")
    del model
    peak = PeakMemory(torch.device("cpu"))
    if kind == "folder":
        loaded = load_segmenter(str(tmp_path), device="cpu").model
    else:
        loaded = InstructionSam3.from_official(tmp_path / "official.pt", config)
    assert all(one.sum().isfinite() for one in loaded.parameters())  # read, whole
    assert size * 0.8 < peak.extra_mib() < size * 1.5


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(4)
    yield monkeypatch
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("quota", "expected"), [("200000", 2), ("max", 4)])
def test_threads_are_no_more_than_the_processors(machine, quota, expected):
    machine("0::/a\n", **{"a/cpu.max": f"{quota} 100000\n"})
    take_allowed_threads()
    assert torch.get_num_threads() == expected


def test_whoever_says_how_many_threads_gets_them(machine, threads):
    machine("0::/a\n", **{"a/cpu.max": "100000 100000\n"})
    threads.setenv("OMP_NUM_THREADS", "4")
    take_allowed_threads()
    assert torch.get_num_threads() == 4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="has no affinity")
def test_a_process_of_one_processor_sees_one():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from sam3i_agent.segmodel.machine_limits import allowed_processors;"
        "print(allowed_processors())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
