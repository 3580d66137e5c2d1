"""The graph's finished steps, in SQLite beside a run's files or in a Postgres for all machines."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from sam3i_agent.core.errors import StorageError, TryAgainError
from sam3i_agent.core.storage.blobs import CHECKPOINTS_VARIABLE

_CHECKPOINTS_NAME = "checkpoints.sqlite"
_AWAY_S = 5
"""To wait for a database that is away."""
_STATE_TYPES = (
    ("sam3i_agent.agent.weighing.belief", "Statement"),
    ("sam3i_agent.agent.weighing.belief", "Vote"),
    ("sam3i_agent.core.contracts", "Budgets"),
    ("sam3i_agent.core.contracts", "LevelChoice"),
    ("sam3i_agent.core.contracts", "Route"),
    ("sam3i_agent.core.contracts", "RouteChoice"),
    ("sam3i_agent.core.contracts", "RoutingPolicy"),
    ("sam3i_agent.core.contracts", "RunStatus"),
    ("sam3i_agent.core.contracts", "SegmentRequest"),
    ("sam3i_agent.core.contracts", "TextKind"),
    ("sam3i_agent.agent.language.side", "Decision"),
    ("sam3i_agent.agent.language.side", "ProposedPhrase"),
    ("sam3i_agent.agent.language.side", "Role"),
    ("sam3i_agent.agent.language.side", "TriedPhrase"),
    ("sam3i_agent.agent.language.side", "Verdict"),
    *(
        ("sam3i_agent.agent.planner.plan", name)
        for name in (
            "Axis",
            "Excluding",
            "HasColour",
            "HasRelation",
            "InRegion",
            "NounPhrase",
            "Plan",
            "RankByPosition",
            "RankBySize",
            "Relation",
            "Target",
        )
    ),
    ("sam3i_agent.agent.tool_calling.calls", "Turn"),
    ("sam3i_agent.core.levels", "InstructionLevel"),
    ("sam3i_agent.core.prompt", "Exemplar"),
)
"""All that a checkpoint may bring back to life."""


@asynccontextmanager
async def open_checkpoints(folder: Path, run_id: str) -> AsyncIterator[BaseCheckpointSaver[str]]:
    """Open the checkpoints of a run: SQLite in its folder, or the Postgres of the URL.

    Raises:
        StorageError: a Postgres URL is set and its extra is not installed.
        TryAgainError: Postgres does not answer, or not any more.
    """
    serializer = JsonPlusSerializer(allowed_msgpack_modules=_STATE_TYPES)
    url = os.environ.get(CHECKPOINTS_VARIABLE)
    if url is None:
        path = str(folder / _CHECKPOINTS_NAME)
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            saver.serde = serializer
            yield saver
        return
    try:
        from langgraph.checkpoint.postgres.aio import (  # pyright: ignore[reportMissingImports]
            AsyncPostgresSaver,
        )
        from psycopg import OperationalError
    except ModuleNotFoundError as error:
        raise StorageError(
            f"{CHECKPOINTS_VARIABLE} needs Postgres support",
            "pip install 'sam3i-agent[postgres]'",
        ) from error
    try:
        async with AsyncPostgresSaver.from_conn_string(url, serde=serializer) as saver:
            await saver.setup()
            yield saver
    except OperationalError as error:
        raise TryAgainError(
            f"the database of checkpoints is away; run {run_id} goes on with --resume", _AWAY_S
        ) from error
