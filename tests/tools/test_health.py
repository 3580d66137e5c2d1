"""What a server depends on goes away and comes back: probes say what, and take their time."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest

from sam3i_agent.benchmarks.serving.process import free_port
from sam3i_agent.core.errors import InputError, TryAgainError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.storage.blobs import Blobs
from sam3i_agent.tools.results.kept import KeptFiles
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.access.access import Access
from sam3i_agent.tools.serving.calls import Calls
from sam3i_agent.tools.serving.health import Dependency, Health
from sam3i_agent.tools.serving.http import protected_app
from sam3i_agent.tools.serving.settings import ServeSettings
from sam3i_agent.tools.toolbox import Toolbox
from tests.tools.fakes import toolbox_of
from tests.tools.issuer import issuer

AUDIENCE = "https://sam3i.example.com/mcp"
NOTICED_S = 3.0
"""Within which a probe answers, whatever is wrong."""


def _ready(files: KeptFiles | None = None) -> Toolbox:
    toolbox = toolbox_of(files=files)
    toolbox.service.check = lambda: "loaded"
    return toolbox


def _probe(toolbox: Toolbox, path: str, access: Access | None = None) -> httpx.Response:
    """Ask a server that has just started."""
    settings = ServeSettings(port=8765)
    app = protected_app(toolbox, settings, access or Access(), Calls())

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as http:
            return await http.get(path)

    started = time.monotonic()
    answer = anyio.run(ask)
    assert time.monotonic() - started < NOTICED_S
    return answer


def test_all_is_well_and_each_part_says_so(tmp_path: Path):
    toolbox = _ready(KeptFiles(Blobs(str(tmp_path))))
    with issuer(AUDIENCE) as one:
        answer = _probe(toolbox, "/health", Access(issuer=one.url, audience=AUDIENCE))
    assert answer.status_code == 200
    says = {name: (state["ok"], state["says"]) for name, state in answer.json().items()}
    assert says == {
        "model": (True, "loaded"),
        "store": (True, "answers"),
        "issuer": (True, "1 keys"),
    }


def test_a_store_that_is_away_keeps_calls_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    toolbox = _ready(KeptFiles(Blobs("s3://bucket/results")))
    ready = _probe(toolbox, "/readyz")
    assert ready.status_code == 503 and ready.text.startswith("store: ")
    parts = _probe(toolbox, "/health").json()
    assert parts["model"]["ok"] and not parts["store"]["ok"]
    assert _probe(toolbox, "/healthz").status_code == 200  # which is no reason to restart


def test_an_issuer_that_is_away_keeps_calls_away():
    access = Access(issuer=f"http://127.0.0.1:{free_port()}", audience=AUDIENCE)
    ready = _probe(_ready(), "/readyz", access)
    assert (ready.status_code, ready.text) == (503, "issuer: its keys cannot be fetched\n")


def test_the_run_database_is_watched_and_no_call_waits_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SAM3I_CHECKPOINTS", f"postgresql://x@127.0.0.1:{free_port()}/runs")
    answer = _probe(_ready(), "/health")
    assert answer.status_code == 503 and not answer.json()["run database"]["ok"]
    assert _probe(_ready(), "/readyz").status_code == 200
    up = 'sam3i_dependency_up{dependency="%s"} %s'
    metrics = _probe(_ready(), "/metrics").text
    assert up % ("run database", "0.0") in metrics and up % ("model", "1.0") in metrics


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path):
    toolbox = toolbox_of()
    toolbox.service = SegmentationService(ModelChoice(str(tmp_path / "none"), "cpu"))
    assert _probe(toolbox, "/readyz").text == "model: loading\n"
    with pytest.raises(InputError):
        toolbox.service.segmenter()
    assert "none" in _probe(toolbox, "/readyz").text


def test_what_hangs_is_asked_once_and_comes_back():
    goes_on, asked = threading.Event(), []

    def hang() -> str:
        asked.append(1)
        goes_on.wait(10)
        return "back"

    async def run() -> None:
        health = Health(_parts(slow=hang, quick=lambda: "fine"), check_s=0.1, fresh_s=0.2)
        for _ in range(3):
            started = time.monotonic()
            states = await health.states()
            assert time.monotonic() - started < 0.5
            assert states["slow"].says == "no answer within 0.1 s" and states["quick"].ok
        assert len(asked) == 1
        goes_on.set()
        assert (await health.states())["slow"].says == "back"
        await health.states()
        assert len(asked) == 1  # believed for a while
        await anyio.sleep(0.25)
        await health.states()
        assert len(asked) == 2

    anyio.run(run)


def test_what_goes_wrong_unexpectedly_is_no_crash(caplog: pytest.LogCaptureFixture):
    def broken() -> str:
        raise ZeroDivisionError("by nought")

    def away() -> str:
        raise TryAgainError("it is away", 5)

    async def run() -> None:
        states = await Health(_parts(broken=broken, away=away)).states()
        assert [one.says for one in states.values()] == ["ZeroDivisionError", "it is away"]

    anyio.run(run)
    assert "by nought" in caplog.text  # for the owner, not for who probes


def _parts(**checks: Callable[[], str]) -> list[Dependency]:
    return [Dependency(name, check) for name, check in checks.items()]
