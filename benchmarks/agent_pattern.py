"""The official agent's access pattern against this project's: same model, same run, turn by turn.

The official agent encodes the photo anew for each noun phrase and has the masks verified one after
the other; this project encodes it once, answers all phrases in one pass, and has the masks
verified at the same time.
"""

import asyncio
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.agent.language.side import View
from sam3i_agent.core.contracts import Budgets, Frozen
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.segmodel.sam3_segmenter import Sam3Segmenter

_PHRASES = ("mug", "laptop", "red chair", "window", "person", "dog", "umbrella", "table")
_PHOTO_SIZE = (1024, 768)
_SERIES = 931
_CANDIDATE_SIDE = 96
_NO_LIMIT = 10**9
_VERDICT = {"verdict": "accept", "reason": "it fits"}


class PhrasePattern(Frozen):
    """Seconds for K phrases about one photo, medians."""

    phrases: int
    official_s: float
    """The photo encoded for each phrase."""
    cold_s: float
    """Encoded once, all phrases in one pass; the texts are new."""
    warm_s: float
    """Asked again about the same photo: photo and texts are kept."""

    @property
    def ratio(self) -> float:
        """Of cold to official."""
        return self.cold_s / self.official_s


class VerdictPattern(Frozen):
    """Seconds for verdicts on V masks, medians."""

    masks: int
    official_s: float
    """One after the other."""
    together_s: float
    latency_s: float
    """Of one verdict, pictures and transport included."""


class AgentPattern(Frozen):
    """What `sam3i bench agent` measured."""

    model: str
    encode_s: float
    answer_s: float
    """One phrase about an encoded photo."""
    phrases: list[PhrasePattern]
    verdicts: list[VerdictPattern]


def measure_agent_pattern(
    segmenter: Sam3Segmenter,
    counts: Sequence[int],
    verdict_counts: Sequence[int],
    model_latency_s: float,
    repeats: int,
    advance: Callable[[], None],
) -> AgentPattern:
    """Time both patterns.

    Args:
        segmenter: a loaded model.
        counts: of phrases, each up to 8.
        verdict_counts: of masks.
        model_latency_s: of a stand-in for the language model, behind HTTP on this machine.
        repeats: of each measurement; medians are reported.
        advance: called after each measurement.
    """
    photo = _photo()
    _phrases(segmenter, photo, 1)  # warm up
    runs = {count: [_phrases(segmenter, photo, count) for _ in range(repeats)] for count in counts}
    patterns: list[PhrasePattern] = []
    for count, run in runs.items():
        official, cold, warm = map(statistics.median, zip(*run, strict=True))
        patterns.append(PhrasePattern(phrases=count, official_s=official, cold_s=cold, warm_s=warm))
        advance()
    encode = statistics.median(
        _time(lambda: segmenter.encode(photo, keep=False)) for _ in range(repeats)
    )
    image = segmenter.encode(photo)
    answer = statistics.median(
        _time(lambda: image.segment([Prompt(_PHRASES[0])])) for _ in range(repeats)
    )
    verdicts: list[VerdictPattern] = []
    with _model_server(model_latency_s) as url:
        asyncio.run(_verdicts(url, photo, 1, together=True))  # warm up
        for count in verdict_counts:
            timed = [
                [
                    asyncio.run(_verdicts(url, photo, *how))
                    for how in ((1, True), (count, False), (count, True))
                ]
                for _ in range(repeats)
            ]
            one, official, together = (
                statistics.median(column) for column in zip(*timed, strict=True)
            )
            verdicts.append(
                VerdictPattern(masks=count, official_s=official, together_s=together, latency_s=one)
            )
            advance()
    return AgentPattern(
        model=segmenter.description,
        encode_s=encode,
        answer_s=answer,
        phrases=patterns,
        verdicts=verdicts,
    )


def _phrases(segmenter: Sam3Segmenter, photo: Photo, count: int) -> tuple[float, float, float]:
    texts = _PHRASES[:count]
    segmenter.encodings.clear()

    def official() -> None:
        for text in texts:
            segmenter.encode(photo, keep=False).segment([Prompt(text)])

    def ours() -> None:
        segmenter.encode(photo).segment([Prompt(text) for text in texts])

    segmenter.texts.clear()
    first = _time(official)
    segmenter.texts.clear()
    return first, _time(ours), _time(ours)


async def _verdicts(url: str, photo: Photo, count: int, together: bool) -> float:
    budgets = Budgets(max_mllm_calls=count + 1, max_tokens=_NO_LIMIT)
    model = language_factory(LanguageChoice(url=url, model="stand-in"))(
        Meter(budgets, MemoryLedger())
    )
    views = [View(photo, "the mug", 1, candidates=(_candidate(photo, i),)) for i in range(count)]
    started = time.perf_counter()
    try:
        if together:
            await asyncio.gather(*map(model.verify, views))
        else:
            for view in views:
                await model.verify(view)
        return time.perf_counter() - started
    finally:
        await model.close()


def _photo() -> Photo:
    picture = Image.fromarray(generate_scene(_SERIES, 0).image).resize(_PHOTO_SIZE)
    return Photo(np.array(picture), "agent pattern")


def _candidate(photo: Photo, number: int) -> Candidate:
    height, width = photo.size_hw
    side = _CANDIDATE_SIDE
    x, y = (37 * number) % (width - side), (53 * number) % (height - side)
    mask = np.zeros((height, width), bool)
    mask[y : y + side, x : x + side] = True
    return Candidate("mug", Masks.encode([mask], photo.size_hw), (x, y, x + side, y + side), 0.9)


def _time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def _model_server(latency_s: float) -> Iterator[str]:
    """Serve as a language model that takes `latency_s` for each verdict; yield its URL."""
    function = {"name": "judge_mask", "arguments": json.dumps(_VERDICT)}
    message = {
        "role": "assistant",
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }
    answer = json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "stand-in",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        }
    ).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            time.sleep(latency_s)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
