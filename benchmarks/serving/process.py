"""A server process for benches to call."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.request import urlopen

from sam3i_agent.core.errors import ModelError

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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "sam3i_agent.cli", "serve", "--http", address, *arguments]
    # Ray writes to its standard output, which here is for the report.
    process = subprocess.Popen(command, stdout=sys.stderr)
    try:
        end = time.monotonic() + start_s
        while not _is_ready(f"http://{address}/readyz"):
            if process.poll() is not None or time.monotonic() > end:
                raise ModelError("the server does not start; see above")
            time.sleep(_PAUSE_S)
        yield f"http://{address}", process
    finally:
        process.terminate()
        process.wait(_STOP_S)


def _is_ready(url: str) -> bool:
    with contextlib.suppress(OSError), urlopen(url, timeout=_PROBE_S) as answer:
        return answer.status == HTTPStatus.OK
    return False
