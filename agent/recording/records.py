"""What is kept of a run: what was asked, and all of it in one file that plays back elsewhere."""

import base64
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.ledger import Answer
from sam3i_agent.core.contracts import Frozen, SegmentRequest
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo, decode_photo

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
