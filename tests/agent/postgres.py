"""A PostgreSQL of the tests' own, where the machine has one."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.servers import free_port

_USER = "postgres"


@contextmanager
def postgres() -> Iterator[str]:
    """Start a server and yield its URL; skip the test where there is none to start."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
    found = shutil.which("initdb") or (binaries and str(binaries))
    if found is None:
        pytest.skip("PostgreSQL's initdb is not on this machine")
    folder = Path(found).parent
    as_user: list[str] = []
    if os.geteuid() == 0:  # as which it refuses to run
        if shutil.which("runuser") is None or subprocess.run(["id", _USER]).returncode:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        as_user = ["runuser", "-u", _USER, "--"]
    base = Path(tempfile.mkdtemp(prefix="sam3i-postgres-"))
    if as_user:
        shutil.chown(base, _USER)
    port = free_port()
    data, owner = base / "data", _USER if as_user else getpass.getuser()

    def run(*command: str) -> None:
        done = subprocess.run([*as_user, *command], cwd=base, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    try:
        run(f"{folder}/initdb", "-D", str(data), "-A", "trust", "-U", owner, "--no-sync")
        options = f"-p {port} -k {base} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = str(base / "log")
        run(f"{folder}/pg_ctl", "-D", str(data), "-l", log, "-o", options, "-w", "start")
        try:
            yield f"postgresql://{owner}@127.0.0.1:{port}/postgres"
        finally:
            run(f"{folder}/pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(base)
