"""Answers that begin as late as can be: until then a proxy may ask another front end."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HELD_S = 45.0
"""In which a proxy hears nothing; many give up after a minute of silence."""
_COMMENT = b":"
"""What an event that says nothing begins with, sent to keep the connection."""


class LateAnswers:
    """Holds the head of an answer back while nothing but comments would follow it.

    Where a process dies before a byte of the answer has left, nginx asks another one, and the
    client sees an answer, not a connection that breaks.

    Args:
        app: whose answers are held.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; streams that were not asked for anything begin at once."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        end = time.monotonic() + _HELD_S
        held: list[Message] = []

        async def send_late(message: Message) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            if held:
                if message.get("body", b"").startswith(_COMMENT) and time.monotonic() < end:
                    return
                await send(held.pop())
            await send(message)

        await self._app(scope, receive, send_late)
