"""Where `make interop` installs the public suites, and how they are run."""

import os
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent.parent / ".interop" / "node_modules"
_NODE = FOLDER / "node" / "bin"
_LONGEST_S = 300

needs_npm = pytest.mark.skipif(not FOLDER.is_dir(), reason="installed by `make interop`")


def run_npm(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run an installed program under the Node that was installed with it."""
    return _run(str(FOLDER / ".bin" / program), *arguments)


def run_node(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a script under that Node."""
    return _run(str(_NODE / "node"), script, *arguments)


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{_NODE}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        list(command), env=environment, capture_output=True, text=True, timeout=_LONGEST_S
    )
