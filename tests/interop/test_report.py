"""The report as a browser shows it: at desktop and phone width, light and dark."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.interop.npm import FOLDER, needs_npm, run_node

REPORT = Path(__file__).parent.parent.parent / "examples" / "report" / "report.html"


@needs_npm
def test_the_example_report_in_chromium(tmp_path: Path):
    script = FOLDER.parent / "look.mjs"  # beside the modules that it imports
    shutil.copy(Path(__file__).parent / "look.mjs", script)
    done = run_node(str(script), str(REPORT), str(tmp_path))
    assert done.returncode == 0, done.stderr
    desktop, phone = json.loads(done.stdout)
    for seen in (desktop, phone):
        assert not seen["elsewhere"] and not seen["errors"]
        assert seen["pageWidth"] <= seen["windowWidth"]  # tables scroll on their own
        assert seen["pictures"] and not seen["brokenPictures"] and not seen["cutTexts"]
        assert {"Quality", "Differences", "Quality against cost"} <= set(seen["headings"])
        _check_clicks(seen["clicked"])
        pixels = np.asarray(Image.open(tmp_path / f"{seen['name']}.png").convert("L"))
        assert pixels.std() > 10  # something is drawn
    assert desktop["clicked"]["cutTables"] == 0
    assert _brightness(desktop["background"]) > 200 > 100 > _brightness(desktop["ink"])
    assert _brightness(phone["background"]) < 60 < 150 < _brightness(phone["ink"])


def _check_clicks(clicked: dict[str, Any]) -> None:
    assert clicked["names"][:2] == ["photo", "truth"] and len(clicked["names"]) == 5
    assert clicked["different"] >= 3  # what each switch shows, of routes that differ
    assert clicked["opened"] > 200 and clicked["closedOnPhoto"] == ["false", "true"]
    assert clicked["rows"][0] == clicked["rows"][2] > clicked["rows"][1] == 0
    low, high = clicked["ends"]
    assert 0 <= low < high <= 1


def _brightness(colour: str) -> float:
    return sum(map(float, colour[4:-1].split(","))) / 3
