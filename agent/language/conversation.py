"""A typed question to a model, whoever carries it there: corrected once, and asked once."""

import hashlib
import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.ledger import AskedQuestion
from sam3i_agent.agent.language.replies import (
    Reply,
    WrongFieldsError,
    part_thought,
    read_arguments,
    read_text,
    schema_of,
)
from sam3i_agent.agent.language.side import View
from sam3i_agent.core.errors import LanguageReplyError
from sam3i_agent.prompts.templates import VERSION, complaint, load_function, load_prompt

logger = logging.getLogger(__name__)

_TURNS = 2
"""The question and one correction."""
CHARACTERS_PER_TOKEN = 4
"""Where nobody counts."""
THOUGHT_FIELDS = ("reasoning_content", "reasoning")
"""Of a message: where servers put what a model thinks before it answers."""
_THOUGHT_CHARACTERS = 600
"""Of a thought that is handed on; the ledger has all of it."""

T = TypeVar("T", bound=Reply)
Read = Callable[["Message"], T]
"""Reads the message of a reply, or raises a `LanguageReplyError`."""
Check = Callable[[T], str | None]
"""Returns what is wrong with a reply beyond its fields, or None."""
Message = dict[str, Any]
"""As the chat-completions API has them: `role`, and `content` as text or a list of parts."""
Place = int
"""Of a picture: the position of the message, one in parts, that it is attached to."""


Picture = Callable[[], Awaitable[str]]
"""Draws a picture and returns its data URL."""


class Pictures:
    """The pictures of a question: drawn when first asked for, and once.

    Args:
        pictures: in the order in which they are attached.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._pictures = pictures
        self.drawn: list[str] | None = None
        """None while nobody has asked for them."""

    def __len__(self) -> int:
        return len(self._pictures)

    async def urls(self) -> list[str]:
        """Return the data URLs."""
        if self.drawn is None:
            self.drawn = [await draw() for draw in self._pictures]
        return self.drawn


@dataclass(frozen=True)
class Question:
    """What a model is asked."""

    key: str
    """Names the question and its content within the run."""
    label: str
    """Names it for people, and another question in its place."""
    messages: tuple[Message, ...]
    """Without pictures: system, user, and for a correction the unusable reply and what is wrong
    with it; in a conversation, more of both before."""
    functions: Mapping[str, type[Reply]]
    """Of which the model is to call one, where it can, with the fields of each."""
    pictures: Pictures
    """That belong to the question; only who sends them has them drawn."""
    view: View
    """Of the run that asks: the photo, and the candidates that the question is about."""
    places: tuple[Place, ...]
    """Of the pictures."""
    prompts: str = VERSION
    """Version of the words that it is asked in."""
    asked_at: float = field(default_factory=time.time)

    @property
    def function(self) -> str:
        """The function that the model is to call, or all of those it may call."""
        return ", ".join(self.functions)

    async def illustrated(self) -> list[Message]:
        """Return the messages with the pictures attached."""
        return illustrate(self.messages, await self.pictures.urls(), self.places)

    @property
    def illustrated_as_drawn(self) -> list[Message]:
        """The same with the pictures that have been drawn."""
        return illustrate(self.messages, self.pictures.drawn or (), self.places)

    def order(self, count: int = 1) -> str:
        """Return how to answer in plain words.

        Args:
            count: of such questions that are asked in one.
        """
        if len(self.functions) > 1:
            known = [
                {
                    "name": name,
                    "description": load_function(name, self.prompts).description,
                    "fields": fields_of(name, kind, self.prompts),
                }
                for name, kind in self.functions.items()
            ]
            return load_prompt("functions", self.prompts).render(functions=known)
        ((function, kind),) = self.functions.items()
        fields = fields_of(function, kind, self.prompts)
        return load_prompt("fields", self.prompts).render(count=count, fields=fields)

    def as_json(self) -> str:
        """Return what a ledger keeps of it: pictures are named by their SHA-256."""
        hashes = [
            f"sha256:{hashlib.sha256(url.encode()).hexdigest()}"
            for url in self.pictures.drawn or ()
        ]
        return AskedQuestion(
            label=self.label,
            function=self.function,
            asked_at=self.asked_at,
            messages=tuple(illustrate(self.messages, hashes, self.places)),
        ).model_dump_json()


def text_message(role: str, text: str) -> Message:
    """Return a message of text; the user's is in parts, so that pictures can join it."""
    return {"role": role, "content": [{"type": "text", "text": text}] if role == "user" else text}


def illustrate(
    messages: Sequence[Message], urls: Sequence[str], places: Sequence[Place]
) -> list[Message]:
    """Return messages with pictures attached to them.

    Args:
        messages: of system, user and model.
        urls: of the pictures; none where they have not been drawn.
        places: of each.
    """
    drawn = [dict(one) for one in messages]
    for url, place in zip(urls, places, strict=bool(urls)):
        part = {"type": "image_url", "image_url": {"url": url}}
        drawn[place]["content"] = [*drawn[place]["content"], part]
    return drawn


class Conversation(ABC):
    """Asks a model; an answer that the run's ledger holds is not asked for again.

    Args:
        model: the model's name, for people.
        meter: what may be spent.
        prompts: version of the words that it is asked in.
    """

    def __init__(self, model: str, meter: Meter, prompts: str = VERSION) -> None:
        self.model = model
        self.prompts = prompts
        self._meter = meter

    @property
    def concurrency(self) -> int:
        """Questions that may be asked at one time."""
        return self._meter.budgets.concurrency

    @abstractmethod
    async def _request(self, question: Question) -> tuple[Message, int]:
        """Send a question; return the reply's message and its tokens."""

    async def close(self) -> None:  # noqa: B027 (most hold nothing)
        """Let go of what it holds."""

    async def ask(
        self,
        label: str,
        function: str,
        text: str,
        pictures: Sequence[Picture],
        kind: type[T],
        check: Check[T] = lambda reply: None,
        *,
        view: View,
        marks: str = "",
    ) -> T:
        """Ask one question and return the typed reply, with the end of what was thought before.

        Args:
            label: names the question within its run; with its content it is the key under which a
                resumed run finds the reply.
            function: the function that the model is to call.
            text: the question.
            pictures: attached in this order; drawn at most once, and only where the question is
                sent.
            kind: the reply's fields.
            check: tells what is wrong with a reply's values.
            view: what the question is about.
            marks: stands for what is marked on the pictures, in the key.

        A reply of which nothing but spared fields stays unusable is taken without these.

        Raises:
            LanguageReplyError: two unusable replies, the second after a correction.
            LanguageError: the model cannot be reached or refuses the request.
            BudgetError: a budget is used up.
        """
        messages = [
            text_message("system", load_prompt("system", self.prompts).render()),
            text_message("user", text),
        ]
        return await self.converse(
            label,
            messages,
            {function: kind},
            pictures,
            lambda message: _read(message, function, kind),
            check,
            view=view,
            places=[1] * len(pictures),
            marks=marks,
            prompts=self.prompts,
        )

    async def converse(
        self,
        label: str,
        messages: Sequence[Message],
        functions: Mapping[str, type[T]],
        pictures: Sequence[Picture],
        read: Read[T],
        check: Check[T],
        *,
        view: View,
        places: Sequence[Place],
        marks: str,
        prompts: str,
    ) -> T:
        """Go on with a conversation: return what is called next, read and checked; see `ask`.

        Args:
            label: names the question within its run.
            messages: so far, the first of the system, the last of the user.
            functions: of which the model is to call one.
            pictures: to attach.
            read: reads the reply's message.
            check: tells what is wrong with a reply's values.
            view: what the question is about.
            places: of the pictures.
            marks: stands for what is marked on the pictures, in the key.
            prompts: version of the words, also of a correction.
        """
        illustrations = Pictures(pictures)
        shown = [view.photo.sha256, marks]
        messages = list(messages)
        problem = ""
        kinds = tuple(functions.values())
        spare: T | None = None
        for turn in range(_TURNS):
            called = ", ".join(functions)
            content = json.dumps([self.model, messages, shown, called], sort_keys=True)
            name = f"{label}/{turn}"
            key = f"{name}:{hashlib.sha256(content.encode()).hexdigest()}"
            question = Question(
                key, name, tuple(messages), functions, illustrations, view, tuple(places), prompts
            )
            message = await self._complete(question)
            try:
                reply = read(message)
                wrong = check(reply)
                if wrong is None:
                    return reply.with_thought(_thought_of(message))
                problem = wrong
            except LanguageReplyError as error:
                problem = error.message
                if isinstance(error, WrongFieldsError) and isinstance(error.rest, kinds):
                    spare = error.rest if check(error.rest) is None else spare
            logger.info("%s: unusable reply: %s", label, problem)
            messages += [
                text_message("assistant", _as_text(message)),
                {"role": "user", "content": _correction(question, problem)},
            ]
        if spare is not None:
            return spare
        raise LanguageReplyError(f"the model's answer is unusable: {problem}")

    async def _complete(self, question: Question) -> Message:
        """Return the reply's message, from the ledger where this request was answered before."""
        ledger = self._meter.ledger
        kept = ledger.find(question.key)
        if kept is not None:
            return json.loads(kept)
        message, tokens = await self._request(question)
        ledger.finish(question.key, json.dumps(message), tokens, question.as_json())
        return message


def _correction(question: Question, problem: str) -> str:
    prompt = load_prompt("correct", question.prompts)
    if "order" in prompt.variables:
        return prompt.render(problem=problem, order=question.order())
    ((function, kind),) = question.functions.items()
    fields = fields_of(function, kind, question.prompts)
    return prompt.render(problem=problem, function=function, fields=fields)


def fields_of(function: str, kind: type[Reply], prompts: str) -> str:
    """Return the fields of a reply as JSON, for a prompt of this version."""
    return json.dumps(schema_of(function, kind, prompts)["properties"])


def _read(message: Message, function: str, kind: type[T]) -> T:
    if message.get("refusal"):
        raise LanguageReplyError(complaint("refused"))
    calls = message.get("tool_calls") or []
    if calls:
        call = calls[0]["function"]
        return read_arguments(call["arguments"], call["name"], function, kind)
    return read_text(message.get("content") or "", kind)


def _as_text(message: Message) -> str:
    """Repeat a reply as text: servers differ in how they want their own calls quoted."""
    calls = message.get("tool_calls") or []
    if calls:
        return f"{calls[0]['function']['name']}({calls[0]['function']['arguments']})"
    _, answer = part_thought(message.get("content") or "")
    return answer or message.get("refusal") or "(nothing)"


def _thought_of(message: Message) -> str:
    """Return the end of a thought, where it comes to a conclusion; mostly there is none."""
    inline, _ = part_thought(message.get("content") or "")
    told = next((message[name] for name in THOUGHT_FIELDS if message.get(name)), inline)
    words = " ".join(told.split())
    return words if len(words) <= _THOUGHT_CHARACTERS else f"… {words[-_THOUGHT_CHARACTERS:]}"
