"""The view in a browser without a host, and a written result as a page."""

import json
import re
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.tools.mcp.server import ServerOptions, build_server
from sam3i_agent.tools.mcp.view.page import page
from sam3i_agent.tools.serving.http import http_app
from tests.tools.fakes import toolbox_of
from tests.tools.servers import EXAMPLE, SERVE, http_server

TOKEN = "a token of the test's own"


def test_the_page_is_open_and_its_calls_show_the_token():
    with http_server(*SERVE, "--playground", token=TOKEN) as (url, _):
        shown = httpx.get(url.removesuffix("mcp"))
        assert shown.status_code == 200 and shown.text == page() and TOKEN not in shown.text
        assert "connect-src 'self'" in shown.headers["content-security-policy"]
        assert httpx.post(url, json={}).status_code == 401


@pytest.mark.parametrize("wanted", [True, False])
def test_the_page_is_there_where_it_is_wanted(wanted: bool):
    server = build_server(toolbox_of(), ServerOptions(playground=wanted))
    paths = {getattr(one, "path", "") for one in http_app(server, "127.0.0.1", 8765).routes}
    assert ("/" in paths) is wanted


def test_the_page_needs_http_and_other_machines_need_a_token(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SAM3I_TOKEN", raising=False)
    refused = CliRunner().invoke(app, ["serve", "--playground"])
    assert "--playground goes with --http" in str(refused.exception)
    refused = CliRunner().invoke(app, ["serve", "--playground", "--http", "0.0.0.0:0"])
    assert "clients must show a token" in str(refused.exception)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "scene"
    words = "the red square"
    done = CliRunner().invoke(app, ["segment", str(EXAMPLE), words, "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


def test_a_written_result_is_a_page_of_its_own(written: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    result = written / "result.json"
    named = json.loads(result.read_text()) | {"instruction": "</script><b>red</b>"}
    result.write_text(json.dumps(named))
    done = CliRunner().invoke(app, ["show", str(written)])
    assert done.exit_code == 0, done.output
    html = (written / "view.html").read_text("utf-8")
    assert opened == [(written / "view.html").resolve().as_uri()]
    found = re.findall(r'<script type="application/json" id="result">(.*?)</script>', html)
    resources = json.loads(found[0])["resources"]
    drawn = json.loads(resources["view.json"]["text"])
    assert drawn["instruction"] == named["instruction"] and drawn["instances"][0]["path"]
    assert set(resources) == {"view.json", "photo.jpg", "coco.json", "svg"}
    assert "<b>red" not in html


def test_showing_can_name_the_file_and_leave_the_browser_alone(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("webbrowser.open", lambda _: pytest.fail("the browser was opened"))
    out = tmp_path / "pages" / "one.html"
    arguments = ["show", str(written / "result.json"), "--no-browser", "--out", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert out.is_file()


def test_another_photo_is_refused(written: Path, scene_file: Path):
    done = CliRunner().invoke(app, ["show", str(written), "--image", str(scene_file)])
    assert "is not the photo of this result" in str(done.exception)
