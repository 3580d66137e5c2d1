"""A model behind an OpenAI-compatible server: asked in the ways it can answer, and retried."""

import asyncio
import json
import logging
import os
from typing import Any, NamedTuple

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import AskBy, LanguageChoice
from sam3i_agent.agent.language.conversation import (
    CHARACTERS_PER_TOKEN,
    Conversation,
    Message,
    Question,
    text_message,
)
from sam3i_agent.agent.language.replies import schema_of
from sam3i_agent.agent.language.streaming import IncomingReply
from sam3i_agent.agent.telemetry import outgoing_headers, tracer
from sam3i_agent.core.errors import LanguageError

logger = logging.getLogger(__name__)

KEY_VARIABLES = ("SAM3I_MLLM_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key, the first one that is set."""
_NO_KEY = "none"
"""Local servers take any key, and the client wants one."""
_ATTEMPTS = 4
_CONNECT_TIMEOUT_S = 10.0
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 20.0
_TOKENS_PER_PICTURE = 1_000
"""Where nobody counts: about what models make of a picture of 1,024 pixels."""


class _BrokenReplyError(Exception):
    """A reply did not come, or not to its end."""


_RETRIED = (
    openai.RateLimitError,
    openai.InternalServerError,
    openai.APIConnectionError,
    openai.APIResponseValidationError,
    httpx2.TransportError,
    json.JSONDecodeError,  # half an answer
    UnicodeDecodeError,
    _BrokenReplyError,
)


class _Way(NamedTuple):
    """How a server is asked."""

    mode: AskBy
    streamed: bool = True
    counted: bool = True
    """Ask a stream for its tokens."""

    def __str__(self) -> str:
        return f"{self.mode}, {'streamed' if self.streamed else 'in one piece'}"


_WAYS = [_Way(mode, streamed) for streamed in (True, False) for mode in AskBy]
"""In the order in which they are tried."""


class ChatClient(Conversation):
    """A multimodal model behind a chat-completions endpoint.

    It is asked to call one function; a server that refuses function calls is asked by JSON schema,
    and one that refuses this too, in plain words, from then on. In every mode any reply
    that holds the fields is accepted. Replies are streamed where the server can, so that a slow
    model is told from a dead one; a server that answers in one piece all the same is understood.

    Args:
        choice: the server, the model there and its settings.
        meter: what may be spent; every request is counted before it is sent.
    """

    def __init__(self, choice: LanguageChoice, meter: Meter) -> None:
        super().__init__(choice.model, meter, choice.prompts)
        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), _NO_KEY)
        # Silence is measured between pieces of a reply, not between bytes: a proxy that keeps a
        # connection alive is no model that answers.
        timeout = openai.Timeout(None, connect=_CONNECT_TIMEOUT_S)
        self._client = AsyncOpenAI(base_url=choice.url, api_key=key, max_retries=0, timeout=timeout)
        self.url = choice.without_secrets().url
        self._choice = choice
        self._way = _Way(choice.ask_by)
        self._way_works = False
        self._has_worked = False
        self._ends_streams = False
        self._has_called = False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _request(self, question: Question) -> tuple[Message, int]:
        self._meter.check_time()
        try:
            async with asyncio.timeout(self._meter.seconds_left):
                return await self._try(question)
        except TimeoutError as error:
            raise self._meter.out_of_time() from error

    async def _try(self, question: Question) -> tuple[Message, int]:
        """Send a question until it is answered, or the failure is one that lasts."""
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(_RETRIED),
                stop=stop_after_attempt(_ATTEMPTS),
                wait=self._wait,
                reraise=True,
            ):
                with attempt:
                    return await self._send(question)
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
                _hint(error.status_code, self._refused_setting(error)),
            ) from error
        except openai.OpenAIError as error:
            raise LanguageError(
                f"the model server at {self.url}: {_one_line(str(error))}"
            ) from error
        raise RuntimeError("unreachable: the last attempt returns or raises")

    async def _send(self, question: Question) -> tuple[Message, int]:
        """Send a question in the simplest way that has been needed so far."""
        while True:
            way = self._way
            try:
                answer = await self._post(question, way)
            except openai.APIStatusError as error:
                if way == self._way and not self._simplify(error):
                    raise
            else:
                # A choice of functions has no schema: it was asked for in plain words.
                tried = len(question.functions) == 1 or way.mode is not AskBy.JSON_SCHEMA
                self._way_works = self._way_works or (way == self._way and tried)
                self._has_worked = True
                self._note_calls(question, answer[0])
                return answer

    def _note_calls(self, question: Question, reply: Message) -> None:
        """Ask in plain words from now on where a choice of functions was passed over in silence.

        The fields of one function can be guessed from the question; what there is to call, not.
        """
        self._has_called = self._has_called or bool(reply.get("tool_calls"))
        ignored = self._way.mode is AskBy.FUNCTION_CALLS and not self._has_called
        if ignored and len(question.functions) > 1:
            logger.info("no function was called at %s: asking in plain words", self.url)
            self._way = self._way._replace(mode=AskBy.PLAIN_WORDS)

    def _simplify(self, error: openai.APIStatusError) -> bool:
        """Ask in a simpler way from now on; False where there is none, or no need for one."""
        # Some servers answer 500 to what they do not know, but only before it ever worked.
        unknown = error.status_code in (400, 422) or (
            error.status_code == 500 and not self._way_works
        )
        if not unknown or self._refused_setting(error):
            return False
        way = self._way
        if way.streamed and "stream_options" in error.message and way.counted:
            self._way = way._replace(counted=False)
        elif way.streamed and "stream" in error.message.lower():
            self._way = _Way(way.mode, streamed=False)
        else:
            rest = _WAYS[_WAYS.index(_Way(way.mode, way.streamed)) + 1 :]
            # What streamed once can stream: then it is the question that is refused.
            rest = [one for one in rest if one.streamed == way.streamed or not self._has_worked]
            if not rest:
                return False
            self._way = rest[0]
        logger.info("no %s at %s: %s", way, self.url, _one_line(error.message))
        self._way_works = False
        return True

    def _refused_setting(self, error: openai.APIStatusError) -> str:
        """Return the setting that a refusal names; empty where it names none."""
        return next((name for name in self._choice.body if name in error.message), "")

    async def _post(self, question: Question, way: _Way) -> tuple[Message, int]:
        """Send one HTTP request; return the message and its tokens."""
        messages, single = await question.illustrated(), len(question.functions) == 1
        schemas = {
            name: schema_of(name, kind, question.prompts)
            for name, kind in question.functions.items()
        }
        more: dict[str, Any] = {}
        match way.mode:
            case AskBy.FUNCTION_CALLS:
                about = [
                    {"name": name, "description": one["description"], "parameters": one}
                    for name, one in schemas.items()
                ]
                more["tools"] = [{"type": "function", "function": one} for one in about]
                wanted = {"type": "function", "function": {"name": question.function}}
                more["tool_choice"] = wanted if single else "required"
            case AskBy.JSON_SCHEMA if single:
                wanted = {"name": question.function, "schema": schemas[question.function]}
                more["response_format"] = {"type": "json_schema", "json_schema": wanted}
            case _:
                messages.append(text_message("system", question.order()))
        if way.streamed:
            more["stream"] = True
            if way.counted:
                more["stream_options"] = {"include_usage": True}
        meter = self._meter
        meter.begin_call(len(question.pictures))
        body = {"model": self.model, "messages": messages, **more, **self._choice.body}
        with tracer.start_as_current_span("sam3i.mllm", attributes={"model": self.model}):
            reply = await self._receive(body)
        tokens = reply.tokens
        if tokens is None:
            text = json.dumps([*question.messages, reply.message])
            tokens = len(text) // CHARACTERS_PER_TOKEN
            tokens += _TOKENS_PER_PICTURE * len(question.pictures)
        logger.info("%s answered %s: %d tokens", self.model, question.function, tokens)
        return reply.message, tokens

    async def _receive(self, body: dict[str, Any]) -> IncomingReply:
        """Send a request and read the reply, however long it takes while it keeps coming.

        Raises:
            openai.APIStatusError: the server refuses.
            Exception: one of `_RETRIED`.
        """
        reply, limit_s = IncomingReply(), self._choice.timeout_s
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(limit_s) as silence:
                stream = await self._client.post(
                    "/chat/completions",
                    cast_to=object,
                    body=body,
                    options={"headers": outgoing_headers()},
                    stream=True,
                    stream_cls=AsyncStream[object],
                )
                async with stream:
                    if _is_json(stream.response):
                        reply.add(json.loads(await stream.response.aread()))
                        return reply
                    async for piece in stream:
                        silence.reschedule(clock() + limit_s)
                        reply.add(piece)
        except TimeoutError as error:
            raise _BrokenReplyError(f"nothing came for {limit_s:g} s") from error
        except openai.APIError as error:
            # Of this class itself are the errors that come in the middle of a stream.
            if type(error) is openai.APIError:
                raise _BrokenReplyError(error.message) from error
            raise
        if not reply.finished:
            if not self._ends_streams:  # perhaps it never does
                self._way = self._way._replace(streamed=False)
            raise _BrokenReplyError("the reply broke off")
        self._ends_streams = True
        return reply

    def _wait(self, state: RetryCallState) -> float:
        """Wait as the server says, else exponentially longer; never beyond the run's time."""
        wanted = wait_random_exponential(_FIRST_WAIT_S, _LONGEST_WAIT_S)(state)
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, openai.APIStatusError):
            said = error.response.headers.get("retry-after", "")
            if said.isdigit():
                wanted = float(said)
        if wanted >= self._meter.seconds_left:
            raise self._meter.out_of_time()
        return wanted


def _is_json(response: httpx2.Response) -> bool:
    """Whether a reply came in one piece, asked for or not."""
    return response.headers.get("content-type", "").partition(";")[0].strip().endswith("/json")


def _one_line(text: str, limit: int = 200) -> str:
    return " ".join(text.split())[:limit]


def _hint(status: int, setting: str) -> str:
    """Return what to do about a refusal that names a setting, or an empty text."""
    match status:
        case 401 | 403:
            return f"set the server's key in {KEY_VARIABLES[0]}"
        case 404:
            return "check --mllm-url (it usually ends in /v1) and --mllm-model"
        case _ if setting in LanguageChoice.model_fields:
            return f"leave out --mllm-{setting.replace('_', '-')}, or set it by --mllm-extra"
        case _:
            return f"leave {setting!r} out of --mllm-extra" if setting else ""
