"""Speed beside others: what is compared is the same work; how long it takes is not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sam3i_agent.benchmarks.plots import plot_peers
from sam3i_agent.benchmarks.speed.cold_start import ColdStart
from sam3i_agent.benchmarks.speed.memory import PeakMemory
from sam3i_agent.benchmarks.speed.peers import StockPeer, measure_peers
from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter
from tests.tools.servers import EXAMPLE

_MIB = 1 << 20


@pytest.fixture(scope="module")
def segmenter() -> Sam3Segmenter:
    return load_segmenter("tiny", device="cpu")


def test_peers_answer_the_same_questions(segmenter: Sam3Segmenter, tmp_path: Path):
    encoded, asked = segmenter.encoder.jobs, segmenter.decoder.jobs
    steps: list[int] = []
    measured = measure_peers(segmenter, ["one", "agent"], 1, lambda: steps.append(1))
    assert len(steps) == 2 and [one.case for one in measured.cases] == [
        "one phrase",
        "an agent's 3 rounds of 3 phrases",
    ]
    # Of each case the photo that thresholds are read off, then a turn: one pass a round.
    assert segmenter.encoder.jobs - encoded == (1 + 1) + (1 + 1)
    assert segmenter.decoder.jobs - asked == (1 + 1) + (1 + 3)
    for one in measured.cases:
        assert one.to_kept == pytest.approx(one.ours_s / one.kept_s, rel=0.1)
        assert one.to_anew is not None and one.anew_s is not None
    plot_peers(measured, tmp_path / "peers.png")
    assert (tmp_path / "peers.png").stat().st_size > 5000


def test_stock_sees_the_same_photo_with_the_same_weights(segmenter: Sam3Segmenter):
    photo = read_photo(EXAMPLE)
    stock = StockPeer(segmenter)
    phrases = ["red square", "black heart"]
    floors = stock.floors(photo, phrases, 3)
    for anew in (False, True):
        assert stock.ask(photo, phrases, floors, anew=anew, encode=anew) == [3, 3]


@pytest.mark.parametrize(
    ("case", "said"), [("two", "there is no case 'two'"), ("many", "25 queries, too few for 100")]
)
def test_cases_that_cannot_be_are_refused(segmenter: Sam3Segmenter, case: str, said: str):
    with pytest.raises(InputError, match=said):
        measure_peers(segmenter, [case], 1, lambda: None, megapixels=0.1)


def test_the_peak_is_that_of_the_work():
    peak = PeakMemory(torch.device("cpu"))
    torch.ones(64 * _MIB, dtype=torch.uint8)
    assert 50 < peak.extra_mib() < 200
    assert PeakMemory(torch.device("cpu")).extra_mib() < 32


def test_stages_run_on_a_cpu_to_their_end():
    arguments = ["--photos", "2", "--phrases", "3", "--repeats", "1", "--json"]
    run = CliRunner().invoke(
        app, ["bench", "gpu", "--model", "tiny", "--device", "cpu", *arguments]
    )
    assert run.exit_code == 0, run.output
    measured = json.loads(run.stdout)
    assert [(one["name"], one["batch"]) for one in measured["stages"]] == [
        ("resize and upload", 1),
        ("encode photos", 2),
        ("texts", 3),
        ("find: fusion and decoder", 3),
        ("find, and masks of 5 each", 3),
        ("run lengths at the photo's size", 3),
    ]
    find, masks = measured["stages"][3:5]
    assert masks["gflop"] > find["gflop"] > 0 and measured["tflops"] > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stages_of_the_published_size_run_on_a_cpu_to_their_end():
    arguments = ["--photos", "1", "--phrases", "2", "--repeats", "1", "--side", "336", "--json"]
    run = CliRunner().invoke(app, ["bench", "gpu", "--device", "cpu", *arguments])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["image_side"] == 336


@pytest.mark.slow
def test_a_cold_start_is_measured_beside_the_library():
    # A process of its own: what is started from here has this one's peak to begin with.
    bench = [
        sys.executable,
        "-m",
        "sam3i_agent.cli",
        "bench",
        "cold-start",
        "--runs",
        "1",
        "--json",
    ]
    done = subprocess.run([*bench, str(EXAMPLE), "the red square"], capture_output=True, check=True)
    measured = ColdStart.model_validate_json(done.stdout)
    assert measured.ratio == pytest.approx(
        measured.command.median_s / measured.library.median_s, rel=0.01
    )
    assert measured.server.cpu_s < measured.library.cpu_s
    assert measured.server.peak_mib < measured.command.peak_mib


def test_photos_of_a_bench_are_not_kept(segmenter: Sam3Segmenter):
    segmenter.encode(Photo(read_photo(EXAMPLE).pixels, "kept"))
    measure_peers(segmenter, ["one"], 1, lambda: None)
    assert segmenter.encodings.nbytes == 0
