"""A model behind an OpenAI-compatible server: asked in the ways it can answer, and retried."""

import json
import logging
import os
from typing import Any

import openai
from openai import AsyncOpenAI
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.conversation import (
    CHARACTERS_PER_TOKEN,
    Conversation,
    Message,
    Question,
    fields_of,
)
from sam3i_agent.agent.language.replies import schema_of
from sam3i_agent.agent.telemetry import tracer
from sam3i_agent.core.errors import BudgetError, LanguageError
from sam3i_agent.prompts.templates import load_prompt

logger = logging.getLogger(__name__)

KEY_VARIABLES = ("SAM3I_MLLM_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key, the first one that is set."""
_NO_KEY = "none"
"""Local servers take any key, and the client wants one."""
_ATTEMPTS = 4
_CALL_TIMEOUT_S = 60.0
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 20.0
_MODES = ("function calls", "JSON schema", "plain words")
"""Ways to ask for fields, the strictest first."""
_RETRIED = (
    openai.RateLimitError,
    openai.InternalServerError,
    openai.APIConnectionError,  # timeouts too
    openai.APIResponseValidationError,
    json.JSONDecodeError,  # half an answer
)


class ChatClient(Conversation):
    """A multimodal model behind a chat-completions endpoint.

    It is asked to call one function; a server that refuses function calls is asked by JSON schema,
    and one that refuses this too, in plain words, from then on. In every mode any reply
    that holds the fields is accepted.

    Args:
        choice: the server and the model there.
        meter: what may be spent; every request is counted before it is sent.
        call_timeout_s: longest wait for one reply, in seconds; never beyond the run's time.
    """

    def __init__(
        self, choice: LanguageChoice, meter: Meter, *, call_timeout_s: float = _CALL_TIMEOUT_S
    ) -> None:
        super().__init__(choice.model, meter)
        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), _NO_KEY)
        self._client = AsyncOpenAI(base_url=choice.url, api_key=key, max_retries=0)
        self.url = choice.url
        self._call_timeout_s = call_timeout_s
        self._mode = _MODES[0]
        self._mode_works = False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _request(self, question: Question) -> tuple[Message, int]:
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
                _hint(error.status_code),
            ) from error
        except openai.OpenAIError as error:
            raise LanguageError(
                f"the model server at {self.url}: {_one_line(str(error))}"
            ) from error
        raise RuntimeError("unreachable: the last attempt returns or raises")

    async def _send(self, question: Question) -> tuple[Message, int]:
        while True:
            try:
                answer = await self._post(question)
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

    async def _post(self, question: Question) -> tuple[Message, int]:
        """Send one HTTP request in the present mode; return the message and its tokens."""
        function, kind = question.function, question.kind
        messages, schema = await question.illustrated(), schema_of(function, kind)
        more: dict[str, Any] = {}
        match self._mode:
            case "function calls":
                about = {
                    "name": function,
                    "description": schema["description"],
                    "parameters": schema,
                }
                more["tools"] = [{"type": "function", "function": about}]
                more["tool_choice"] = {"type": "function", "function": {"name": function}}
            case "JSON schema":
                wanted = {"name": function, "schema": schema}
                more["response_format"] = {"type": "json_schema", "json_schema": wanted}
            case _:
                order = load_prompt("fields").render(count=1, fields=fields_of(function, kind))
                messages.append({"role": "system", "content": order})
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
            counted = len(json.dumps([messages, message])) // CHARACTERS_PER_TOKEN
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
