"""Links that install the server with one click, in the programs that have them."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.mcp.hosts.clients import SERVER_NAME, Entry, entry_of

_DESCRIPTION = "Segment pictures by instruction"


def install_link(client: str, arguments: list[str]) -> str:
    """Return a link that a program opens to add the server as it is installed here.

    Args:
        client: by its name.
        arguments: of `sam3i serve`.

    Raises:
        InputError: the program has no such links.
    """
    if client not in LINKS:
        raise InputError(f"no links of {client!r} are known", f"one of {', '.join(LINKS)}")
    return LINKS[client](entry_of(arguments))


def _cursor(entry: Entry) -> str:
    values = urlencode({"name": SERVER_NAME, "config": _base64(entry)})
    return f"cursor://anysphere.cursor-deeplink/mcp/install?{values}"


def _vscode(entry: Entry) -> str:
    return f"vscode:mcp/install?{quote(json.dumps({'name': SERVER_NAME, **entry}))}"


def _lm_studio(entry: Entry) -> str:
    return f"lmstudio://add_mcp?{urlencode({'name': SERVER_NAME, 'config': _base64(entry)})}"


def _goose(entry: Entry) -> str:
    values = [("cmd", entry["command"]), *(("arg", one) for one in entry["args"])]
    values += [("id", SERVER_NAME), ("name", SERVER_NAME), ("description", _DESCRIPTION)]
    return f"goose://extension?{urlencode(values, quote_via=quote)}"


def _base64(entry: Entry) -> str:
    return base64.b64encode(json.dumps(entry).encode()).decode()


LINKS: dict[str, Callable[[Entry], str]] = {
    "cursor": _cursor,
    "goose": _goose,
    "lm-studio": _lm_studio,
    "vscode": _vscode,
}
