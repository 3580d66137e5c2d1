"""A PostgreSQL of one's own, from the machine's programs, for as long as it is needed."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sam3i_agent.benchmarks.serving.process import HOST, free_port
from sam3i_agent.core.errors import ModelError

_USER = "postgres"
_DEBIAN = "/usr/lib/postgresql"


@dataclass(frozen=True)
class Programs:
    """Where PostgreSQL's programs are, and who runs them."""

    folder: Path
    user: str
    as_user: tuple[str, ...]
    """To put before a command: PostgreSQL refuses to run as root."""

    @classmethod
    def find(cls) -> "Programs":
        """Look for them.

        Raises:
            ModelError: they are not here, or nobody may run them.
        """
        debian = max(Path(_DEBIAN).glob("*/bin/initdb"), default=None)
        found = shutil.which("initdb") or (debian and str(debian))
        if found is None:
            raise ModelError("PostgreSQL's initdb is not on this machine", "apt install postgresql")
        if os.geteuid() != 0:
            return cls(Path(found).parent, getpass.getuser(), ())
        known = subprocess.run(["id", _USER], capture_output=True)
        if shutil.which("runuser") is None or known.returncode:
            raise ModelError("PostgreSQL does not run as root, and there is no user postgres")
        return cls(Path(found).parent, _USER, ("runuser", "-u", _USER, "--"))

    def run(self, name: str, *arguments: str, cwd: Path) -> None:
        """Run one to its end.

        Raises:
            ModelError: it fails.
        """
        command = [*self.as_user, str(self.folder / name), *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
        if done.returncode:
            raise ModelError(f"{name} fails: {done.stderr}")


@dataclass(frozen=True)
class Postgres:
    """A server that runs."""

    url: str
    _base: Path
    _programs: Programs

    def control(self, action: str, *options: str) -> None:
        """Let `pg_ctl` do something to it.

        Raises:
            ModelError: it fails.
        """
        data = ("-D", str(self._base / "data"), "-l", str(self._base / "log"))
        self._programs.run("pg_ctl", *data, "-w", *options, action, cwd=self._base)

    def restart(self) -> None:
        """Break all connections without a word, and come back."""
        self.control("restart", "-m", "immediate")


@contextmanager
def running_postgres(programs: Programs) -> Iterator[Postgres]:
    """Start a server with nothing in it, and end it.

    Raises:
        ModelError: it does not start.
    """
    base = Path(tempfile.mkdtemp(prefix="sam3i-postgres-"))
    try:
        if programs.as_user:
            shutil.chown(base, programs.user)
        data, port = str(base / "data"), free_port()
        programs.run(
            "initdb", "-D", data, "-A", "trust", "-U", programs.user, "--no-sync", cwd=base
        )
        url = f"postgresql://{programs.user}@{HOST}:{port}/postgres"
        server = Postgres(url, base, programs)
        options = f"-p {port} -k {base} -c listen_addresses={HOST} -c fsync=off"
        server.control("start", "-o", options)
        try:
            yield server
        finally:
            server.control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(base)
