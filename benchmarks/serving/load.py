"""Many clients against `sam3i serve --replicas`; each answer is checked, a replica may die."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mcp import Client
from PIL import Image

from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.benchmarks.serving.process import replica_pids, served
from sam3i_agent.benchmarks.serving.rounds import Found
from sam3i_agent.core.contracts import Frozen, RouteChoice
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import read_photo
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter

_SERIES = 930
_START_S = 300


class LoadReport(Frozen):
    """What the clients saw; seconds of a whole tool call."""

    clients: int
    replicas: int
    seconds: float
    calls: int
    calls_per_second: float
    errors: int
    wrong: int
    """Answers that are not the one for the client's own picture."""
    p50_s: float
    p90_s: float
    p99_s: float
    killed_after_s: float | None
    """When a replica was killed, if one was."""
    longest_after_kill_s: float | None


@dataclass
class Case:
    """A client's picture, what it asks, and the right answer."""

    path: Path
    instruction: str
    found: Found


@dataclass
class _Seen:
    seconds: list[tuple[float, float]] = field(default_factory=list)
    """When each call began, and how long it took."""
    errors: list[str] = field(default_factory=list)
    wrong: int = 0


def measure_load(
    folder: Path, model: str, clients: int, seconds: float, replicas: int, *, kill: bool
) -> LoadReport:
    """Let each client ask about a picture of its own again and again.

    Args:
        folder: empty; gets the pictures.
        model: as `load_segmenter` takes it.
        clients: at a time.
        seconds: how long.
        replicas: of the model.
        kill: kill the process of one replica half-way.

    Raises:
        ModelError: the server does not start.
    """
    cases = make_cases(folder, model, clients)
    options = ("--root", str(folder), "--model", model, "--device", "cpu")
    with served(*options, "--replicas", str(replicas), start_s=_START_S) as (base, process):
        victim = process if kill else None
        seen, killed, took = asyncio.run(_run(f"{base}/mcp", cases, seconds, victim))
    times = np.array([one for _, one in seen.seconds])
    after = [one for begun, one in seen.seconds if killed is not None and begun + one > killed]
    p50, p90, p99 = np.percentile(times, (50, 90, 99)).round(3).tolist()
    return LoadReport(
        clients=clients,
        replicas=replicas,
        seconds=round(took, 1),
        calls=len(times),
        calls_per_second=round(len(times) / took, 1),
        errors=len(seen.errors),
        wrong=seen.wrong,
        p50_s=p50,
        p90_s=p90,
        p99_s=p99,
        killed_after_s=None if killed is None else round(killed, 1),
        longest_after_kill_s=round(max(after), 2) if after else None,
    )


def make_cases(folder: Path, model: str, count: int) -> list[Case]:
    """Draw pictures and answer one question about each in this process, one by one."""
    segmenter = load_segmenter(model, device="cpu")
    cases: list[Case] = []
    number = 0
    while len(cases) < count:
        scene, path = generate_scene(_SERIES, number), folder / f"{number}.png"
        number += 1
        for item in scene.objects[:1]:
            Image.fromarray(scene.image).save(path)
            instruction = f"{item.colour} {item.shape}"
            result = segment_photo_sync(
                segmenter, read_photo(path), instruction, route=RouteChoice.DIRECT
            )
            if result.instances:
                size = (result.image.height, result.image.width)
                masks = Masks(size, (one.mask.counts for one in result.instances))
                cases.append(Case(path, instruction, Found(masks)))
    return cases


async def _run(
    url: str, cases: list[Case], seconds: float, process: "subprocess.Popen[bytes] | None"
) -> tuple[_Seen, float | None, float]:
    seen, started = _Seen(), time.perf_counter()
    killed: float | None = None

    async def one_client(case: Case) -> None:
        async with Client(url, read_timeout_seconds=_START_S) as client:
            while (begun := time.perf_counter() - started) < seconds:
                await _ask(client, case, seen)
                seen.seconds.append((begun, time.perf_counter() - started - begun))

    async def killer(victim: "subprocess.Popen[bytes]") -> None:
        nonlocal killed
        await asyncio.sleep(seconds / 2)
        os.kill(replica_pids(victim.pid)[0], signal.SIGKILL)
        killed = time.perf_counter() - started

    work: list[Awaitable[None]] = [one_client(case) for case in cases]
    if process is not None:
        work.append(killer(process))
    await asyncio.gather(*work)
    return seen, killed, time.perf_counter() - started


async def _ask(client: Client, case: Case, seen: _Seen) -> None:
    arguments = {
        "image": str(case.path),
        "instruction": case.instruction,
        "route": "direct",
        "include": ["masks"],
    }
    try:
        answer: Any = await client.call_tool("segment", arguments)
    except Exception as error:
        seen.errors.append(repr(error))
        return
    if answer.is_error:
        seen.errors.append(str(answer.content))
        return
    if not Found.of(answer.structured_content).is_same(case.found):
        seen.wrong += 1
