"""Memory and time of tracking through a long clip."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image, ImageDraw

from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.errors import ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.tools.sources.video import write_video

_SIDE = 256
_RATE = 25.0
_TEXT = "red circle"
_POLL_S = 0.5
_KIB_PER_MIB = 1024


class LongVideo(Frozen):
    """Resident memory of the tracking process, in MiB, when that share of the frames was done."""

    frames: int
    tracks: int
    seconds: float
    mib_at_10_percent: float
    mib_at_50_percent: float
    mib_at_the_end: float


def measure_long_video(frames: int, folder: Path, model: ModelChoice) -> LongVideo:
    """Track two circles that swing to and fro.

    Args:
        frames: of the clip.
        folder: empty; gets the clip and the results.
        model: to follow them with.

    Raises:
        ModelError: the command failed.
    """
    clip, out = folder / "clip.mp4", folder / "out"
    with write_video(clip, _RATE) as write:
        for index in range(frames):
            write(_picture(index), index / _RATE)
    command = [sys.executable, "-m", "sam3i_agent.cli", "track", str(clip), _TEXT, "--json"]
    command += ["--out", str(out), "--model", model.name, "--device", model.device]
    started = time.perf_counter()
    memory: list[tuple[int, float]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            memory.append((_done(out / "tracks.jsonl"), _resident_mib(process.pid)))
            time.sleep(_POLL_S)
        said = process.stdout.read() if process.stdout is not None else ""
    seconds = time.perf_counter() - started
    if process.returncode:
        raise ModelError("the tracking failed; see above")
    during = [(done, mib) for done, mib in memory if mib and 0 < done < frames]
    return LongVideo(
        frames=frames,
        tracks=len(json.loads(said)["tracks"]),
        seconds=round(seconds, 1),
        mib_at_10_percent=_at(during, 0.1 * frames),
        mib_at_50_percent=_at(during, 0.5 * frames),
        mib_at_the_end=_at(during, frames),
    )


def _picture(index: int) -> Image.Image:
    picture = Image.new("RGB", (_SIDE, _SIDE), (96, 96, 96))
    draw = ImageDraw.Draw(picture)
    for phase, top in ((0.0, 30), (math.pi, 150)):
        left = round(96 + 80 * math.sin(index / 40 + phase))
        draw.ellipse((left, top, left + 56, top + 56), fill=(214, 40, 40))
    return picture


def _done(path: Path) -> int:
    """Return the frame in the last whole line, without reading the file."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        lines = file.read().split(b"\n")
    for line in reversed(lines[:-1]):
        if line.startswith(b'{"frame":'):
            return int(line[9 : line.index(b",")])
    return 0


def _resident_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines.get("VmRSS", "0 kB").split()[0]) / _KIB_PER_MIB


def _at(memory: list[tuple[int, float]], frame: float) -> float:
    if not memory:
        return 0.0
    return round(min(memory, key=lambda one: abs(one[0] - frame))[1])
