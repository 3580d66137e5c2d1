"""A server process for benches to call."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

from sam3i_agent.core.errors import ModelError
from sam3i_agent.tools.serving.cluster.application import APPLICATION, MODEL_DEPLOYMENT

HOST = "127.0.0.1"
_REPLICA = f"ServeReplica:{APPLICATION}:{MODEL_DEPLOYMENT}".encode()
_PROBE_S = 5
_PAUSE_S = 0.2
_STOP_S = 90


@contextmanager
def served(*arguments: str, start_s: float) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """Serve on a free port until the block ends; yield the URL of a server that is ready.

    Args:
        *arguments: of `sam3i serve`.
        start_s: in which it has to be ready.

    Raises:
        ModelError: it ends before, or takes longer.
    """
    address = f"{HOST}:{free_port()}"
    command = [sys.executable, "-m", "sam3i_agent.cli", "serve", "--http", address, *arguments]
    # Ray writes to its standard output, which here is for the report.
    process = subprocess.Popen(command, stdout=sys.stderr)
    try:
        wait_ready(f"http://{address}/readyz", [process], start_s)
        yield f"http://{address}", process
    finally:
        end_all([process])


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        return free.getsockname()[1]


def wait_ready(url: str, processes: "Sequence[subprocess.Popen[bytes]]", start_s: float) -> None:
    """Wait until a URL answers well.

    Raises:
        ModelError: one of the processes ends before, or it takes longer.
    """
    end = time.monotonic() + start_s
    while not _is_ready(url):
        if any(one.poll() is not None for one in processes) or time.monotonic() > end:
            raise ModelError(f"{url} does not answer; see what the servers write")
        time.sleep(_PAUSE_S)


def exit_on_sigterm() -> None:
    """Let SIGTERM end this process as an exit does: what it has started is ended first.

    To be called once more when Ray is joined, whose own handler aborts after 3 s.
    """

    def leave(*_: object) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)  # a second one would break off the ending
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)


def end_all(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Ask processes to end, and wait for them; who does not is killed."""
    for one in processes:
        one.terminate()
    for one in processes:
        try:
            one.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


def replica_pids(ancestor: int) -> list[int]:
    """Return the processes below another that Ray Serve runs replicas of the model in."""
    parents: dict[int, int] = {}
    replicas: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if _REPLICA in (folder / "cmdline").read_bytes():
                replicas.append(pid)

    def is_below(pid: int) -> bool:
        while pid in parents:
            if pid == ancestor:
                return True
            pid = parents[pid]
        return False

    return [pid for pid in replicas if is_below(pid)]


def _is_ready(url: str) -> bool:
    with contextlib.suppress(OSError), urlopen(url, timeout=_PROBE_S) as answer:
        return answer.status == HTTPStatus.OK
    return False
