"""Configuration of MCP clients: the snippet for this server, and merging it into their files."""

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import write_whole

SERVER_NAME = "sam3i"
_GOOSE_TIMEOUT_S = 300
Entry = dict[str, Any]
"""`command` and `args`, or what a client has in their place."""


class FileKind(StrEnum):
    """How a client's file is written."""

    JSON = "json"
    TOML = "toml"
    YAML = "yaml"


def _for_zed(entry: Entry) -> Entry:
    return {"source": "custom", **entry}


def _for_goose(entry: Entry) -> Entry:
    return {
        "name": SERVER_NAME,
        "type": "stdio",
        "enabled": True,
        "cmd": entry["command"],
        "args": entry["args"],
        "timeout": _GOOSE_TIMEOUT_S,
    }


@dataclass(frozen=True)
class Client:
    """Where a client keeps its servers."""

    key: str
    """The object that holds them."""
    paths: dict[str, str]
    """By platform (`linux`, `darwin`, `win32`); relative ones belong to a project."""
    kind: FileKind = FileKind.JSON
    shape: Callable[[Entry], Entry] = dict
    """Makes an entry of its form of `command` and `args`."""

    def path(self) -> Path:
        """Return the configuration file on this machine."""
        name = self.paths.get(sys.platform) or self.paths["linux"]
        return Path(os.path.expandvars(name)).expanduser()


_CLINE = "globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"
CLIENTS: dict[str, Client] = {
    "claude-desktop": Client(
        "mcpServers",
        {
            "linux": "~/.config/Claude/claude_desktop_config.json",
            "darwin": "~/Library/Application Support/Claude/claude_desktop_config.json",
            "win32": "%APPDATA%/Claude/claude_desktop_config.json",
        },
    ),
    "claude-code": Client("mcpServers", {"linux": ".mcp.json"}),
    "cline": Client(
        "mcpServers",
        {
            "linux": f"~/.config/Code/User/{_CLINE}",
            "darwin": f"~/Library/Application Support/Code/User/{_CLINE}",
            "win32": f"%APPDATA%/Code/User/{_CLINE}",
        },
    ),
    "codex": Client("mcp_servers", {"linux": "~/.codex/config.toml"}, FileKind.TOML),
    "cursor": Client("mcpServers", {"linux": "~/.cursor/mcp.json"}),
    "gemini-cli": Client("mcpServers", {"linux": "~/.gemini/settings.json"}),
    "goose": Client(
        "extensions",
        {
            "linux": "~/.config/goose/config.yaml",
            "win32": "%APPDATA%/Block/goose/config/config.yaml",
        },
        FileKind.YAML,
        _for_goose,
    ),
    "lm-studio": Client("mcpServers", {"linux": "~/.lmstudio/mcp.json"}),
    "vscode": Client("servers", {"linux": ".vscode/mcp.json"}),
    "windsurf": Client("mcpServers", {"linux": "~/.codeium/windsurf/mcp_config.json"}),
    "zed": Client(
        "context_servers",
        {"linux": "~/.config/zed/settings.json", "win32": "%APPDATA%/Zed/settings.json"},
        shape=_for_zed,
    ),
}


def find_client(name: str) -> Client:
    """Return a client by its name.

    Raises:
        InputError: it is not known.
    """
    if name not in CLIENTS:
        raise InputError(f"no client {name!r} is known", f"one of {', '.join(CLIENTS)}")
    return CLIENTS[name]


def entry_of(arguments: list[str]) -> Entry:
    """Return how this server is started, as most clients have it.

    Args:
        arguments: of `sam3i serve`.
    """
    command = shutil.which("sam3i") or str(Path(sys.executable).with_name("sam3i"))
    return {"command": command, "args": ["serve", *arguments]}


def snippet(client: Client, arguments: list[str]) -> str:
    """Return what belongs into the client's file.

    Args:
        client: whose.
        arguments: of `sam3i serve`.
    """
    entry = client.shape(entry_of(arguments))
    if client.kind is FileKind.TOML:
        return _toml_table(client, entry)
    return _dump(client, {client.key: {SERVER_NAME: entry}})


def read_entry(client: Client, path: Path) -> Entry:
    """Return this server's entry in a client's file, with `command` and `args`.

    Raises:
        InputError: the file cannot be read, or has no such entry.
    """
    servers = _read(client, path, _read_text(path)).get(client.key, {})
    entry = servers.get(SERVER_NAME)
    if not isinstance(entry, dict):
        raise InputError(f"{str(path)!r} has no server {SERVER_NAME!r}", "sam3i mcp config --write")
    return {"command": entry.get("cmd"), **entry}


def merge(client: Client, path: Path, arguments: list[str]) -> Path | None:
    """Add the server to a client's file and keep all else; the old file becomes a backup.

    Returns:
        The backup, or None where there was no file.

    Raises:
        InputError: the file is there and cannot be understood, or would lose its comments.
        StorageError: it cannot be written.
    """
    old = _read_text(path) if path.exists() else ""
    content = _read(client, path, old)
    servers = content.get(client.key, {})
    if client.kind is FileKind.TOML:
        if SERVER_NAME in servers:
            raise _unmergeable(path, f"it has a server {SERVER_NAME!r} already")
        merged = f"{old.rstrip()}\n\n{snippet(client, arguments)}".lstrip()
    else:
        entry = client.shape(entry_of(arguments))
        merged = _dump(client, {**content, client.key: {**servers, SERVER_NAME: entry}})
    try:
        backup = None
        path.parent.mkdir(parents=True, exist_ok=True)
        if old:
            backup = path.with_name(path.name + ".bak")
            shutil.copy2(path, backup)
        write_whole(path, merged.rstrip() + "\n")
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    return backup


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise _unmergeable(path, error) from error
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error


def _read(client: Client, path: Path, text: str) -> dict[str, Any]:
    """Return the values of a client's file; comments are kept in TOML alone."""
    try:
        if not text.strip():
            return {}
        if client.kind is FileKind.TOML:
            content: Any = tomllib.loads(text)
        elif client.kind is FileKind.YAML:
            if any(line.lstrip().startswith("#") for line in text.splitlines()):
                raise ValueError("its comments would be lost")
            content = yaml.safe_load(text)
        else:
            content = json.loads(text)
        if not isinstance(content, dict) or not isinstance(content.get(client.key, {}), dict):
            raise ValueError("it is no object of servers")
    except (ValueError, yaml.YAMLError) as error:
        raise _unmergeable(path, error) from error
    return content


def _unmergeable(path: Path, why: object) -> InputError:
    return InputError(
        f"{str(path)!r} cannot be merged into: {why}", "add the printed snippet by hand"
    )


def _dump(client: Client, content: dict[str, Any]) -> str:
    if client.kind is FileKind.YAML:
        return yaml.safe_dump(content, sort_keys=False)
    return json.dumps(content, indent=2)


def _toml_table(client: Client, entry: Entry) -> str:
    """Return a table; strings and lists of JSON are TOML's too."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in entry.items()]
    return "\n".join([f"[{client.key}.{SERVER_NAME}]", *lines]) + "\n"
