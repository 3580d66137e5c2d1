"""A typed question to a model, whoever carries it there: corrected once, and asked once."""

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.replies import Reply, read_arguments, read_text, schema_of
from sam3i_agent.core.errors import LanguageReplyError
from sam3i_agent.prompts.templates import complaint, load_prompt

logger = logging.getLogger(__name__)

_TURNS = 2
"""The question and one correction."""
CHARACTERS_PER_TOKEN = 4
"""Where nobody counts."""

T = TypeVar("T", bound=Reply)
Check = Callable[[T], str | None]
"""Returns what is wrong with a reply beyond its fields, or None."""
Message = dict[str, Any]
"""As the chat-completions API has them: `role`, and `content` as text or a list of parts."""


@dataclass(frozen=True)
class Question:
    """What is sent to a model."""

    key: str
    """Names the question and its content within the run."""
    messages: tuple[Message, ...]
    """System, user, and for a correction the unusable reply and what is wrong with it."""
    function: str
    """That the model is to call, where it can."""
    kind: type[Reply]
    """The fields of the answer."""


class Conversation(ABC):
    """Asks a model; an answer that the run's ledger holds is not asked for again.

    Args:
        model: the model's name, for people.
        meter: what may be spent.
    """

    def __init__(self, model: str, meter: Meter) -> None:
        self.model = model
        self._meter = meter

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
        images: Sequence[str],
        kind: type[T],
        check: Check[T] = lambda reply: None,
    ) -> T:
        """Ask one question and return the typed reply.

        Args:
            label: names the question within its run; with its content it is the key under which a
                resumed run finds the reply.
            function: the function that the model is to call.
            text: the question.
            images: data URLs, attached in this order.
            kind: the reply's fields.
            check: tells what is wrong with a reply's values.

        Raises:
            LanguageReplyError: two unusable replies, the second after a correction.
            LanguageError: the model cannot be reached or refuses the request.
            BudgetError: a budget is used up.
        """
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        content += [{"type": "image_url", "image_url": {"url": image}} for image in images]
        messages: list[Message] = [
            {"role": "system", "content": load_prompt("system").render()},
            {"role": "user", "content": content},
        ]
        problem = ""
        for turn in range(_TURNS):
            message = await self._complete(f"{label}/{turn}", messages, function, kind)
            try:
                reply = _read(message, function, kind)
                wrong = check(reply)
                if wrong is None:
                    return reply
                problem = wrong
            except LanguageReplyError as error:
                problem = error.message
            logger.info("%s: unusable reply: %s", label, problem)
            correction = load_prompt("correct").render(
                problem=problem, function=function, fields=fields_of(function, kind)
            )
            messages += [
                {"role": "assistant", "content": _as_text(message)},
                {"role": "user", "content": correction},
            ]
        raise LanguageReplyError(f"the model's answer is unusable: {problem}")

    async def _complete(
        self, label: str, messages: list[Message], function: str, kind: type[Reply]
    ) -> Message:
        """Return the reply's message, from the ledger where this request was answered before."""
        ledger = self._meter.ledger
        content = json.dumps([self.model, messages, function], sort_keys=True)
        key = f"{label}:{hashlib.sha256(content.encode()).hexdigest()}"
        kept = ledger.find(key)
        if kept is not None:
            return json.loads(kept)
        message, tokens = await self._request(Question(key, tuple(messages), function, kind))
        ledger.finish(key, json.dumps(message), tokens)
        return message


def fields_of(function: str, kind: type[Reply]) -> str:
    """Return the fields of a reply as JSON, for a prompt."""
    return json.dumps(schema_of(function, kind)["properties"])


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
    return message.get("content") or message.get("refusal") or "(nothing)"
