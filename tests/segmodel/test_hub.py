"""Models from a hub: downloads that break, gates, revisions, and one way out for each error."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.evaluation.compare.provenance import provenance
from sam3i_agent.segmodel.checkpoints import memory
from sam3i_agent.segmodel.checkpoints.catalogue import expected_sha256, on_this_disk
from sam3i_agent.segmodel.checkpoints.checking import check_files, get_model
from sam3i_agent.segmodel.checkpoints.hashes import sha256_of
from sam3i_agent.segmodel.checkpoints.hub import fetch, folder_of
from sam3i_agent.segmodel.checkpoints.loading import load_by_choice, load_segmenter
from sam3i_agent.segmodel.checkpoints.repository import HubName, hub_name
from tests.segmodel.hub_stand_in import COMMIT, OTHER_COMMIT, Hub, serve_hub

NAME = "vil-uob/sam3-litetext-s0"
GATED = "facebook/sam3"
WEIGHTS = "model.safetensors"


@pytest.fixture
def hub(lite_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one free and one gated model, and an empty cache."""
    with serve_hub() as running:
        running.repositories = {NAME: lite_text, GATED: lite_text}
        running.gated = {GATED}
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", running.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running


def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_hub_id_is_downloaded_once_and_then_answers_without_a_network(hub, monkeypatch):
    assert on_this_disk(NAME) == "no"
    assert load_segmenter(NAME, device="cpu").name == NAME
    assert on_this_disk(NAME) == "yes"
    sent = len(hub.asked)
    _offline(monkeypatch)
    assert load_segmenter(NAME, device="cpu").takes_exemplars
    assert len(hub.asked) == sent


def test_a_revision_is_pinned_behind_an_at_sign(hub):
    assert hub_name(f"{NAME}@v1") == HubName(NAME, "v1")
    assert fetch(HubName(NAME)).name == COMMIT
    assert fetch(HubName(NAME, "v1")).name == OTHER_COMMIT
    folder = folder_of(f"{NAME}@v1")
    assert folder is not None and folder.name == OTHER_COMMIT
    with pytest.raises(ModelError, match=r"no revision 'nowhere'.*commit behind the @"):
        fetch(HubName(NAME, "nowhere"))


def test_a_gated_model_without_an_account_says_what_to_do_and_what_needs_no_asking(hub):
    with pytest.raises(ModelError, match=r"gated.*HTTP 401") as refused:
        load_segmenter(GATED, device="cpu")
    for word in ("https://huggingface.co/facebook/sam3", "hf auth login", NAME, "owlv2+sam2"):
        assert word in refused.value.hint


def test_a_gated_model_whose_account_is_refused(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_admitted")
    hub.refuses_tokens = True
    with pytest.raises(ModelError, match=r"gated.*HTTP 403"):
        fetch(HubName(GATED))
    hub.refuses_tokens = False
    assert (fetch(HubName(GATED)) / WEIGHTS).is_file()


def test_a_name_that_the_hub_does_not_know(hub):
    with pytest.raises(ModelError, match=r"knows no 'facebook/sam33'.*check the spelling"):
        load_segmenter("facebook/sam33", device="cpu")


def test_without_a_network(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"hub cannot be reached.*check the network"):
        load_segmenter(NAME, device="cpu")


def test_offline_by_choice(hub, monkeypatch):
    _offline(monkeypatch)
    with pytest.raises(ModelError, match=f"HF_HUB_OFFLINE is set.*sam3i models get {NAME}"):
        load_segmenter(NAME, device="cpu")
    assert not hub.asked


def test_a_dropped_connection_is_taken_up_where_it_broke(hub, lite_text, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1024)  # of 10 MiB
    hub.broken_after, hub.breaks_left = 100_000, 1
    folder = fetch(HubName(NAME))
    assert sha256_of(folder / WEIGHTS) == sha256_of(lite_text / WEIGHTS)
    ranges = [one for one in hub.asked if WEIGHTS in one and "bytes=" in one]
    assert len(ranges) == 1 and "bytes=0-" not in ranges[0]


def test_a_download_that_keeps_breaking_says_how_to_go_on_and_nothing_else(hub, capfd):
    hub.broken_after, hub.breaks_left = 0, 100
    with pytest.raises(ModelError, match=rf"download of '{NAME}' broke off.*sam3i models get"):
        fetch(HubName(NAME))
    assert "Error while downloading" not in capfd.readouterr().err
    assert on_this_disk(NAME) in ("a part", "no")
    hub.breaks_left = 0
    assert check_files(NAME) if get_model(NAME) else None


def test_half_a_download_and_no_network(hub, monkeypatch):
    hub.broken_after, hub.breaks_left = 0, 100
    with pytest.raises(ModelError):
        fetch(HubName(NAME))
    _offline(monkeypatch)
    with pytest.raises(ModelError, match=f"sam3i models get {NAME}"):
        load_segmenter(NAME, device="cpu")


def test_weights_that_are_not_the_published_ones_are_got_again_once(hub, lite_text):
    whole = (lite_text / WEIGHTS).read_bytes()
    hub.replaced_by = whole[:-4] + b"evil"
    with pytest.raises(ModelError, match=r"not the published file.*sam3i models get"):
        get_model(NAME)
    hub.replaced_by = None
    (file,) = get_model(NAME)
    assert file.published and file.nbytes == len(whole)
    assert file.sha256 == expected_sha256(file.path)


def test_weights_that_are_cut_short_are_named(lite_text, tmp_path):
    (tmp_path / "config.json").write_bytes((lite_text / "config.json").read_bytes())
    (tmp_path / WEIGHTS).write_bytes((lite_text / WEIGHTS).read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cut short or damaged"):
        load_segmenter(str(tmp_path), device="cpu")


def test_a_model_that_does_not_fit_into_memory(lite_text, owlv2_sam2, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 1000)
    for name in (str(lite_text), owlv2_sam2):
        with pytest.raises(ModelError, match=r"needs 0\.0 GB of memory.*take a smaller one"):
            load_by_choice(ModelChoice(name, "cpu"))


def test_memory_that_runs_out_while_loading(lite_text, monkeypatch):
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(
        "sam3i_agent.segmodel.checkpoints.loading.InstructionSam3.from_pretrained", fail
    )
    with pytest.raises(ModelError, match="memory ran out"):
        load_segmenter(str(lite_text), device="cpu")


def test_what_ships_or_lies_here_is_not_got(lite_text):
    for name in ("tiny", str(lite_text)):
        with pytest.raises(InputError, match="nothing to get"):
            get_model(name)


def test_what_is_no_model_is_named_with_a_way_out(owlv2_sam2, scene_file, tmp_path):
    masker = owlv2_sam2.rpartition(",")[2]
    with pytest.raises(ModelError, match=r"is no SAM 3.*says 'sam2_video'.*owlv2\+sam2:ID,ID"):
        load_segmenter(masker, device="cpu")
    with pytest.raises(ModelError, match=r"holds no model: it has no config\.json"):
        load_segmenter(str(tmp_path), device="cpu")
    with pytest.raises(ModelError, match=r"damaged or no PyTorch checkpoint"):
        load_segmenter(str(scene_file), device="cpu")
    for lacking in ("nowhere.pt", f"owlv2+sam2:{tmp_path},{masker}"):
        with pytest.raises(ModelError, match=r"there are no weights under .*check the path"):
            check_files(lacking)


def test_the_list_says_what_is_here(hub):
    fetch(HubName(NAME))
    lines = CliRunner().invoke(app, ["models", "list"]).output.splitlines()
    said = {line.split()[0]: line for line in lines if not line.startswith(" ")}
    assert "Apache-2.0, free, 776.0 MB, not here" in said["owlv2+sam2"]
    assert said[NAME].endswith(", here") and "on request" in said[GATED]


def test_a_checked_model_answers_a_picture(owlv2_sam2, lite_text, scene_file):
    for name, can in ((owlv2_sam2, "clicks"), (str(lite_text), "example boxes")):
        done = CliRunner().invoke(
            app, ["models", "check", name, "--image", str(scene_file), "--device", "cpu"]
        )
        assert done.exit_code == 0, done.output
        for word in (can, "loaded in", "of memory", "found", "sha256"):
            assert word in done.output


def test_the_command_says_the_licence_first_and_ends_in_one_line(hub, tmp_path):
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, "-m", "sam3i_agent.cli", *words],
            env=environment, capture_output=True, text=True, timeout=110,
        )  # fmt: skip

    got = run("models", "get", NAME)
    assert got.returncode == 0, got.stderr
    first, *_, last = got.stdout.splitlines()
    assert "SAM License" in first and last == f"ready: --model {NAME}"
    refused = run("models", "get", GATED)
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith("error: 'facebook/sam3' is gated")


def test_what_ran_is_in_the_provenance_by_its_files(hub, tmp_path):
    dataset = tmp_path / "data.json"
    dataset.write_text("{}")

    def model(name: str) -> str:
        return provenance(dataset, ModelChoice(name, "cpu"), {}, {})["model"]

    assert model(NAME) == NAME  # not here yet
    fetch(HubName(NAME))
    assert model(NAME).startswith(f"{NAME}, sha256 ")
    assert model(f"owlv2+sam2:{NAME},{NAME}") != model(NAME)
