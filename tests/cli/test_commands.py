"""The commands as a whole: their names, old and new, their help, and what they load."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.cli.main import main
from sam3i_agent.cli.renamed import BECAME_GROUPS, RENAMED, new_name

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("torch", "transformers", "torchvision", "ray", "accelerate")


def _python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1", **environment},
    )


def _sam3i(*arguments: str) -> subprocess.CompletedProcess[str]:
    return _python("-m", "sam3i_agent.cli", *arguments)


@pytest.mark.parametrize(
    ("typed", "now"),
    [
        (("scenes", "3", "data"), "dataset scenes"),
        (("scenes", "--help"), "dataset scenes"),
        (("verify", "in.json", "out.json", "--drop"), "dataset verify"),
        (("benchmark", "annotations.json"), "evaluate scenes"),
        (("scorecard",), "evaluate scorecard"),
        (("validate", "tiny"), "evaluate checkpoints"),
        (("dataset", "instances.json", "table.csv", "out.json"), "dataset build"),
        (("dataset", "data/instances", "table", "out"), "dataset build"),
        (("dataset", "--images", "photos", "a.json", "b.csv", "c.json"), "dataset build"),
        (("evaluate", "--protocol", "saco", "--gt", "a", "--pred", "b"), "evaluate predictions"),
        (("evaluate", "--json", "--protocol", "saco"), "evaluate predictions"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(
    typed: tuple[str, ...],
    now: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "argv", ["sam3i", *typed])
    with pytest.raises(SystemExit) as left:
        main()
    printed = capsys.readouterr()
    assert left.value.code == 2 and printed.out == ""
    assert printed.err == f"error: `sam3i {typed[0]}` is now `sam3i {now}`\n"


@pytest.mark.parametrize("now", [*RENAMED.values(), *BECAME_GROUPS.values()])
def test_every_new_name_is_a_command(now: str):
    run = CliRunner().invoke(app, [*now.split(), "--help"], prog_name="sam3i")
    assert run.exit_code == 0 and f"sam3i {now}" in run.output


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (("dataset", "--help"), 0, "build"),
        (("dataset",), 2, "build"),
        (("evaluate",), 2, "predictions"),
        (("dataset", "sceens"), 2, "No such command 'sceens'"),
        (("segmnt", "scenes"), 2, "No such command 'segmnt'"),
    ],
)
def test_groups_and_slips_are_answered_by_the_parser(typed: tuple[str, ...], code: int, said: str):
    assert new_name(typed) is None
    run = CliRunner().invoke(app, typed)
    assert run.exit_code == code and said in run.output


def test_help_begins_with_segment_and_hides_old_names():
    lines = _sam3i("--help").stdout.splitlines()
    names = [line.split()[1] for line in lines if line.startswith("│ ") and len(line.split()) > 1]
    commands = [name for name in names if name.isalpha()]
    assert commands[0] == "segment"
    assert {"dataset", "train", "bench", "compare", "evaluate", "convert"} <= set(commands)
    assert not set(RENAMED) & set(commands)
    assert "sam3i segment photo.jpg" in _sam3i("segment", "--help").stdout


def test_the_version_is_that_of_the_package():
    run = _sam3i("--version")
    assert run.returncode == 0 and run.stdout == f"sam3i {version('sam3i-agent')}\n"


def test_the_packages_name_is_a_script_too():
    scripts = {one.name: one.value for one in entry_points(group="console_scripts")}
    assert scripts["sam3i-agent"] == scripts["sam3i"] == "sam3i_agent.cli.main:main"


def test_a_shell_completes_commands():
    code = "import sys; sys.argv[0] = 'sam3i'; from sam3i_agent.cli.main import main; main()"
    run = _python(
        "-c", code, _SAM3I_COMPLETE="complete_bash", COMP_WORDS="sam3i dataset ", COMP_CWORD="2"
    )
    assert run.stdout.split() == ["scenes", "build", "verify"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of runs, and the id of the finished one in it."""
    runs = tmp_path_factory.mktemp("runs")
    photo = str(ROOT / "examples" / "scene.png")
    arguments = ("segment", photo, "black heart", "--route", "direct", "--json")
    run = _python("-m", "sam3i_agent.cli", *arguments, SAM3I_RUNS=str(runs))
    return runs, json.loads(run.stdout)["run_id"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runs", "list"), "'black heart'"),
        (("runs", "show", "RUN"), "overlay.png"),
        (("mcp", "config", "cursor"), '"mcpServers"'),
        (("mcp", "config", "cursor", "--write", "--file", "FOLDER/mcp.json"), "written to"),
        (("dataset", "scenes", "--help"), "--withheld"),
        (("segment", "--help"), "--route"),
        (("--help",), "segment"),
        (("--version",), "sam3i"),
    ],
)
def test_what_needs_no_model_loads_no_torch(
    recorded: tuple[Path, str], tmp_path: Path, arguments: tuple[str, ...], said: str
):
    runs, run_id = recorded
    given = [one.replace("RUN", run_id).replace("FOLDER", str(tmp_path)) for one in arguments]
    code = (
        "import sys, sam3i_agent.cli.main as cli\n"
        "try:\n    cli.main()\n"
        f"finally:\n    print(*({{*{HEAVY!r}}} & {{*sys.modules}}), file=sys.stderr)"
    )
    run = _python("-c", code, *given, SAM3I_RUNS=str(runs))
    assert run.returncode == 0 and said in run.stdout
    assert run.stderr == "\n"


def test_the_reference_is_that_of_the_commands():
    run = _python(
        "-m", "typer", "sam3i_agent.cli.app",
        "utils", "docs", "--name", "sam3i", "--title", "The command sam3i",
    )  # fmt: skip
    written = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert run.stdout.strip() == written.strip(), "run: make reference"
