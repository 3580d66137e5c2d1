"""Client configuration is merged without losing anything."""

import json

import pytest

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.mcp.hosts.clients import CLIENTS, find_client, merge, snippet


def test_every_client_gets_a_runnable_command():
    for client in CLIENTS.values():
        entry = snippet(client, ["--root", "/pictures"])[client.key]["sam3i"]
        assert entry["args"] == ["serve", "--root", "/pictures"]
        assert entry["command"].endswith("sam3i")
    with pytest.raises(InputError, match="vscode"):
        find_client("emacs")


def test_merging_keeps_other_servers_and_settings(tmp_path):
    client, path = find_client("vscode"), tmp_path / ".vscode" / "mcp.json"
    assert merge(client, path, []) is None
    before = {"inputs": [1], "servers": {"other": {"command": "x"}, "sam3i": {"command": "old"}}}
    path.write_text(json.dumps(before))
    backup = merge(client, path, ["--root", "/p"])
    after = json.loads(path.read_text())
    assert after["inputs"] == [1] and after["servers"]["other"] == {"command": "x"}
    assert after["servers"]["sam3i"]["args"] == ["serve", "--root", "/p"]
    assert json.loads(backup.read_text()) == before


@pytest.mark.parametrize("text", ["{ // a comment\n}", "[]", '{"servers": 5}', "{"])
def test_what_cannot_be_merged_is_left_alone(tmp_path, text):
    path = tmp_path / "mcp.json"
    path.write_text(text)
    with pytest.raises(InputError, match="by hand"):
        merge(find_client("vscode"), path, [])
    assert path.read_text() == text
