"""A PostgreSQL of the tests' own, where the machine has one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sam3i_agent.benchmarks.serving.postgres import Programs, running_postgres
from sam3i_agent.core.errors import ModelError


@contextmanager
def postgres() -> Iterator[str]:
    """Start a server and yield its URL; skip the test where there is none to start."""
    try:
        programs = Programs.find()
    except ModelError as error:
        pytest.skip(error.message)
    with running_postgres(programs) as server:
        yield server.url
