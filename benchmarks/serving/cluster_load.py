"""Many clients against a whole service, whose parts die in turn; every answer is checked."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mcp import Client
from mcp.shared.exceptions import MCPError

from sam3i_agent.benchmarks.serving.clicking_model import save_clicking_model
from sam3i_agent.benchmarks.serving.cluster import START_S, Service, running_service
from sam3i_agent.benchmarks.serving.recorded import RecordedRuns
from sam3i_agent.benchmarks.serving.rounds import (
    Found,
    Round,
    Verdicts,
    areas,
    corrections,
    make_rounds,
    read_back,
    segment,
)
from sam3i_agent.benchmarks.serving.usage import Usage, UsageReport
from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.errors import TryAgainError
from sam3i_agent.segmodel.checkpoints.repository import TINY
from sam3i_agent.tools.mcp.refusals import TRY_AGAIN

_AWAY_S = 5.0
"""How long the store answers nobody, and how long a client waits at most before it tries again."""
_SAMPLE_S = 2.0
_READERS = 8
"""That look for lost results at the end, at a time."""
_SHOWN = 5
T = TypeVar("T")


class ClusterLoadReport(Frozen):
    """What the clients saw, and what was done to the service meanwhile."""

    clients: int
    front_ends: int
    replicas: int
    nodes: int
    """Of Ray."""
    seconds: float
    calls: dict[str, int]
    """By kind, tried until they were answered."""
    calls_per_second: float
    p50_s: dict[str, float]
    p99_s: dict[str, float]
    longest_s: float
    try_again: dict[str, int]
    """Answers, by kind, that said so."""
    errors: dict[str, int]
    """Other failures, by kind."""
    messages: tuple[str, ...]
    """The first of these."""
    identical: int
    """Answers with the pixels of the single process."""
    same: int
    """But for pixels at edges, and answers without pixels."""
    wrong: int
    results: int
    """That were made, and read again at the end."""
    lost: int
    """Of these."""
    runs: dict[str, int]
    """Recorded ones, with checkpoints in PostgreSQL: finished, resumed, wrong, failures by kind."""
    killed: dict[str, float]
    """When what was killed, in seconds from the start."""
    calls_by_front_end: dict[str, int]
    """And those that nginx sent to a second one."""
    usage: dict[str, UsageReport]
    """Of front ends and replicas; of those that begin meanwhile, their start counts in part."""
    kept_bytes_per_result: int
    """In the store, with the share of the photo."""


@dataclass
class _Seen:
    seconds: list[tuple[str, float]] = field(default_factory=list)
    try_again: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)
    verdicts: Verdicts = field(default_factory=Verdicts)
    results: list[tuple[str, Found]] = field(default_factory=list)
    """Ids of what was made, and what they must hold."""
    lost: int = 0
    usage: defaultdict[str, Usage] = field(default_factory=lambda: defaultdict(Usage))
    killed: dict[str, float] = field(default_factory=dict)


def measure_cluster_load(
    folder: Path,
    model: str,
    clients: int,
    seconds: float,
    replicas: int,
    front_ends: int,
    nodes: int,
    *,
    kill: bool,
) -> ClusterLoadReport:
    """Let each client segment, correct, measure and read back its own picture again and again.

    Args:
        folder: empty; gets pictures and logs.
        model: as `model_with_clicks` takes it.
        clients: at a time.
        seconds: how long.
        replicas: of the model.
        front_ends: behind nginx.
        nodes: of the Ray cluster.
        kill: a front end, a replica, the database's connections, a node where there are several,
            and the store's answers, in turn.

    Raises:
        ModelError: a part is not installed, or does not start.
    """
    model = model_with_clicks(model, folder)
    rounds = asyncio.run(make_rounds(folder, model, clients))
    with running_service(folder, model, replicas, front_ends, nodes) as service:
        runs = RecordedRuns(service.nodes.service(), rounds[0])
        seen, took = asyncio.run(_run(service, rounds, seconds, runs, kill=kill))
        by_front_end, kept_bytes = service.calls_by_front_end(), service.kept_bytes()
    kinds = sorted({kind for kind, _ in seen.seconds})
    times = {kind: [one for name, one in seen.seconds if name == kind] for kind in kinds}
    verdicts = seen.verdicts
    return ClusterLoadReport(
        clients=clients,
        front_ends=front_ends,
        replicas=replicas,
        nodes=nodes,
        seconds=round(took, 1),
        calls={kind: len(times[kind]) for kind in kinds},
        calls_per_second=round(len(seen.seconds) / took, 1),
        p50_s={kind: round(float(np.percentile(times[kind], 50)), 3) for kind in kinds},
        p99_s={kind: round(float(np.percentile(times[kind], 99)), 3) for kind in kinds},
        longest_s=round(max((one for _, one in seen.seconds), default=0.0), 2),
        try_again=dict(seen.try_again),
        errors=dict(seen.errors),
        messages=tuple(seen.messages[:_SHOWN]),
        identical=verdicts.identical,
        same=verdicts.same,
        wrong=verdicts.wrong,
        results=len(seen.results),
        lost=seen.lost,
        runs=dict(runs.counts),
        killed=seen.killed,
        calls_by_front_end=by_front_end,
        usage={name: one.report(len(seen.seconds)) for name, one in seen.usage.items()},
        kept_bytes_per_result=kept_bytes // max(1, len(seen.results)),
    )


def model_with_clicks(model: str, folder: Path) -> str:
    """Return the name of a model that takes clicks, as far as one can be had.

    Args:
        model: as `load_segmenter` takes it; `tiny` gets a half for clicks, of random weights.
        folder: for that.
    """
    if model != TINY:
        return model
    save_clicking_model(folder / TINY)
    return str(folder / TINY)


async def ask_for(url: str, rounds: list[Round], seconds: float) -> float:
    """Return the calls a second that clients get answered, none of which may fail.

    Raises:
        RuntimeError: one fails, or is answered wrongly.
    """
    seen, started = _Seen(), time.perf_counter()
    await asyncio.gather(*(_one_client(url, one, seen, started + seconds) for one in rounds))
    if seen.errors or seen.verdicts.wrong:
        raise RuntimeError(f"{seen.verdicts.wrong} wrong answers, {seen.messages[:_SHOWN]}")
    return len(seen.seconds) / (time.perf_counter() - started)


async def _run(
    service: Service, rounds: list[Round], seconds: float, runs: RecordedRuns, *, kill: bool
) -> tuple[_Seen, float]:
    seen, started = _Seen(), time.perf_counter()

    def passed() -> float:
        return time.perf_counter() - started

    async def sample() -> None:
        while passed() < seconds:
            for name, pids in (await asyncio.to_thread(service.processes)).items():
                seen.usage[name].sample(passed(), pids)
            await asyncio.sleep(_SAMPLE_S)

    async def recorded() -> None:
        while passed() < seconds:
            await runs.one()

    async def killer() -> None:
        acts: dict[str, Callable[[], None]] = {
            "front end": service.kill_front_end,
            "replica": service.nodes.kill_replica,
            "database": service.postgres.restart,
            "store": lambda: service.stop_store(_AWAY_S),
        }
        if service.nodes.several:
            acts["node"] = service.nodes.kill_node
        for number, (name, act) in enumerate(acts.items(), 1):
            await asyncio.sleep(max(0.0, number / (len(acts) + 1) * seconds - passed()))
            seen.killed[name] = round(passed(), 1)
            await asyncio.to_thread(act)

    clients = [_one_client(service.url, one, seen, started + seconds) for one in rounds]
    work: list[Awaitable[None]] = [*clients, sample(), recorded()]
    await asyncio.gather(*work, *([killer()] if kill else []))
    took = passed()
    await _find_lost(service, seen)
    return seen, took


async def _one_client(url: str, asked: Round, seen: _Seen, end: float) -> None:
    """Ask the same again and again, to `end` by `time.perf_counter`."""
    async with Client(url, read_timeout_seconds=START_S) as client:
        while time.perf_counter() < end:
            await _one_round(client, asked, seen)


async def _one_round(client: Client, asked: Round, seen: _Seen) -> None:
    """Segment, and use the result on whichever front end takes each request."""

    def keep(kind: str, answer: Any) -> None:
        seen.verdicts.count(Found.of(answer), asked.answers[kind])
        seen.results.append((answer["result_id"], asked.answers[kind]))

    async def call(tool: str, arguments: dict[str, Any]) -> Any:
        return await _call(client, tool, arguments)

    made = await _timed("segment", seen, lambda: segment(call, asked))
    if made is None:
        return
    keep("segment", made)
    result_id = made["result_id"]
    found = await _timed("measure", seen, lambda: areas(call, result_id))
    if found is not None:
        seen.verdicts.count_numbers(asked.is_right(found))
    for kind, arguments in corrections(asked, result_id).items():
        name = f"refine by {kind}"
        refined = await _timed(name, seen, lambda given=arguments: call("refine", given))
        if refined is not None:
            keep(kind, refined)
    content = await _timed("resource", seen, lambda: read_back(_reader(client), result_id))
    if content is not None:
        seen.verdicts.count(content, asked.answers["segment"])


async def _find_lost(service: Service, seen: _Seen) -> None:
    """Read every result that was ever made."""
    left = list(seen.results)

    async def look(client: Client) -> None:
        while left:
            result_id, wanted = left.pop()
            ask = partial(read_back, _reader(client), result_id)
            found = await _timed("", _Seen(), ask)
            seen.lost += found is None or not found.is_same(wanted)

    async with AsyncExitStack() as stack:
        clients = [Client(service.url, read_timeout_seconds=START_S) for _ in range(_READERS)]
        await asyncio.gather(*[look(await stack.enter_async_context(one)) for one in clients])


async def _call(client: Client, tool: str, arguments: dict[str, Any]) -> Any:
    answer: Any = await client.call_tool(tool, arguments)
    if not answer.is_error:
        return answer.structured_content
    data = answer.structured_content or {}
    if data.get("error") == TRY_AGAIN:
        raise TryAgainError(data["message"], data["retry_after_s"])
    raise RuntimeError(answer.content[0].text)


def _reader(client: Client) -> Callable[[str], Awaitable[str]]:
    async def read(uri: str) -> str:
        try:
            answer: Any = await client.read_resource(uri)
        except MCPError as error:
            if isinstance(error.data, dict) and error.data.get("error") == TRY_AGAIN:
                data = error.data
                raise TryAgainError(data["message"], data["retry_after_s"]) from error
            raise
        return answer.contents[0].text

    return read


async def _timed(kind: str, seen: _Seen, ask: Callable[[], Awaitable[T]]) -> T | None:
    """Ask until there is an answer other than to try again; None where there is an error."""
    begun = time.perf_counter()
    while True:
        try:
            answer = await ask()
        except TryAgainError as error:
            seen.try_again[kind] += 1
            await asyncio.sleep(min(error.retry_after_s, _AWAY_S))
            continue
        except Exception as error:  # whatever it is, it is counted and shown
            seen.errors[kind] += 1
            seen.messages.append(f"{kind}: {error!r}"[:300])
            return None
        seen.seconds.append((kind, time.perf_counter() - begun))
        return answer
