"""Recorded runs: a folder each, from which a killed run goes on and a past one is shown.

A folder holds `run.json` (what was asked), `checkpoints.sqlite` (the graph's finished steps),
`calls.sqlite` (the language model's replies), `candidates.json` (masks), a picture of each round's
numbered candidates and, when the run has ended, `result/`, which `tools.results.export` writes.
"""

import base64
import json
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from PIL.Image import Image
from pydantic import ValidationError, model_validator

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.ledger import Answer, SqliteLedger
from sam3i_agent.agent.sharing.run_mirror import (
    MirroredLedger,
    RunMirror,
    ids_in,
    mirror_of,
    store_of_runs,
)
from sam3i_agent.core.contracts import Frozen, SegmentRequest
from sam3i_agent.core.errors import InputError, StorageError, TryAgainError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo, decode_photo, read_photo
from sam3i_agent.core.storage.blobs import CHECKPOINTS_VARIABLE

FOLDER_VARIABLE = "SAM3I_RUNS"
_RUN_NAME = "run.json"
_CHECKPOINTS_NAME = "checkpoints.sqlite"
_CALLS_NAME = "calls.sqlite"
_CANDIDATES_NAME = "candidates.json"
_PHOTO_FOLDER = "photo"
_AWAY_S = 5
"""To wait for a database that is away."""
"""Of the photo where a run comes from another machine."""
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


RECORD_FORMAT = 2
"""Of the folders written now. 1 had no number; its checkpoints name modules that are gone."""


class RunInfo(Frozen):
    """What a run was asked, enough to go on with it."""

    format: int = 1
    run_id: str
    started: datetime
    image: str
    """Absolute path of the photo."""
    request: SegmentRequest
    model: ModelChoice
    language: LanguageChoice | None = None
    """None for the offline planner."""

    @model_validator(mode="before")
    @classmethod
    def _read_format_1(cls, values: Any) -> Any:
        """Read a record that named the model and the language model in several fields."""
        if not isinstance(values, dict):
            return values
        kept = dict(values)
        if "mllm_url" in kept:
            url, model = kept.pop("mllm_url"), kept.pop("mllm_model", None)
            kept["language"] = None if url is None else {"url": url, "model": model}
        if isinstance(kept.get("model"), str):
            parts = {key: kept.pop(key) for key in ("device", "tiling") if key in kept}
            kept["model"] = {"name": kept["model"], **parts}
        return kept


class ExportedRun(Frozen):
    """A recorded run in one file, with which it can be played back elsewhere.

    Keys and headers are never recorded, and the URL is without user, password and query.
    """

    format: int = 1
    run_id: str
    started: datetime
    request: SegmentRequest
    image_name: str
    image_base64: str
    """The photo's file, whole."""
    model: ModelChoice
    language: LanguageChoice | None
    answers: tuple[Answer, ...]
    """Of the language model, in the order in which it was asked."""

    @classmethod
    def read(cls, path: Path) -> "ExportedRun":
        """Read what was exported.

        Raises:
            InputError: the file is missing or something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path.name!r} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise InputError(
                f"{path.name!r} is no exported run", "sam3i runs export writes them"
            ) from error

    def photo(self) -> Photo:
        """Decode the photo.

        Raises:
            InputError: it is damaged.
        """
        try:
            data = base64.b64decode(self.image_base64, validate=True)
        except ValueError as error:
            raise InputError("the photo of the exported run is damaged") from error
        return replace(decode_photo(data, self.image_name), name=self.image_name)


class RecordedRun:
    """The folder of one run; made by a `RunStore`.

    Args:
        folder: exists.
        info: what was asked.
        mirror: keeps its files elsewhere, too; None where they are here alone.
    """

    def __init__(self, folder: Path, info: RunInfo, mirror: RunMirror | None = None) -> None:
        self.folder = folder
        self.info = info
        self._mirror = mirror

    def ledger(self) -> SqliteLedger:
        """Open the record of language-model requests."""
        path = self.folder / _CALLS_NAME
        return SqliteLedger(path) if self._mirror is None else MirroredLedger(path, self._mirror)

    def export(self) -> ExportedRun:
        """Return all that is needed to play the run back.

        Raises:
            InputError: its photo is gone or changed.
        """
        info, path = self.info, Path(self.info.image)
        photo = read_photo(path)
        if photo.sha256 != info.request.image_sha256:
            raise InputError(f"{path.name!r} is not the photo that the run was about any more")
        ledger = self.ledger()
        try:
            answers = ledger.answers()
        finally:
            ledger.close()
        return ExportedRun(
            run_id=info.run_id,
            started=info.started,
            request=info.request,
            image_name=path.name,
            image_base64=base64.b64encode(path.read_bytes()).decode(),
            model=info.model,
            language=None if info.language is None else info.language.without_secrets(),
            answers=tuple(answers),
        )

    @asynccontextmanager
    async def checkpointer(self) -> AsyncIterator[BaseCheckpointSaver[str]]:
        """Open the graph's checkpoints: SQLite in the run's folder, or the Postgres of the URL.

        Raises:
            StorageError: a Postgres URL is set and its extra is not installed.
            TryAgainError: Postgres does not answer, or not any more.
        """
        serializer = JsonPlusSerializer(allowed_msgpack_modules=_STATE_TYPES)
        url = os.environ.get(CHECKPOINTS_VARIABLE)
        if url is None:
            path = str(self.folder / _CHECKPOINTS_NAME)
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
            run_id = self.info.run_id
            raise TryAgainError(
                f"the database of checkpoints is away; run {run_id} goes on with --resume", _AWAY_S
            ) from error

    def save_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Keep all candidates of the run, whole or not at all."""
        content = [
            {
                "phrase": one.key,
                "mask": {"size": one.masks.size_hw, "counts": one.counts},
                "box": one.box_xyxy,
                "score": one.score,
            }
            for one in candidates
        ]
        write_whole(self.folder / _CANDIDATES_NAME, json.dumps(content))
        self._push(self.folder / _CANDIDATES_NAME)

    def save_picture(self, name: str, picture: Image) -> None:
        """Keep a picture of a step as `NAME.png`."""
        picture.save(self.folder / f"{name}.png")
        self._push(self.folder / f"{name}.png")

    def finish(self) -> None:
        """Keep the result where other machines show it, once it is written."""
        for path in sorted(self.result_folder.rglob("*")):
            if path.is_file():
                self._push(path)

    def _push(self, path: Path) -> None:
        if self._mirror is not None:
            name = path.relative_to(self.folder).as_posix()
            self._mirror.push(name, path.read_bytes())

    @property
    def pictures(self) -> list[Path]:
        """What `save_picture` kept, by name."""
        return sorted(self.folder.glob("*.png"))

    @property
    def result_folder(self) -> Path:
        """Where the finished result is written."""
        return self.folder / "result"

    def load_candidates(self) -> list[Candidate]:
        """Read back what `save_candidates` kept; nothing where it never did."""
        path = self.folder / _CANDIDATES_NAME
        if not path.exists():
            return []
        return [
            Candidate(
                key=one["phrase"],
                masks=Masks(tuple(one["mask"]["size"]), [one["mask"]["counts"]]),
                box_xyxy=tuple(one["box"]),
                score=one["score"],
            )
            for one in json.loads(path.read_text("utf-8"))
        ]


class RunStore:
    """All recorded runs.

    Args:
        folder: None takes `SAM3I_RUNS`, else `~/.local/share/sam3i/runs`.

    Where `SAM3I_STORE` names a store, runs are kept there as well, with their photos: another
    machine shows them, and goes on with them if their checkpoints are in Postgres.
    """

    def __init__(self, folder: Path | None = None) -> None:
        default = Path.home() / ".local" / "share" / "sam3i" / "runs"
        self.folder = folder or Path(os.environ.get(FOLDER_VARIABLE, default))
        self._blobs = store_of_runs()

    def create(
        self,
        image: Path,
        request: SegmentRequest,
        model: ModelChoice,
        language: LanguageChoice | None = None,
    ) -> RecordedRun:
        """Begin a run.

        Raises:
            StorageError: the store cannot be written.
        """
        now = datetime.now(UTC)
        run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        info = RunInfo(
            format=RECORD_FORMAT,
            run_id=run_id,
            started=now,
            image=str(image.resolve()),
            request=request,
            model=model,
            language=language,
        )
        folder = self.folder / run_id
        try:
            folder.mkdir(parents=True)
            write_whole(folder / _RUN_NAME, info.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise StorageError(
                f"the run cannot be recorded in {str(self.folder)!r}: {error.strerror}",
                f"set {FOLDER_VARIABLE} to a folder that can be written",
            ) from error
        mirror = mirror_of(self._blobs, run_id)
        if mirror is not None:
            mirror.push(_RUN_NAME, (folder / _RUN_NAME).read_bytes())
            mirror.push_photo(f"{_PHOTO_FOLDER}/photo", image)
        return RecordedRun(folder, info, mirror)

    def open(self, run_id: str) -> RecordedRun:
        """Return a run by its id.

        Raises:
            InputError: there is none.
            StorageError: its record is damaged.
        """
        folder, mirror = self.folder / run_id, mirror_of(self._blobs, run_id)
        known = bool(run_id) and "/" not in run_id and (folder / _RUN_NAME).is_file()
        if not known and (mirror is None or not mirror.pull(folder, folder / _CALLS_NAME)):
            raise InputError(f"there is no run {run_id!r}", "sam3i runs list shows them")
        try:
            info = RunInfo.model_validate_json((folder / _RUN_NAME).read_bytes())
        except (OSError, ValidationError) as error:
            raise StorageError(f"the record of run {run_id!r} is damaged") from error
        brought = next(folder.glob(f"{_PHOTO_FOLDER}/*"), None)  # from another machine
        if brought is not None:
            info = info.model_copy(update={"image": str(brought)})
        return RecordedRun(folder, info, mirror)

    def resume(self, run_id: str) -> RecordedRun:
        """Return a run that shall go on.

        Raises:
            InputError: there is none.
            StorageError: its record is damaged, or of a version whose runs cannot go on.
        """
        run = self.open(run_id)
        if run.info.format != RECORD_FORMAT:
            raise StorageError(
                f"run {run_id!r} was recorded by another version and cannot go on",
                "start it again; sam3i runs show still shows it",
            )
        return run

    def list(self) -> list[RecordedRun]:
        """Return all runs, the latest first."""
        names = {path.parent.name for path in self.folder.glob(f"*/{_RUN_NAME}")}
        return [self.open(name) for name in sorted(names | ids_in(self._blobs), reverse=True)]
