"""Every package is listed, linked for type checkers, and light to import."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = {path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"}
PACKAGES = {
    path.parent.relative_to(ROOT).as_posix().replace("/", ".")
    for name in FOLDERS
    for path in (ROOT / name).glob("**/__init__.py")
}


def test_every_package_is_listed_and_linked():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    wanted = {f"sam3i_agent.{name}" for name in PACKAGES}
    assert set(settings["packages"]) == wanted
    assert settings["package-dir"] == {f"sam3i_agent.{name}": name for name in FOLDERS}
    for name in FOLDERS:
        assert (ROOT / "typings" / "sam3i_agent" / name / "__init__.py").is_file()
        assert (ROOT / name / "py.typed").is_file()


def test_help_and_contracts_do_not_load_torch():
    code = (
        "import sys, sam3i_agent.tools, sam3i_agent.cli.main, sam3i_agent.core.contracts\n"
        "import sam3i_agent.agent.planner.parsing, sam3i_agent.tools.service\n"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bare_folder_names_are_not_importable(tmp_path: Path):
    code = "import importlib.util as u, sys; sys.exit(u.find_spec('segmodel') is not None)"
    run = subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path)
    assert run.returncode == 0
