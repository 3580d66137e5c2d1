"""What a tool says to the client that called it, and asks of its model and its user.

Its model is asked by sampling, its user by elicitation.

Both protocol eras are served by one flow. Where the client can be asked during a call, it is. Where
it cannot (2026-07-28), the call ends with an `InputRequiredResult` and comes again with the
answers: it then takes the same steps, with all earlier answers at hand, up to the next question.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    ImageContent,
    InputRequiredResult,
    Result,
    SamplingMessage,
    TextContent,
)
from mcp_types.version import is_version_at_least

from sam3i_agent.agent.instructions import speaks_of_one
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.client_model import (
    ANSWER_TOKENS,
    AnswersNeededError,
    ClientModel,
    keep_answers,
    merge,
)
from sam3i_agent.agent.language.conversation import Message, Question
from sam3i_agent.agent.language.ledger import Entries, MemoryLedger
from sam3i_agent.agent.language.mllm import MllmLanguage
from sam3i_agent.agent.language.side import LanguageSide
from sam3i_agent.core.contracts import SegmentationResult
from sam3i_agent.tools.mcp.client_log import has_client
from sam3i_agent.tools.results.choices import ALL, choices_of, narrow

_INPUT_REQUIRED_SINCE = "2026-07-28"

R = TypeVar("R", bound=Result)
Outcome = TypeVar("Outcome")


class RoundTripNeededError(Exception):
    """The call ends here and comes again with the answers.

    Args:
        result: what to return instead of a result.
    """

    def __init__(self, result: InputRequiredResult) -> None:
        super().__init__("the client has to answer first")
        self.result = result


class Dialogue:
    """The client's side of one tool call.

    Args:
        ctx: of the call.
        use_model: whether the client's model may be asked, if it offers one.
    """

    def __init__(self, ctx: Context[Any, Any], use_model: bool) -> None:
        self._ctx = ctx
        capabilities = ctx.client_capabilities
        self.has_model = use_model and capabilities is not None and bool(capabilities.sampling)
        elicitation = capabilities.elicitation if capabilities is not None else None
        # A bare `elicitation: {}` is the older way to say that forms are shown.
        self.has_user = elicitation is not None and (
            elicitation.form is not None or elicitation.url is None
        )
        version = ctx.protocol_version
        self._returns = version is not None and is_version_at_least(version, _INPUT_REQUIRED_SINCE)
        state = ctx.request_state if self._returns else None
        self.ledger = MemoryLedger(Entries.model_validate_json(state) if state else None)
        self._responses = dict(ctx.input_responses or {}) if self._returns else {}
        self._refusal = ""

    def language(self, meter: Meter) -> LanguageSide:
        """Return the client's model as the agent's language side."""
        return MllmLanguage(ClientModel(meter, self._refusal))

    async def finish(self, attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Repeat `attempt` until the client's model has answered all it asks.

        Raises:
            RoundTripNeededError: the client has to be asked by returning.
        """
        while True:
            try:
                return await attempt()
            except AnswersNeededError as need:
                await self._ask_model(need.questions)

    async def choose(self, result: SegmentationResult, overlay_uri: str) -> SegmentationResult:
        """Ask the user which one is meant, where the words mean one thing and several fit.

        Args:
            result: with all that fit.
            overlay_uri: of the picture that shows them numbered.

        Returns:
            The result with what the user chose; all of it, with a warning, where there is nobody to
            ask or no choice is made.

        Raises:
            RoundTripNeededError: the client has to be asked by returning.
        """
        if result.count < 2 or not speaks_of_one(result.instruction):
            return result
        choices = choices_of(result)
        if not self.has_user:
            return narrow(result, None, "nobody could be asked which one is meant")
        message = (
            f"{result.count} things fit {result.instruction!r}. Which one is meant? "
            f"They are numbered on {overlay_uri}"
        )
        schema = {
            "type": "object",
            "properties": {
                "which": {"type": "string", "title": "Which one?", "enum": [*choices, ALL]}
            },
            "required": ["which"],
        }
        request = ElicitRequest(
            params=ElicitRequestFormParams(message=message, requested_schema=schema)
        )
        try:
            answer = await self._obtain("choice", choices, request, ElicitResult)
        except MCPError as error:
            return narrow(
                result, None, f"the client could not ask the user ({error.error.message})"
            )
        which = (answer.content or {}).get("which") if answer.action == "accept" else None
        if which == ALL:
            return result
        if which not in choices:
            return narrow(result, None, "the user did not choose")
        return narrow(result, choices.index(str(which)), "")

    async def _ask_model(self, questions: Sequence[Question]) -> None:
        system, *messages = merge(questions)
        request = CreateMessageRequest(
            params=CreateMessageRequestParams(
                messages=[one for message in messages for one in _sampling_messages(message)],
                system_prompt=system["content"],
                max_tokens=ANSWER_TOKENS * len(questions),
            )
        )
        keys = [question.key for question in questions]
        try:
            answer = await self._obtain("model", keys, request, CreateMessageResult)
        except MCPError as error:
            self._refusal = f"the client's model gave no answer: {error.error.message}"
            return
        text = answer.content.text if isinstance(answer.content, TextContent) else ""
        keep_answers(self.ledger, questions, text)

    async def _obtain(self, name: str, about: Sequence[str], request: Any, kind: type[R]) -> R:
        """Return the answer to a request, which its subject names."""
        key = f"{name}-{hashlib.sha256(repr(list(about)).encode()).hexdigest()[:16]}"
        if key in self._responses:
            given = self._responses.pop(key)
            return kind.model_validate(given.model_dump(by_alias=True, exclude_none=True))
        if self._returns:
            state = self.ledger.entries.model_dump_json()
            raise RoundTripNeededError(
                InputRequiredResult(input_requests={key: request}, request_state=state)
            )
        related = ServerMessageMetadata(related_request_id=self._ctx.request_id)
        return await self._ctx.session.send_request(request, kind, metadata=related)


def dialogue_with(ctx: Context[Any, Any], use_model: bool) -> Dialogue | None:
    """Return the dialogue with the client that called, if a client did; see `Dialogue`."""
    return Dialogue(ctx, use_model) if has_client(ctx) else None


def progress_to(ctx: Context[Any, Any]) -> Callable[[str], None]:
    """Return a reporter of steps, each a progress notification with the line as its message."""
    if not has_client(ctx):
        return lambda line: None
    loop = asyncio.get_running_loop()
    sent: list[asyncio.Task[None]] = []

    def report(line: str) -> None:
        step = len(sent) + 1
        sent.append(loop.create_task(ctx.report_progress(step, None, line)))

    return report


def _sampling_messages(message: Message) -> list[SamplingMessage]:
    """Return one message for each part: the older protocols know no lists of them."""
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [SamplingMessage(role=message["role"], content=_block(part)) for part in parts]


def _block(part: Message) -> TextContent | ImageContent:
    if part["type"] == "text":
        return TextContent(text=part["text"])
    head, data = part["image_url"]["url"].split(",", 1)
    mime_type = head.removeprefix("data:").removesuffix(";base64")
    return ImageContent(data=data, mime_type=mime_type)
