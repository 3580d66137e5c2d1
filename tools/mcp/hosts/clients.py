"""Configuration of MCP clients: the snippet for this server, and merging it into their files."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError, StorageError
from sam3i_agent.core.files import write_whole

SERVER_NAME = "sam3i"


@dataclass(frozen=True)
class Client:
    """Where a client keeps its servers."""

    key: str
    """The object that holds them."""
    paths: dict[str, str]
    """By platform (`linux`, `darwin`, `win32`); relative ones belong to a project."""

    def path(self) -> Path:
        """Return the configuration file on this machine."""
        name = self.paths.get(sys.platform) or self.paths["linux"]
        return Path(os.path.expandvars(name)).expanduser()


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
    "cursor": Client("mcpServers", {"linux": "~/.cursor/mcp.json"}),
    "vscode": Client("servers", {"linux": ".vscode/mcp.json"}),
    "windsurf": Client("mcpServers", {"linux": "~/.codeium/windsurf/mcp_config.json"}),
}


def find_client(name: str) -> Client:
    """Return a client by its name.

    Raises:
        InputError: it is not known.
    """
    if name not in CLIENTS:
        raise InputError(f"no client {name!r} is known", f"one of {', '.join(CLIENTS)}")
    return CLIENTS[name]


def snippet(client: Client, arguments: list[str]) -> dict[str, Any]:
    """Return what belongs into the client's file.

    Args:
        client: whose.
        arguments: of `sam3i serve`.
    """
    command = shutil.which("sam3i") or str(Path(sys.executable).with_name("sam3i"))
    entry = {"command": command, "args": ["serve", *arguments]}
    return {client.key: {SERVER_NAME: entry}}


def merge(client: Client, path: Path, arguments: list[str]) -> Path | None:
    """Add the server to a client's file and keep all else; the old file becomes a backup.

    Returns:
        The backup, or None where there was no file.

    Raises:
        InputError: the file is there and no JSON object (comments are not understood).
        StorageError: it cannot be written.
    """
    try:
        old = path.read_text("utf-8") if path.exists() else ""
        content = json.loads(old) if old.strip() else {}
        if not isinstance(content, dict) or not isinstance(content.get(client.key, {}), dict):
            raise ValueError("it is no JSON object of servers")
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{str(path)!r} cannot be merged into: {error}", "add the printed snippet by hand"
        ) from error
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    servers = {**content.get(client.key, {}), **snippet(client, arguments)[client.key]}
    try:
        backup = None
        path.parent.mkdir(parents=True, exist_ok=True)
        if old:
            backup = path.with_name(path.name + ".bak")
            shutil.copy2(path, backup)
        merged = {**content, client.key: servers}
        write_whole(path, json.dumps(merged, indent=2) + "\n")
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    return backup
