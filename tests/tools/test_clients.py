"""Client configuration is merged without losing anything, links carry it, and faults are named."""

import base64
import json
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import pytest
import yaml

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.mcp.hosts.clients import (
    CLIENTS,
    FileKind,
    find_client,
    merge,
    read_entry,
    snippet,
)
from sam3i_agent.tools.mcp.hosts.doctor import Finding, examine
from sam3i_agent.tools.mcp.hosts.links import LINKS, install_link

READERS = {FileKind.JSON: json.loads, FileKind.TOML: tomllib.loads, FileKind.YAML: yaml.safe_load}
ARGUMENTS = ["serve", "--root", "/my pictures"]


@pytest.mark.parametrize("name", CLIENTS)
def test_every_client_gets_a_runnable_command(name: str):
    client = CLIENTS[name]
    values = READERS[client.kind](snippet(client, ARGUMENTS[1:]))
    entry = values[client.key]["sam3i"]
    assert entry["args"] == ARGUMENTS
    assert entry.get("command", entry.get("cmd")).endswith("sam3i")


def test_an_unknown_client_is_told_the_known_ones():
    with pytest.raises(InputError, match="vscode"):
        find_client("emacs")


@pytest.mark.parametrize("name", CLIENTS)
def test_merging_keeps_other_servers_and_settings(name: str, tmp_path: Path):
    client, path = CLIENTS[name], tmp_path / "deep" / "config"
    assert merge(client, path, []) is None
    path.unlink()
    before: dict[str, Any] = {"inputs": [1], client.key: {"other": {"command": "x"}}}
    if client.kind is FileKind.TOML:
        text = '# mine\ninputs = [1]\n\n[mcp_servers.other]\ncommand = "x"\n'
    elif client.kind is FileKind.YAML:
        text = yaml.safe_dump(before)
    else:
        text = json.dumps(before)
    path.write_text(text)
    backup = merge(client, path, ARGUMENTS[1:])
    after = READERS[client.kind](path.read_text())
    assert after["inputs"] == [1] and after[client.key]["other"] == {"command": "x"}
    assert read_entry(client, path)["args"] == ARGUMENTS
    assert backup is not None and backup.read_text() == text
    if client.kind is FileKind.TOML:
        assert path.read_text().startswith("# mine")
        with pytest.raises(InputError, match="already"):
            merge(client, path, [])
    else:
        merge(client, path, [])  # again: the newer entry stands
        assert read_entry(client, path)["args"] == ["serve"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vscode", "{ // a comment\n}"), ("vscode", "[]"), ("vscode", '{"servers": 5}'),
        ("vscode", "{"), ("codex", "a = "), ("codex", "mcp_servers = 5"), ("goose", "a: [" ),
        ("goose", "# mine\nextensions: {}\n"), ("goose", "- 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_is_left_alone(tmp_path: Path, name: str, text: str):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(InputError, match="by hand"):
        merge(find_client(name), path, [])
    assert path.read_text() == text


@pytest.mark.parametrize("name", LINKS)
def test_a_link_carries_the_command(name: str):
    link = install_link(name, ARGUMENTS[1:])
    query = urlsplit(link).query
    if name == "vscode":
        arguments = json.loads(unquote(query))["args"]
    elif name == "goose":
        arguments = parse_qs(query)["arg"]
    else:
        arguments = json.loads(base64.b64decode(parse_qs(query)["config"][0]))["args"]
    assert arguments == ARGUMENTS and " " not in link
    with pytest.raises(InputError, match="cursor"):
        install_link("zed", [])


def _examined(tmp_path: Path, entry: Any) -> list[Finding]:
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"sam3i": entry}}))
    return anyio.run(examine, find_client("cursor"), path)


def _wrong(findings: list[Finding]) -> str:
    return " ".join(one.text for one in findings if not one.is_well)


def test_a_good_entry_is_started_and_found_well(tmp_path: Path):
    entry = {"command": sys.executable, "args": ["-m", "sam3i_agent.cli", "serve"]}
    findings = _examined(tmp_path, {**entry, "args": [*entry["args"], "--root", str(tmp_path)]})
    texts = " ".join(one.text for one in findings)
    assert "its model is tiny" in texts and "segment_concepts" in texts
    assert "it answers after" in texts


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"command": "/nowhere/sam3i", "args": []}, "there is no program '/nowhere/sam3i'"),
        ({"args": []}, "no command"),
        ({"command": sys.executable, "args": "serve"}, "no list of texts"),
        ({"command": sys.executable, "args": ["--root", "/nowhere"]}, "'/nowhere' is no folder"),
        (
            {"command": sys.executable, "args": ["-c", "raise SystemExit('no such model')"]},
            "it does not start",
        ),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(tmp_path: Path, entry: Any, said: str):
    found = _wrong(_examined(tmp_path, entry))
    assert said in found
    if "does not start" in said:
        assert "it said: no such model" in found


def test_a_missing_file_or_entry_is_said(tmp_path: Path):
    client = find_client("cursor")
    assert "cannot be read" in _wrong(anyio.run(examine, client, tmp_path / "none.json"))
    (tmp_path / "a.json").write_text("{}")
    assert "no server 'sam3i'" in _wrong(anyio.run(examine, client, tmp_path / "a.json"))
