"""Checks a client's entry for this server, by starting it as the client would."""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import anyio
from mcp import Client as McpClient
from mcp import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.mcp.hosts.clients import Client, Entry, read_entry

START_S = 60
"""Within which a server has to answer; hosts wait about as long."""
SLOW_S = 5.0
"""From here on some hosts give up."""
_SHOWN_LINES = 5
_ROOT = "--root"
_CAPABILITIES = "describe_capabilities"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    is_well: bool
    text: str


async def examine(client: Client, path: Path) -> list[Finding]:
    """Return what is right and wrong with a client's entry, in the order of its start.

    Args:
        client: whose.
        path: of its file.
    """
    try:
        entry = read_entry(client, path)
    except InputError as error:
        return [Finding(False, str(error))]
    findings = [Finding(True, f"{str(path)!r} has the server"), *_check_entry(entry)]
    if all(one.is_well for one in findings):
        findings += await _start(entry)
    return findings


def _check_entry(entry: Entry) -> Iterator[Finding]:
    command, arguments = entry.get("command"), entry.get("args", [])
    if not isinstance(command, str) or not command:
        yield Finding(False, "the entry has no command")
        return
    if shutil.which(command) is None:
        # Hosts that are started from a desktop have not the PATH of a shell.
        yield Finding(False, f"there is no program {command!r}: give its whole path")
    elif not Path(command).is_absolute():
        yield Finding(True, f"{command!r} is found here; a host started from a desktop may not")
    if not isinstance(arguments, list) or not all(isinstance(one, str) for one in arguments):
        yield Finding(False, "args is no list of texts")
        return
    for flag, value in pairwise(arguments):
        if flag == _ROOT and not Path(value).is_dir():
            yield Finding(False, f"{_ROOT} {value!r} is no folder")


async def _start(entry: Entry) -> list[Finding]:
    parameters = StdioServerParameters(
        command=entry["command"], args=entry.get("args", []), env=entry.get("env")
    )
    findings: list[Finding] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        started = time.perf_counter()
        try:
            with anyio.fail_after(START_S):
                async with McpClient(stdio_client(parameters, errlog=log)) as client:
                    seconds = time.perf_counter() - started
                    said = f"it answers after {seconds:.1f} s"
                    findings.append(Finding(seconds < SLOW_S, said))
                    findings += [one async for one in _ask(client)]
        except (OSError, MCPError, ExceptionGroup) as error:
            findings.append(Finding(False, f"it does not start: {_reason(error)}"))
        log.seek(0)
        last = log.read().splitlines()[-_SHOWN_LINES:]
    if last and not all(one.is_well for one in findings):
        findings.append(Finding(False, f"it said: {' / '.join(last)}"))
    return findings


async def _ask(client: McpClient) -> AsyncIterator[Finding]:
    tools = [one.name for one in (await client.list_tools()).tools]
    yield Finding(bool(tools), f"its tools are {', '.join(tools) or 'none'}")
    if _CAPABILITIES in tools:
        answer = await client.call_tool(_CAPABILITIES, {})
        if answer.is_error:
            yield Finding(False, f"its model cannot be used: {answer.content}")
        else:
            yield Finding(True, f"its model is {(answer.structured_content or {}).get('model')}")


def _reason(error: BaseException) -> str:
    """Return the first cause in a group of errors, in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"no answer within {START_S} s"
    return str(error) or type(error).__name__
