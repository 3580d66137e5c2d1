"""The view in a browser, inside the public host library with its sandbox and policy."""

import base64
import io
import json
import shutil
import socket
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.interop.npm import FOLDER, run_node
from tests.tools.servers import EXAMPLE, SERVE, http_server

pytestmark = [
    pytest.mark.skipif(
        not (FOLDER / "@modelcontextprotocol" / "ext-apps").is_dir(),
        reason="installed by `make interop`",
    ),
    pytest.mark.slow,
    pytest.mark.timeout(400),
]
SIZE = (900, 600)
COUNTS = {"desktop": 1, "phone": 3, "many": 200, "phone-many": 200}


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "table.png"
    across = np.linspace(40, 200, SIZE[0], dtype=np.uint8)
    pixels = np.stack([np.broadcast_to(across, SIZE[::-1])] * 3, axis=-1)
    Image.fromarray(pixels).save(path)
    return path


def look(photo: Path, folder: Path, cases: str) -> dict[str, Any]:
    """Drive the view of a server's answers; return what was seen."""
    scripts = FOLDER.parent / "view"  # beside the modules that they import
    shutil.copytree(Path(__file__).parent / "view", scripts, dirs_exist_ok=True)
    port = _two_free_ports()
    with http_server("tests.interop.view_server", f"http://127.0.0.1:{port}") as (url, _):
        done = run_node(str(scripts / "look.mjs"), url, str(photo), str(port), str(folder), cases)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", COUNTS)
def test_a_person_corrects_compares_and_saves(name: str, photo: Path, tmp_path: Path):
    (seen,) = look(photo, tmp_path, name)["seen"]
    count = COUNTS[name]
    assert not seen["errors"] and not seen["faults"] and not seen["compareFaults"]
    assert seen["mimeType"] == "text/html;profile=mcp-app"
    assert seen["first"]["rows"] == seen["first"]["marks"] == seen["first"]["on"] == count
    assert seen["off"]["marks"] == seen["off"]["on"] == count - 1
    assert seen["hovered"] and seen["focused"]
    assert seen["more"]["examples"] == 1 and "box" not in seen["more"]["problem"]
    assert seen["undone"] == seen["first"] and seen["redone"] == seen["more"]
    assert seen["not"]["examples"] == 2
    assert seen["clicked"]["grew"] and seen["clicked"]["other"]
    assert seen["agent"]["rows"] == count and seen["agent"]["route"] == "agent"
    assert [one["count"] for one in seen["cards"]] == [count] * 3
    assert all(one["steps"] and one["marks"] == count for one in seen["cards"])
    assert seen["chosen"].startswith("Auto") and seen["steps"]
    assert seen["full"]["high"] and seen["full"]["zoom"] > 100 * _whole(name)
    assert not any(seen[step]["wide"] or seen[step]["problem"] for step in ("first", "full"))
    _check_files(seen["files"], count)
    told = seen["contexts"][-1]
    assert "chose what the auto route found" in told["content"][0]["text"]
    assert told["structuredContent"]["hidden"] == ([1] if count > 1 else [])
    pixels = np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))
    assert pixels.std() > 10  # something is drawn


def test_the_photo_follows_the_hand(photo: Path, tmp_path: Path):
    frames = look(photo, tmp_path, "panning")["frames"]
    assert frames["framesPerSecond"] > 10  # 60 on a machine that does nothing else


def test_a_picture_is_dropped_words_are_typed_and_the_answer_is_seen(tmp_path: Path):
    scripts = FOLDER.parent / "view"
    shutil.copytree(Path(__file__).parent / "view", scripts, dirs_exist_ok=True)
    with http_server(*SERVE, "--playground") as (url, _):
        script = str(scripts / "playground.mjs")
        done = run_node(script, url.removesuffix("mcp"), str(EXAMPLE), str(tmp_path))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen == {"rows": 3, "problem": "", "errors": [], "fits": True}


def _check_files(files: list[dict[str, str]], count: int) -> None:
    """What was saved holds all but the instance that was switched off, where there are several."""
    kept = list(range(2, count + 1)) or [1]
    png, coco, svg = (base64.b64decode(one["blob"]) for one in files)
    alpha = Image.open(io.BytesIO(png)).getchannel("A")
    assert alpha.size == SIZE and alpha.getextrema() == (0, 255)
    assert [one["id"] for one in json.loads(coco)["annotations"]] == kept
    assert len(ElementTree.fromstring(svg).findall(".//{*}path")) == len(kept)


def _whole(name: str) -> float:
    """The scale at which the whole photo is in sight, at most."""
    return (390 if name.startswith("phone") else 1280) / SIZE[0]


def _two_free_ports() -> int:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        other.bind(("127.0.0.1", port + 1))
        return port
