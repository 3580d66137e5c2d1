"""Real server processes for tests, over both transports."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcp import StdioServerParameters

from sam3i_agent.benchmarks.serving.process import free_port
from sam3i_agent.tools.serving.addresses import TOKEN_VARIABLE

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "scene.png"
SERVE = ("sam3i_agent.cli", "serve", "--device", "cpu")
_START_S = 60
_STOP_S = 20


def stdio_server(*command: str) -> StdioServerParameters:
    """A server that the client starts.

    Args:
        *command: a module and its arguments.
    """
    return StdioServerParameters(command=sys.executable, args=["-m", *command])


@contextmanager
def http_server(
    *command: str, token: str = "", log: Path | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a server; yield its URL and process.

    Args:
        *command: a module and its arguments, without the address.
        token: that clients must show.
        log: file for what it says on standard error.
    """
    port = free_port()
    environment = {**os.environ, TOKEN_VARIABLE: token}
    arguments = [sys.executable, "-m", *command, "--http", f"127.0.0.1:{port}"]
    said = None if log is None else log.open("wb")
    process = subprocess.Popen(arguments, env=environment, stderr=said)
    try:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        process.terminate()
        process.wait(timeout=_STOP_S)
        if said is not None:
            said.close()
