"""A whole service under load, as far as its parts are on this machine."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sam3i_agent.benchmarks.serving.clicking_model import save_clicking_model
from sam3i_agent.benchmarks.serving.postgres import Programs
from sam3i_agent.benchmarks.serving.process import HOST
from sam3i_agent.benchmarks.serving.rounds import Found, Verdicts, make_rounds
from sam3i_agent.core.errors import ModelError
from sam3i_agent.core.masks import Masks
from tests.conftest import block

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own, when it is imported


def _found(*boxes: tuple[int, int, int, int]) -> Found:
    return Found(Masks.encode([block(*one) for one in boxes], (100, 100)))


def test_answers_are_right_but_for_pixels_at_edges_and_wrong_beyond():
    wanted = _found((0, 0, 50, 50))
    verdicts = Verdicts()
    for found in (
        wanted,
        _found((0, 0, 50, 51)),
        _found((0, 0, 50, 60)),
        _found(),
        _found((0, 0, 50, 50), (0, 0, 50, 50)),
    ):
        verdicts.count(found, wanted)
    assert (verdicts.identical, verdicts.same, verdicts.wrong) == (1, 1, 3)


def test_the_questions_have_answers_of_boxes_and_clicks(tmp_path: Path):
    save_clicking_model(tmp_path / "model")
    (asked,) = asyncio.run(make_rounds(tmp_path, str(tmp_path / "model"), 1))
    assert set(asked.answers) == {"segment", "box", "click"} and asked.path.is_file()
    assert all(len(one.masks) for one in asked.answers.values())
    assert asked.is_right(asked.areas) and not asked.is_right([*asked.areas, 1.0])
    assert not asked.is_right([asked.areas[0] * 1.05, *asked.areas[1:]])


_WITH_A_DATABASE = """
import time
from sam3i_agent.benchmarks.serving.postgres import Programs, running_postgres
from sam3i_agent.benchmarks.serving.process import exit_on_sigterm
exit_on_sigterm()
with running_postgres(Programs.find()) as postgres:
    print(postgres.url, flush=True)
    time.sleep(60)
"""


def test_a_bench_that_is_told_to_end_leaves_no_database_behind():
    try:
        Programs.find()
    except ModelError as error:
        pytest.skip(error.message)
    command = [sys.executable, "-c", _WITH_A_DATABASE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bench:
        assert bench.stdout is not None
        port = urlsplit(bench.stdout.readline().strip()).port or 0
        socket.create_connection((HOST, port), 5).close()
        for _ in range(2):  # as `timeout` sends them
            bench.send_signal(signal.SIGTERM)
    assert bench.returncode == 128 + signal.SIGTERM
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port), 5)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("nodes", [1, 3])
def test_no_answer_is_wrong_or_lost_where_each_part_dies_in_turn(tmp_path: Path, nodes: int):
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not on this machine")
    try:
        Programs.find()
    except ModelError as error:
        pytest.skip(error.message)
    from sam3i_agent.benchmarks.serving.cluster_load import measure_cluster_load

    report = measure_cluster_load(tmp_path, "tiny", 4, 60, 2, 2, nodes, kill=True)
    assert report.wrong == report.lost == 0 and report.results > 0
    assert set(report.killed) >= {"front end", "replica", "database", "store"}
    assert ("node" in report.killed) == (nodes > 1)
    assert not report.errors.get("segment"), report.messages
    assert report.runs["finished"] and not report.runs["wrong"] + report.runs.get("errors", 0)
