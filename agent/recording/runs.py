"""Recorded runs: a folder each, from which a killed run goes on and a past one is shown.

A folder holds `run.json` (what was asked), `checkpoints.sqlite` (the graph's finished steps),
`calls.sqlite` (the language model's replies), `candidates.json` (masks), a picture of each round's
numbered candidates and, when the run has ended, `result/`, which `tools.results.export` writes.
"""

import base64
import json
import os
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

from langgraph.checkpoint.base import BaseCheckpointSaver
from PIL.Image import Image
from pydantic import ValidationError

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.ledger import SqliteLedger
from sam3i_agent.agent.recording.checkpoints import open_checkpoints
from sam3i_agent.agent.recording.records import RECORD_FORMAT, ExportedRun, RunInfo
from sam3i_agent.agent.recording.run_mirror import (
    MirroredLedger,
    RunMirror,
    ids_in,
    mirror_of,
    store_of_runs,
)
from sam3i_agent.core.contracts import SegmentRequest
from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import read_photo

FOLDER_VARIABLE = "SAM3I_RUNS"
_RUN_NAME = "run.json"
_CALLS_NAME = "calls.sqlite"
_CANDIDATES_NAME = "candidates.json"
_PHOTO_FOLDER = "photo"
"""Of the photo where a run comes from another machine."""


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

    def checkpointer(self) -> AbstractAsyncContextManager[BaseCheckpointSaver[str]]:
        """Open the graph's checkpoints; see `open_checkpoints`."""
        return open_checkpoints(self.folder, self.info.run_id)

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
