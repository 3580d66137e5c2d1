"""The command line as a person or a script meets it: a real process, its output and exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import skimage
from PIL import Image


def _sam3i(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sam3i_agent.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def test_json_is_one_object_and_nothing_else(scene_file: Path, tmp_path: Path):
    run = _sam3i("segment", scene_file, "blue thing", "--json", "--out", "result", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    printed = json.loads(run.stdout)
    assert printed == json.loads((tmp_path / "result" / "result.json").read_text())
    assert printed["image"]["width"] == 256
    assert run.stderr == ""
    assert len(list((tmp_path / "result" / "masks").iterdir())) == len(printed["instances"])


def test_words_for_people_and_the_default_folder(scene_file: Path, tmp_path: Path):
    run = _sam3i("segment", scene_file, "green triangle", "--verbose", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "'green triangle'" in run.stdout
    assert "route: auto" in run.stderr
    assert (tmp_path / "outputs" / "scene" / "overlay.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere.png", "star"), 2, "there is no image file"),
        (("SCENE", ""), 2, "the instruction is empty"),
        (("SCENE", "x" * 10_000), 2, "10000 characters"),
        (("SCENE", "赤い丸"), 2, "does not look like English"),
        (("SCENE", "star", "--model", "no-such-model"), 2, "there is no model 'no-such-model'"),
        (("SCENE", "star", "--device", "abacus"), 2, "device 'abacus' cannot be used"),
        (("SCENE", "star", "--max-rounds", "0"), 2, "--max-rounds: input should be greater"),
        (("SCENE", "star", "--mllm-url", "http://x"), 2, "--mllm-url and --mllm-model go together"),
        (("SCENE", "star", "--resume", "x"), 2, "--resume takes image and instruction"),
        (("SCENE",), 2, "an image and an instruction are needed"),
        (("SCENE", "star", "--out", "SCENE"), 1, "is a file, not a folder"),
        (("SCENE", "star", "--route", "sideways"), 2, "sideways"),
    ],
)
def test_bad_input_is_one_line_and_a_code(
    scene_file: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
):
    given = [str(scene_file) if word == "SCENE" else word for word in arguments]
    run = _sam3i("segment", *given, cwd=tmp_path)
    assert run.returncode == code
    assert message in run.stderr
    assert "Traceback" not in run.stderr and run.stdout == ""
    if "sideways" not in arguments:  # typer frames its own usage errors
        assert len(run.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_folder_is_one_error(scene_file: Path, tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "instruction_sam3"}')
    run = _sam3i("segment", scene_file, "star", "--model", "model", cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith("error: ") and "Traceback" not in run.stderr


def test_what_no_route_can_do_fails_with_its_reason(scene_file: Path, tmp_path: Path):
    arguments = ("segment", scene_file, "what would roll away", "--route", "agent", "--json")
    run = _sam3i(*arguments, "--no-head", cwd=tmp_path)
    assert run.returncode == 1
    printed = json.loads(run.stdout)
    assert printed["status"] == "failed"
    assert any("cannot read" in warning for warning in printed["warnings"])
    run = _sam3i(*arguments, cwd=tmp_path)
    assert run.returncode == 0
    printed = json.loads(run.stdout)
    assert printed["route"] == "direct" and printed["status"] in ("selected", "no_target")
    assert any("the direct answer is returned" in warning for warning in printed["warnings"])


def test_a_real_photograph_runs_and_says_what_it_found(tmp_path: Path):
    """The shipped model knows generated scenes only: no answer is expected, an honest one is."""
    photo = Path(skimage.__file__).parent / "data" / "chelsea.png"
    run = _sam3i("segment", photo, "purple crescent", "--json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    printed = json.loads(run.stdout)
    assert (printed["image"]["width"], printed["image"]["height"]) == (451, 300)
    assert printed["status"] == ("selected" if printed["instances"] else "no_target")
    assert all(one["mask"]["size"] == [300, 451] for one in printed["instances"])
    assert any("this looks like a photograph" in warning for warning in printed["warnings"])
    run = _sam3i("segment", photo, "purple crescent", "--route", "direct", cwd=tmp_path)
    assert run.stdout.startswith("warning: this looks like a photograph")


def test_scenes_are_a_dataset(tmp_path: Path):
    run = _sam3i("dataset", "scenes", 3, "data", "--seed", 5, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    content = json.loads((tmp_path / "data" / "annotations.json").read_text())
    assert {record["file_name"] for record in content["images"]} == {
        f"images/{index:06d}.png" for index in range(3)
    }
    with Image.open(tmp_path / "data" / "images" / "000000.png") as image:
        assert image.size == (256, 256)
    again = _sam3i("dataset", "scenes", 3, "data", cwd=tmp_path)
    assert again.returncode == 2 and "not an empty folder" in again.stderr


def test_bad_training_configuration(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("output: x\nsteps: many\n")
    run = _sam3i("train", "bad.yaml", cwd=tmp_path)
    assert run.returncode == 2
    assert "steps" in run.stderr and "Traceback" not in run.stderr


def test_boxes_alone_report_the_presence_of_what_they_show(scene_file: Path, tmp_path: Path, scene):
    box = ",".join(str(side) for side in scene.objects[0].box_xyxy)
    run = _sam3i("segment", str(scene_file), "--box", box, "--json", cwd=tmp_path)
    result = json.loads(run.stdout)
    assert result["status"] == "selected" and result["count"] >= 1, run.stderr
    assert result["presence"] > 0.5 and result["instruction"] == ""
    assert result["usage"]["prompts"] == 1
