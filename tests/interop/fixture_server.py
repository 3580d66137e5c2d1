"""The server with the fixture tools and resources that the public conformance suite calls.

Their names and answers are the suite's; the server, its transport and its settings are ours.

python -m tests.interop.fixture_server --http HOST:PORT
"""

import asyncio
import io
import json
import sys
import warnings
from typing import Annotated, Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image, Resolve, Sample
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import (
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from PIL import Image as PillowImage
from pydantic import BaseModel, Field

from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.http import http_app, listen, parse_address, server_config
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox

PAUSE_S = 0.05


class Person(BaseModel):
    """What the suite's elicitation asks for."""

    username: str
    email: str


def _png() -> bytes:
    buffer = io.BytesIO()
    PillowImage.new("RGB", (1, 1), "red").save(buffer, "PNG")
    return buffer.getvalue()


def _form(message: str, **fields: str) -> ElicitRequest:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": list(fields),
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _question(text: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(text=text))
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[message], max_tokens=100)
    )


def _ask_capital() -> Sample:
    message = SamplingMessage(role="user", content=TextContent(text="Capital of France?"))
    return Sample([message], max_tokens=100)


def _text(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)])


def _resource(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def add_fixtures(server: MCPServer[Any]) -> None:
    """Register them all."""
    _add_contents(server)
    _add_back_channel(server)
    _add_round_trips(server)
    _add_resources(server)
    _add_prompts(server)


def _add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt()
    def test_simple_prompt() -> str:
        """Return one message."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """Return a message with its arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(
        uri: Annotated[str, Field(alias="resourceUri")],
    ) -> list[UserMessage]:
        """Return a message with a resource."""
        resource = _resource(uri, "text/plain", "Embedded resource content for testing.")
        return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[UserMessage]:
        """Return a message with a picture."""
        return [UserMessage(Image(data=_png(), format="png")), UserMessage("Please analyze it.")]


def _add_contents(server: MCPServer[Any]) -> None:
    @server.tool()
    def test_simple_text() -> CallToolResult:
        """Return text."""
        return _text("This is a simple text response for testing.")

    @server.tool()
    def test_image_content() -> CallToolResult:
        """Return a picture."""
        return CallToolResult(content=[Image(data=_png(), format="png").to_image_content()])

    @server.tool()
    def test_embedded_resource() -> CallToolResult:
        """Return a resource."""
        text = "This is an embedded resource content."
        return CallToolResult(content=[_resource("test://embedded-resource", "text/plain", text)])

    @server.tool()
    def test_multiple_content_types() -> CallToolResult:
        """Return text, a picture and a resource."""
        data = json.dumps({"test": "data", "value": 123})
        return CallToolResult(
            content=[
                TextContent(text="Multiple content types test:"),
                Image(data=_png(), format="png").to_image_content(),
                _resource("test://mixed-content-resource", "application/json", data),
            ]
        )

    @server.tool()
    def test_error_handling() -> CallToolResult:
        """Fail."""
        raise ToolError("This tool intentionally returns an error for testing")


def _add_back_channel(server: MCPServer[Any]) -> None:
    @server.tool()
    async def test_tool_with_logging(ctx: Context[Any, Any]) -> CallToolResult:
        """Log three lines."""
        for line in ("execution started", "processing data", "execution completed"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MCPDeprecationWarning)
                sending = ctx.session.send_log_message(
                    "info", f"Tool {line}", related_request_id=ctx.request_id
                )
            await sending
            await asyncio.sleep(PAUSE_S)
        return _text("done")

    @server.tool()
    async def test_tool_with_progress(ctx: Context[Any, Any]) -> CallToolResult:
        """Report three steps."""
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100)
            await asyncio.sleep(PAUSE_S)
        return _text("done")

    @server.tool()
    async def test_sampling(prompt: str, ctx: Context[Any, Any]) -> CallToolResult:
        """Ask the client's model."""
        message = SamplingMessage(role="user", content=TextContent(text=prompt))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            asking = ctx.session.create_message(
                [message], max_tokens=100, related_request_id=ctx.request_id
            )
        answer = await asking
        text = answer.content.text if isinstance(answer.content, TextContent) else ""
        return _text(f"LLM response: {text}")

    @server.tool()
    async def test_elicitation(message: str, ctx: Context[Any, Any]) -> CallToolResult:
        """Ask the user."""
        answer = await ctx.elicit(message, Person)
        return _text(f"User response: {answer.model_dump_json()}")


def _add_round_trips(server: MCPServer[Any]) -> None:
    @server.tool()
    def test_input_required_result_elicitation(
        ctx: Context[Any, Any],
    ) -> CallToolResult | InputRequiredResult:
        """Ask the user by returning."""
        answer = (ctx.input_responses or {}).get("user_name")
        name = (getattr(answer, "content", None) or {}).get("name")
        if not isinstance(name, str):
            form = _form("What is your name?", name="string")
            return InputRequiredResult(input_requests={"user_name": form})
        return _text(f"Hello, {name}!")

    @server.tool()
    def test_input_required_result_sampling(
        ctx: Context[Any, Any],
    ) -> CallToolResult | InputRequiredResult:
        """Ask the client's model by returning."""
        answer = (ctx.input_responses or {}).get("capital_question")
        if answer is None:
            question = _question("What is the capital of France?")
            return InputRequiredResult(input_requests={"capital_question": question})
        return _text(answer.content.text)

    @server.tool()
    def test_input_required_result_capabilities(
        ctx: Context[Any, Any],
    ) -> CallToolResult | InputRequiredResult:
        """Ask only for what the client can do."""
        able = ctx.client_capabilities
        requests: dict[str, Any] = {}
        if able is not None and able.elicitation is not None:
            requests["user_name"] = _form("What is your name?", name="string")
        if able is not None and able.sampling is not None:
            requests["greeting"] = _question("Generate a greeting")
        return InputRequiredResult(input_requests=requests) if requests else _text("nothing to ask")

    @server.tool()
    def test_missing_capability(
        answer: Annotated[CreateMessageResult, Resolve(_ask_capital)],
    ) -> CallToolResult:
        """Need what the client has not declared."""
        return _text("asked")

    @server.tool()
    def test_input_required_result_request_state(
        ctx: Context[Any, Any],
    ) -> CallToolResult | InputRequiredResult:
        """Get the state back."""
        return _confirmed(ctx)

    @server.tool()
    def test_input_required_result_tampered_state(
        ctx: Context[Any, Any],
    ) -> CallToolResult | InputRequiredResult:
        """Never see a state that was changed."""
        return _confirmed(ctx)

    @server.tool()
    def test_input_required_result_multi_round(
        ctx: Context[Any, Any],
    ) -> CallToolResult | InputRequiredResult:
        """Ask twice."""
        if ctx.request_state is None:
            form = _form("Step 1: What is your name?", name="string")
            return InputRequiredResult(input_requests={"step1": form}, request_state="round 1")
        if ctx.request_state == "round 1":
            form = _form("Step 2: What is your favorite color?", color="string")
            return InputRequiredResult(input_requests={"step2": form}, request_state="round 2")
        return _text("both answered")


def _confirmed(ctx: Context[Any, Any]) -> CallToolResult | InputRequiredResult:
    if ctx.request_state != "kept":
        form = _form("Please confirm", ok="boolean")
        return InputRequiredResult(input_requests={"confirm": form}, request_state="kept")
    return _text("state-ok")


def _add_resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """Text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """A picture."""
        return _png()

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002 (the template's variable)
        """Data of an id."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def main() -> None:
    """Serve until stopped."""
    host, port = parse_address(sys.argv[2])
    toolbox = Toolbox(SegmentationService(ModelChoice(device="cpu")), ImageSource(ResultStore()))
    server = build_server(toolbox)
    add_fixtures(server)
    app = http_app(server, host, port)
    uvicorn.Server(server_config(app)).run(sockets=[listen(host, port)])


if __name__ == "__main__":
    main()
