"""Replies of language models: the wanted fields, and finding them in whatever comes back."""

import json
import re
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from sam3i_agent.agent.planner.worded import MAX_PARTS, PlanPart, as_parts
from sam3i_agent.core.errors import LanguageReplyError
from sam3i_agent.prompts.templates import VERSION, complaint, load_function

MAX_PHRASES = 8
"""Of one proposal; more would be a list of everything in the photo."""
MAX_PHRASE_CHARACTERS = 80


class Reply(BaseModel):
    """What a model answers; more fields than wanted do no harm."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    spared: ClassVar[frozenset[str]] = frozenset()
    """Fields without which a reply is still of use, where they stay unusable."""
    _thought: str = PrivateAttr(default="")

    @property
    def thought(self) -> str:
        """What the model thought before it answered, as far as its server tells."""
        return self._thought

    def with_thought(self, thought: str) -> Self:
        """Return the same answer with what was thought before."""
        reply = self.model_copy()
        reply._thought = thought
        return reply


PhraseText = Annotated[str, Field(min_length=1, max_length=MAX_PHRASE_CHARACTERS)]


class ProposeReply(Reply):
    """Noun phrases to segment, and how their instances are to be told apart."""

    spared: ClassVar[frozenset[str]] = frozenset({"plan"})
    reason: str = ""
    targets: list[PhraseText] = Field(max_length=MAX_PHRASES)
    helpers: list[PhraseText] = Field(default=[], max_length=MAX_PHRASES)
    plan: Annotated[list[PlanPart], BeforeValidator(as_parts)] = Field(
        default=[], max_length=MAX_PARTS
    )
    absent: bool = False


class VerifyReply(Reply):
    """A judgement of one mask."""

    reason: str = ""
    verdict: Literal["accept", "reject"]


class NumberedVerdict(Reply):
    """A judgement of one mask of several."""

    number: int
    reason: str = ""
    verdict: Literal["accept", "reject"]


class SheetReply(Reply):
    """A judgement of each mask of a sheet."""

    judgements: list[NumberedVerdict]


class SelectReply(Reply):
    """The masks that answer the request."""

    reason: str = ""
    masks: list[int]
    missing: str = ""
    finished: bool = True
    absent: bool = False


class ExhaustiveReply(Reply):
    """Whether all that is asked for has a mask."""

    missing: str = ""
    complete: bool


_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_THOUGHT = re.compile(
    r"<think(?:ing)?>(.*?)</think(?:ing)?>"
    r"|\A((?:(?!<think).)*)</think(?:ing)?>"  # some templates open the thought themselves
    r"|<think(?:ing)?>(.*)\Z",  # cut off before the answer
    re.DOTALL,
)
_REFUSAL = re.compile(
    r"\b(?:I(?:'m| am) (?:sorry|unable)|I can(?:'t|not)|as an AI)\b", re.IGNORECASE
)


T = TypeVar("T", bound=Reply)


class WrongFieldsError(LanguageReplyError):
    """There is a JSON object, which is nearer to an answer than none.

    Args:
        message: what is wrong with it.
        rest: the reply without the fields that are spared, where those alone are wrong.
    """

    def __init__(self, message: str, rest: Reply | None = None) -> None:
        super().__init__(message)
        self.rest = rest


def schema_of(function: str, kind: type[Reply], version: str = VERSION) -> dict[str, Any]:
    """Return the JSON schema of a reply, in the words and the order of the prompts.

    Args:
        function: that the model is to call.
        kind: the fields of its arguments.
        version: of the prompts.
    """
    words, schema = load_function(function, version), kind.model_json_schema()
    # Written out: in plain words nobody could look a reference up, and not every server does.
    definitions = schema.pop("$defs", {})
    fields = {name: _written_out(schema["properties"][name], definitions) for name in words.order}
    for name, text in words.fields.items():
        fields[name]["description"] = text
    return {
        **schema,
        "description": words.description,
        "properties": fields,
        "required": [name for name in words.order if name in schema.get("required", ())],
    }


def _written_out(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema with its references replaced by what they refer to."""
    if isinstance(schema, list):
        return [_written_out(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _written_out(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _written_out(value, definitions) for key, value in schema.items()}


def read_arguments(arguments: str, called: str, function: str, kind: type[T]) -> T:
    """Read the arguments of a function call.

    Args:
        arguments: JSON text.
        called: the function that the model called.
        function: the one it was to call.
        kind: what the arguments are.

    Raises:
        LanguageReplyError: another function, no JSON, or wrong fields.
    """
    if called != function:
        raise LanguageReplyError(
            complaint("unknown_function", called=repr(called), function=repr(function))
        )
    return _validate(_parse(arguments), kind)


def read_text(text: str, kind: type[T]) -> T:
    """Find the wanted fields in free text: bare JSON, a code fence, or JSON within prose.

    Raises:
        LanguageReplyError: there is no such JSON object, or the text refuses.
    """
    _, text = part_thought(text)
    if not text:
        raise LanguageReplyError(complaint("empty"))
    fenced = _FENCE.search(text)
    objects = [one for one in (text, fenced[1] if fenced else "", *_objects_in(text)) if one]
    problems: list[LanguageReplyError] = []
    for candidate in objects:
        try:
            return _validate(_parse(candidate), kind)
        except LanguageReplyError as error:
            problems.append(error)
    if refuses(text):
        raise LanguageReplyError(complaint("refused"))
    raise next((one for one in problems if isinstance(one, WrongFieldsError)), problems[0])


def refuses(text: str) -> bool:
    """Whether a reply says that it will not answer."""
    return _REFUSAL.search(text) is not None


def part_thought(text: str) -> tuple[str, str]:
    """Part a reply's text into what is thought in it and what is answered."""
    thoughts = [part.strip() for found in _THOUGHT.findall(text) for part in found if part.strip()]
    return "\n".join(thoughts), _THOUGHT.sub("", text).strip()


def _objects_in(text: str) -> list[str]:
    """Return the balanced {...} pieces of `text`, outermost ones, in order."""
    decoder = json.JSONDecoder()
    found: list[str] = []
    position = text.find("{")
    while position >= 0:
        try:
            _, end = decoder.raw_decode(text, position)
            found.append(text[position:end])
            position = text.find("{", end)
        except ValueError:
            position = text.find("{", position + 1)
    return found


def _parse(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise LanguageReplyError(complaint("no_json", error=str(error))) from error
    # Some models wrap the arguments as {"name": ..., "arguments": {...}}.
    if isinstance(value, dict) and isinstance(value.get("arguments"), dict):
        value = value["arguments"]
    if not isinstance(value, dict):
        raise LanguageReplyError(complaint("no_json", error=""))
    return value


def _validate(value: dict[str, Any], kind: type[T]) -> T:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        rest: Reply | None = None
        if all(one["loc"] and one["loc"][0] in kind.spared for one in error.errors()):
            rest = kind.model_validate({k: one for k, one in value.items() if k not in kind.spared})
        raise WrongFieldsError(
            complaint("wrong_fields", where=where, problem=first["msg"]), rest
        ) from error
