"""Which multimodal model answers, and how it is asked: a value that is recorded with a run."""

import re
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, JsonValue, field_validator, model_validator

from sam3i_agent.core.contracts import Frozen

_OURS = ("messages", "model", "tools")
"""Fields of a request that are not anybody else's to set."""
_KEY_NAME = re.compile(r"key|secret|password|authorization|headers|token$", re.IGNORECASE)


class PromptsVersion(StrEnum):
    """Which words a model reads: a folder of `prompts`."""

    V1 = "v1"
    V2 = "v2"


class AskBy(StrEnum):
    """How a server is asked for the fields of an answer, the strictest way first."""

    FUNCTION_CALLS = "function-calls"
    JSON_SCHEMA = "json-schema"
    PLAIN_WORDS = "plain-words"


class LanguageChoice(Frozen):
    """A multimodal model behind an OpenAI-compatible server."""

    url: str
    """Base URL of the API, such as `http://localhost:11434/v1`."""
    model: str
    """The model's name there."""
    timeout_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 120.0
    """The longest silence, in seconds, before a request is given up and tried again. A reply may
    take longer as long as its tokens keep coming; nothing takes longer than the run may."""
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    """None leaves it to the server, as with the next two."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Of one reply, a thinking model's thoughts included."""
    reasoning_effort: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] | None = None
    """In the server's words, such as `low`."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of the request, passed through; they win over the other settings."""
    image_side: Annotated[int, Field(ge=64, le=8192)] = 1024
    """Longest side of the pictures that the model is shown, in pixels."""
    text_only: bool = False
    """It cannot see: it plans in words, without pictures, and judges nothing."""
    ask_by: AskBy = AskBy.FUNCTION_CALLS
    """The way that is tried first; a server that refuses it is asked in the next one."""
    prompts: PromptsVersion = PromptsVersion.V2

    @field_validator("extra")
    @classmethod
    def _leave_ours(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name in _OURS:
            if name in extra:
                raise ValueError(f"{name!r} cannot be set")
        return extra

    @model_validator(mode="after")
    def _plans_in_the_latest_words(self) -> Self:
        if self.text_only and self.prompts is not PromptsVersion.V2:
            raise ValueError("is for prompts v2, which have words for it")
        return self

    @property
    def body(self) -> dict[str, JsonValue]:
        """The settings as fields of a request."""
        ours: dict[str, JsonValue] = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "reasoning_effort": self.reasoning_effort,
        }
        return {name: one for name, one in ours.items() if one is not None} | self.extra

    def without_secrets(self) -> Self:
        """Return it without what must not be shown or passed on.

        That is what a URL holds beside the address (user, password and query), and extra fields
        that are named as keys are.
        """
        parts = urlsplit(self.url)
        address = parts.netloc.rpartition("@")[2]
        url = urlunsplit((parts.scheme, address, parts.path, "", ""))
        return self.model_copy(update={"url": url, "extra": _without_keys(self.extra)})

    def __str__(self) -> str:
        """Return the model's name, the prompts, and the settings that are not the usual ones."""
        usual = type(self)(url=self.url, model=self.model, prompts=self.prompts)
        settings = [f"prompts {self.prompts}"]
        names = ("timeout_s", "temperature", "max_tokens", "reasoning_effort", "image_side")
        for name in (*names, "text_only", "ask_by"):
            if getattr(self, name) != getattr(usual, name):
                settings.append(f"{name} {getattr(self, name)}")
        settings += [f"{name} {one!r}" for name, one in _without_keys(self.extra).items()]
        return f"{self.model} ({', '.join(settings)})"


def _without_keys(fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {
        name: _without_keys(one) if isinstance(one, dict) else one
        for name, one in fields.items()
        if not _KEY_NAME.search(name)
    }
