"""A reply that arrives in pieces, or whole: put together whatever a server leaves out.

The client library's own accumulator fits its maker's server. It joins what others repeat in every
piece (the role, a function's name), ends in an error where a call has no index, loses a token count
that is not in the last piece, and copies all that has come so far for each new token.
"""

import json
from typing import Any

from sam3i_agent.agent.language.conversation import THOUGHT_FIELDS

_TEXT_FIELDS = ("content", "refusal", *THOUGHT_FIELDS)


class IncomingReply:
    """Takes completions and pieces of them, as decoded from JSON."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._calls: list[_Call] = []
        self._open: dict[int, _Call] = {}
        """By index: the call that more arguments belong to."""
        self.tokens: int | None = None
        """As the server counts them; None where it does not."""
        self.finished = False
        """Whether the server has said why it stops."""

    def add(self, piece: Any) -> None:
        """Take a completion, or a piece of one; what has another form is passed over."""
        if not isinstance(piece, dict):
            return
        usage = piece.get("usage")
        total = usage.get("total_tokens") if isinstance(usage, dict) else None
        if isinstance(total, int):
            self.tokens = total
        for choice in _dicts(piece.get("choices"))[:1]:
            self.finished = self.finished or bool(choice.get("finish_reason"))
            for message in _dicts([choice.get("delta") or choice.get("message")]):
                self._add_message(message)

    @property
    def message(self) -> dict[str, Any]:
        """What has come so far, as a chat-completions message."""
        message: dict[str, Any] = {"role": "assistant"}
        message |= {name: "".join(parts) for name, parts in self._texts.items()}
        if self._calls:
            message["tool_calls"] = [one.whole for one in self._calls]
        return message

    def _add_message(self, message: dict[str, Any]) -> None:
        for name in _TEXT_FIELDS:
            value = message.get(name)
            if isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
        for part in _dicts(message.get("content")):  # some servers part thoughts and answer
            name = "content" if part.get("type") == "text" else THOUGHT_FIELDS[0]
            if isinstance(part.get("text"), str):
                self._texts.setdefault(name, []).append(part["text"])
        for position, call in enumerate(_dicts(message.get("tool_calls"))):
            self._add_call(position, call)

    def _add_call(self, position: int, piece: dict[str, Any]) -> None:
        index = piece.get("index")
        index = index if isinstance(index, int) else position
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        call = self._open.get(index)
        id_ = str(piece.get("id") or "")
        # Some servers give every call the index 0; a new one has both a name and another id.
        if call is None or (function.get("name") and id_ and id_ != call.id):
            call = _Call(id_)
            self._calls.append(call)
            self._open[index] = call
        call.name = call.name or str(function.get("name") or "")
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        if isinstance(arguments, str):
            call.arguments.append(arguments)


class _Call:
    """A call of a function whose arguments are coming in."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.name = ""
        self.arguments: list[str] = []

    @property
    def whole(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
