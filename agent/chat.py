"""One question to an OpenAI-compatible server: retried, counted, corrected once, and typed."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import openai
from openai import AsyncOpenAI
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from sam3i_agent.agent.budgets import Meter
from sam3i_agent.agent.replies import Reply, read_arguments, read_text
from sam3i_agent.agent.telemetry import tracer
from sam3i_agent.prompts.templates import load_prompt
from sam3i_agent.segmodel.errors import BudgetError, LanguageError, LanguageReplyError

logger = logging.getLogger(__name__)

KEY_VARIABLES = ("SAM3I_MLLM_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key, the first one that is set."""
_NO_KEY = "none"
"""Local servers take any key, and the client wants one."""
_ATTEMPTS = 4
_CALL_TIMEOUT_S = 60.0
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 20.0
_TURNS = 2
"""The question and one correction."""
_CHARACTERS_PER_TOKEN = 4
"""For servers that do not count."""
_MODES = ("function calls", "JSON schema", "plain words")
"""Ways to ask for fields, the strictest first."""
_RETRIED = (
    openai.RateLimitError,
    openai.InternalServerError,
    openai.APIConnectionError,  # timeouts too
    openai.APIResponseValidationError,
    json.JSONDecodeError,  # half an answer
)

T = TypeVar("T", bound=Reply)
Check = Callable[[T], str | None]
"""Returns what is wrong with a reply beyond its fields, or None."""


class ChatClient:
    """A multimodal model behind a chat-completions endpoint.

    It is asked to call one function; a server that refuses function calls is asked by JSON schema,
    and one that refuses this too, in plain words, from then on. In every mode any reply
    that holds the fields is accepted.

    Args:
        url: base URL of the API, such as `http://localhost:11434/v1`.
        model: the model's name there.
        meter: what may be spent; every request is counted before it is sent.
        call_timeout_s: longest wait for one reply, in seconds; never beyond the run's time.
    """

    def __init__(
        self, url: str, model: str, meter: Meter, *, call_timeout_s: float = _CALL_TIMEOUT_S
    ) -> None:
        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), _NO_KEY)
        self._client = AsyncOpenAI(base_url=url, api_key=key, max_retries=0)
        self.url = url
        self.model = model
        self._meter = meter
        self._call_timeout_s = call_timeout_s
        self._mode = _MODES[0]
        self._mode_works = False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

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
            LanguageError: the server cannot be reached or refuses the request.
            BudgetError: a budget is used up.
        """
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        content += [{"type": "image_url", "image_url": {"url": image}} for image in images]
        messages: list[dict[str, Any]] = [
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
                problem=problem,
                function=function,
                fields=json.dumps(kind.model_json_schema()["properties"]),
            )
            messages += [
                {"role": "assistant", "content": _as_text(message)},
                {"role": "user", "content": correction},
            ]
        raise LanguageReplyError(f"the model's answer is unusable: {problem}")

    async def _complete(
        self, label: str, messages: list[dict[str, Any]], function: str, kind: type[Reply]
    ) -> dict[str, Any]:
        """Return the reply's message, from the ledger where this request was answered before."""
        ledger = self._meter.ledger
        content = json.dumps([self.model, messages, function], sort_keys=True)
        key = f"{label}:{hashlib.sha256(content.encode()).hexdigest()}"
        kept = ledger.find(key)
        if kept is not None:
            return json.loads(kept)
        message, tokens = await self._request(messages, function, kind)
        ledger.finish(key, json.dumps(message), tokens)
        return message

    async def _request(
        self, messages: list[dict[str, Any]], function: str, kind: type[Reply]
    ) -> tuple[dict[str, Any], int]:
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(_RETRIED),
                stop=stop_after_attempt(_ATTEMPTS),
                wait=self._wait,
                reraise=True,
            ):
                with attempt:
                    return await self._send(messages, function, kind)
        except _RETRIED as error:
            raise LanguageError(
                f"the model server at {self.url} gave no usable answer in {_ATTEMPTS} tries: "
                f"{_one_line(str(error))}",
                "check --mllm-url and that the server runs",
            ) from error
        except openai.APIStatusError as error:
            raise LanguageError(
                f"the model server at {self.url} answered {error.status_code}: "
                f"{_one_line(error.message)}",
                _hint(error.status_code),
            ) from error
        except openai.OpenAIError as error:
            raise LanguageError(
                f"the model server at {self.url}: {_one_line(str(error))}"
            ) from error
        raise RuntimeError("unreachable: the last attempt returns or raises")

    async def _send(
        self, messages: list[dict[str, Any]], function: str, kind: type[Reply]
    ) -> tuple[dict[str, Any], int]:
        while True:
            try:
                answer = await self._post(messages, function, kind)
                self._mode_works = True
                return answer
            except openai.APIStatusError as error:
                # Some servers answer 500 to what they do not know, but only before it ever worked.
                unknown = error.status_code in (400, 422) or (
                    error.status_code == 500 and not self._mode_works
                )
                if not unknown or self._mode is _MODES[-1]:
                    raise
                logger.info("no %s at %s: %s", self._mode, self.url, _one_line(error.message))
                self._mode = _MODES[_MODES.index(self._mode) + 1]
                self._mode_works = False

    async def _post(
        self, messages: list[dict[str, Any]], function: str, kind: type[Reply]
    ) -> tuple[dict[str, Any], int]:
        """Send one HTTP request in the present mode; return the message and its tokens."""
        schema = kind.model_json_schema()
        more: dict[str, Any] = {}
        match self._mode:
            case "function calls":
                about = {"name": function, "description": kind.__doc__, "parameters": schema}
                more["tools"] = [{"type": "function", "function": about}]
                more["tool_choice"] = {"type": "function", "function": {"name": function}}
            case "JSON schema":
                wanted = {"name": function, "schema": schema}
                more["response_format"] = {"type": "json_schema", "json_schema": wanted}
            case _:
                fields = json.dumps(schema["properties"])
                order = f"Answer with one JSON object with the fields: {fields}"
                messages = [*messages, {"role": "system", "content": order}]
        meter = self._meter
        meter.check_call()
        meter.ledger.begin()
        timeout_s = min(self._call_timeout_s, meter.seconds_left)
        create: Any = self._client.chat.completions.create  # typed for literal messages only
        with tracer.start_as_current_span("sam3i.mllm", attributes={"model": self.model}):
            answer = await create(model=self.model, messages=messages, timeout=timeout_s, **more)
        choices = getattr(answer, "choices", None)
        message = choices[0].message.model_dump(exclude_none=True) if choices else {}
        counted = getattr(getattr(answer, "usage", None), "total_tokens", None)
        if counted is None:
            counted = len(json.dumps([messages, message])) // _CHARACTERS_PER_TOKEN
        return message, counted

    def _wait(self, state: RetryCallState) -> float:
        """Wait as the server says, else exponentially longer; never beyond the run's time."""
        wanted = wait_random_exponential(_FIRST_WAIT_S, _LONGEST_WAIT_S)(state)
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, openai.APIStatusError):
            said = error.response.headers.get("retry-after", "")
            if said.isdigit():
                wanted = float(said)
        if wanted >= self._meter.seconds_left:
            raise BudgetError(
                f"the budget of {self._meter.budgets.max_seconds:g} seconds is used up",
                "raise --max-seconds",
            )
        return wanted


def _read(message: dict[str, Any], function: str, kind: type[T]) -> T:
    if message.get("refusal"):
        raise LanguageReplyError("the request was refused")
    calls = message.get("tool_calls") or []
    if calls:
        call = calls[0]["function"]
        return read_arguments(call["arguments"], call["name"], function, kind)
    return read_text(message.get("content") or "", kind)


def _as_text(message: dict[str, Any]) -> str:
    """Repeat a reply as text: servers differ in how they want their own calls quoted."""
    calls = message.get("tool_calls") or []
    if calls:
        return f"{calls[0]['function']['name']}({calls[0]['function']['arguments']})"
    return message.get("content") or message.get("refusal") or "(nothing)"


def _one_line(text: str, limit: int = 200) -> str:
    return " ".join(text.split())[:limit]


def _hint(status: int) -> str:
    match status:
        case 401 | 403:
            return f"set the server's key in {KEY_VARIABLES[0]}"
        case 404:
            return "check --mllm-url (it usually ends in /v1) and --mllm-model"
        case _:
            return ""
