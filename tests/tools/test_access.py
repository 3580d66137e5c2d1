"""Users are told apart: nobody reaches another's results, and nobody asks for more than allowed."""

import base64
import itertools
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx2
import pytest
import uvicorn
from cryptography.hazmat.primitives import serialization

from sam3i_agent.core.errors import InputError, TryAgainError
from sam3i_agent.core.storage.blobs import Blobs
from sam3i_agent.tools.mcp.resources import CLIP_FILES
from sam3i_agent.tools.results.formats.registry import TEXT_FORMATS
from sam3i_agent.tools.results.kept import KeptFiles
from sam3i_agent.tools.serving.access.access import Access
from sam3i_agent.tools.serving.access.limits import LocalLimiter, UserLimits
from sam3i_agent.tools.serving.calls import Calls
from sam3i_agent.tools.serving.http import listen, protected_app, server_config
from sam3i_agent.tools.serving.settings import ServeSettings
from sam3i_agent.tools.toolbox import Toolbox
from tests.tools.fakes import picture_uri, toolbox_of
from tests.tools.issuer import SCOPES, Issuer, issuer

AUDIENCE = "https://sam3i.test/mcp"
PICTURE = picture_uri()
SEGMENT = {"image": PICTURE, "instruction": "circle", "include": []}
VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Caller:
    """Sends single requests, each with whatever token it is told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.Client(timeout=30)

    def close(self) -> None:
        self._http.close()

    def ask(self, token: str | None, method: str, target: str, **params: Any) -> httpx2.Response:
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": VERSION,
            "mcp-method": method,
            "mcp-name": f"=?base64?{base64.b64encode(target.encode()).decode()}?=",
        }
        if target.isascii() and target.isprintable() and target.strip() == target:
            headers["mcp-name"] = target
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
        return self._http.post(self.url, headers=headers, json=body)

    def call(self, token: str | None, tool: str, **arguments: Any) -> httpx2.Response:
        return self.ask(token, "tools/call", tool, name=tool, arguments=arguments)

    def read(self, token: str | None, uri: str) -> httpx2.Response:
        return self.ask(token, "resources/read", uri, uri=uri)

    def segment(self, token: str) -> str:
        answer = self.call(token, "segment", **SEGMENT).json()["result"]
        return answer["structuredContent"]["result_id"]


@contextmanager
def serving(toolbox: Toolbox, access: Access) -> Iterator[Caller]:
    address = listen("127.0.0.1", 0)
    port = address.getsockname()[1]
    app = protected_app(toolbox, ServeSettings(port=port), access, Calls())
    server = uvicorn.Server(server_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [address]})
    thread.start()
    caller = Caller(f"http://127.0.0.1:{port}/mcp")
    try:
        yield caller
    finally:
        caller.close()
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def oauth() -> Iterator[Issuer]:
    with issuer(AUDIENCE) as made:
        yield made


@pytest.fixture(scope="module")
def caller(oauth: Issuer) -> Iterator[Caller]:
    toolbox = toolbox_of(files=KeptFiles(Blobs("memory:")))
    access = Access("a token of the owner's", oauth.url, AUDIENCE)
    with serving(toolbox, access) as made:
        yield made


def _failed(answer: httpx2.Response) -> bool:
    """Whether nothing was given away: no HTTP success, or an error within."""
    if answer.status_code != 200:
        return True
    body = answer.json()
    return "error" in body or body["result"].get("isError") is True


def _unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in parts)


def _wrong_tokens(oauth: Issuer) -> Iterator[str]:
    good, now = oauth.token("anna"), int(time.time())
    head, body, signature = good.split(".")
    claims = {"iss": oauth.url, "aud": AUDIENCE, "sub": "anna", "exp": now + 300, "scope": SCOPES}
    for name in ("none", "None", "NONE", "nOnE", "", "HS256", "RS1", None):
        for kid in ("first", "", "../keys", None):
            yield _unsigned({"alg": name, "typ": "JWT", "kid": kid}, claims)
            yield _unsigned({"alg": name, "typ": "JWT", "kid": kid}, claims, b"x" * 256)
    public = oauth.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    import hashlib
    import hmac

    for secret in (public, public.strip(), b"", b"secret", AUDIENCE.encode()):
        start = _unsigned({"alg": "HS256", "typ": "JWT", "kid": "first"}, claims).rstrip(".")
        signed = hmac.digest(secret, start.encode(), hashlib.sha256)
        yield f"{start}.{base64.urlsafe_b64encode(signed).decode().rstrip('=')}"
    for header in ({"jku": f"{oauth.url}/mine"}, {"x5u": oauth.url}, {"jwk": {"kty": "oct"}}):
        yield _unsigned({"alg": "RS256", "kid": "first", **header}, claims, b"x" * 256)
    yield oauth.token("anna", oauth.stranger)
    for seconds in (600, 3600, 10**5, 10**6, 10**9):
        yield oauth.token("anna", exp=now - seconds)
        yield oauth.token("anna", nbf=now + seconds)
    for audience in (
        None, "", "https://sam3i.test", f"{AUDIENCE}/", f"{AUDIENCE}2", AUDIENCE.upper(),
        [], ["https://other.test/mcp"], "*",
    ):  # fmt: skip
        yield oauth.token("anna", aud=audience)
    for other in (None, "", f"{oauth.url}/", "https://issuer.test", oauth.url.upper()):
        yield oauth.token("anna", iss=other)
    yield oauth.token("anna", exp=None)
    yield oauth.token("anna", sub=None)
    yield oauth.token("anna", scope="")
    yield oauth.token("anna", scope="sam3i:reader openid")
    boris = oauth.token("boris").split(".")
    yield f"{boris[0]}.{body}.{boris[2]}"
    yield f"{head}.{body}.{boris[2]}"
    for place in range(0, len(signature) - 1, 12):
        letter = "A" if signature[place] != "A" else "B"
        yield f"{head}.{body}.{signature[:place]}{letter}{signature[place + 1 :]}"
    for cut in range(1, 60, 3):
        yield good[:-cut]
        yield good[cut:]
    yield from ("", " ", ".", "..", "...", "null", "a token of the owner", "x" * 20_000, good * 2)


def _names_of(other: str) -> Iterator[str]:
    """Ways to write somebody else's result, or to climb to it."""
    yield other
    for owner in ("everybody", "anna", "*", "0" * 32):
        for kind in ("results", "photos", "edits"):
            yield f"../{owner}/{kind}/{other}"
            yield f"../../users/{owner}/{kind}/{other}.json"
    for before, after in itertools.product(
        ("", "./", "../", "../../", "%2e%2e%2f", "..\\", "/", "//", "\0", "users/"),
        ("", "\0", ".json", "/", "/.", "%00", " "),
    ):
        yield f"{before}{other}{after}"
    yield other.upper()
    yield f"file:///{other}"
    yield f"sam3i://results/{other}/overlay.png"


def test_no_attempt_to_reach_anothers_results_succeeds(caller: Caller, oauth: Issuer):
    anna, boris = oauth.token("anna"), oauth.token("boris")
    mine = caller.segment(anna)
    edit = caller.call(anna, "edit", result_id=mine, action="blur").json()
    uri = edit["result"]["structuredContent"]["uri"]
    assert not _failed(caller.call(anna, "measure", result_id=mine))
    assert not _failed(caller.read(anna, uri))
    attempts = 0
    for token in [None, *_wrong_tokens(oauth)]:
        try:
            answer = caller.call(token, "measure", result_id=mine)
        except httpx2.HTTPError:  # not even sent
            continue
        assert answer.status_code in (400, 401, 403), (token, answer.text)
        attempts += 1
    guesses = [secrets.token_hex(8) for _ in range(150)]
    for id_ in [*guesses, *_names_of(mine)]:
        assert _failed(caller.call(boris, "measure", result_id=id_)), id_
        attempts += 1
    for id_ in _names_of(mine):
        assert _failed(caller.read(boris, f"sam3i://results/{id_}/result.json")), id_
        attempts += 1
    for tool, arguments in (
        ("view", {"result_id": mine}), ("edit", {"result_id": mine, "action": "crop"}),
        ("refine", {"result_id": mine, "boxes": [[0, 0, 8, 8]]}),
        ("segment", {**SEGMENT, "image": mine}),
        ("segment", {**SEGMENT, "image": f"sam3i://results/{mine}/photo.jpg"}),
        ("segment_concepts", {"image": mine, "phrases": ["circle"]}),
    ):  # fmt: skip
        assert _failed(caller.call(boris, tool, **arguments)), tool
        attempts += 1
    names = ("overlay.png", "photo.jpg", "masks/1.png", "result.json", *TEXT_FORMATS)
    theirs = caller.segment(boris)
    for wanted in (
        *(f"sam3i://results/{mine}/{name}" for name in names),
        *(f"sam3i://clips/{mine}/{name}" for name in CLIP_FILES),
        uri,
        uri.replace(mine, theirs),
    ):
        assert _failed(caller.read(boris, wanted)), wanted
        attempts += 1
    assert attempts >= 500
    listed = caller.ask(boris, "resources/list", "").text
    assert theirs in listed and mine not in listed
    assert not _failed(caller.call(anna, "measure", result_id=mine))


def test_a_session_belongs_to_who_began_it(caller: Caller, oauth: Issuer):
    headers = {"accept": "application/json, text/event-stream"}
    body = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "tests", "version": "1"},
        },
    }  # fmt: skip
    anna = {**headers, "authorization": f"Bearer {oauth.token('anna')}"}
    begun = httpx2.post(caller.url, headers=anna, json=body)
    session = {"mcp-session-id": begun.headers["mcp-session-id"]}
    boris = {**headers, **session, "authorization": f"Bearer {oauth.token('boris')}"}
    listing = {"jsonrpc": "2.0", "id": 2, "method": "resources/list", "params": {}}
    assert httpx2.post(caller.url, headers=boris, json=listing).status_code == 404
    assert httpx2.post(caller.url, headers={**anna, **session}, json=listing).status_code == 200


def test_metadata_say_where_tokens_come_from_and_what_they_may_hold(caller: Caller, oauth: Issuer):
    refused = caller.call(None, "segment", **SEGMENT)
    assert refused.status_code == 401
    said = refused.headers["www-authenticate"]
    assert 'resource_metadata="https://sam3i.test/.well-known/oauth-protected-resource/mcp"' in said
    base = caller.url.removesuffix("/mcp")
    metadata = httpx2.get(f"{base}/.well-known/oauth-protected-resource/mcp").json()
    assert metadata["authorization_servers"] == [f"{oauth.url}/"]
    assert metadata["resource"] == AUDIENCE
    assert metadata["scopes_supported"] == ["sam3i:read", "sam3i:compute"]


def test_reading_needs_less_than_computing(caller: Caller, oauth: Issuer):
    mine = caller.segment(oauth.token("carla"))
    reading = oauth.token("carla", scope="sam3i:read")
    for tool in ("segment", "segment_concepts", "refine", "track", "no_such_tool"):
        refused = caller.call(reading, tool).json()["result"]
        assert refused["isError"] and "sam3i:compute" in refused["content"][0]["text"], tool
    for tool in ("measure", "view"):
        assert not _failed(caller.call(reading, tool, result_id=mine))
    assert not _failed(caller.read(reading, f"sam3i://results/{mine}/overlay.png"))


def test_the_owners_token_works_beside(caller: Caller):
    mine = caller.segment("a token of the owner's")
    assert not _failed(caller.call("a token of the owner's", "measure", result_id=mine))


def test_too_many_calls_are_refused_as_data_with_the_time_to_wait(oauth: Issuer):
    toolbox = toolbox_of(limiter=LocalLimiter(UserLimits(calls_per_minute=20)))
    with serving(toolbox, Access("", oauth.url, AUDIENCE)) as caller:
        anna = oauth.token("anna")
        answers = [caller.call(anna, "segment", **SEGMENT) for _ in range(25)]
        assert [_failed(one) for one in answers] == [False] * 20 + [True] * 5
        said = answers[-1].json()["result"]
        assert said["structuredContent"]["error"] == "try_again"
        assert 50 < said["structuredContent"]["retry_after_s"] <= 60
        assert "20 calls a minute" in said["content"][0]["text"]
        read = caller.read(anna, "sam3i://results/0123456789abcdef/result.json").json()
        assert read["error"]["data"]["error"] == "try_again"
        assert not _failed(caller.call(oauth.token("boris"), "segment", **SEGMENT))


def test_too_many_pixels_are_refused(oauth: Issuer):
    toolbox = toolbox_of(limiter=LocalLimiter(UserLimits(megapixels_per_minute=0.05)))
    with serving(toolbox, Access("", oauth.url, AUDIENCE)) as caller:
        answers = [caller.call(oauth.token("anna"), "segment", **SEGMENT) for _ in range(7)]
    # 100 x 100 pixels each
    assert [_failed(one) for one in answers] == [False] * 5 + [True] * 2
    assert "megapixels a minute" in answers[-1].text


def test_limits_are_of_any_minute_and_of_calls_under_way(monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    limiter = LocalLimiter(UserLimits(calls_per_minute=60, concurrent_calls=2))

    async def run() -> None:
        first, _ = await limiter.begin("anna"), await limiter.begin("anna")
        with pytest.raises(TryAgainError, match="2 calls under way"):
            await limiter.begin("anna")
        await limiter.end("anna", first)
        await limiter.end("anna", await limiter.begin("anna"))
        await limiter.begin("boris")
        for second in range(1, 400):
            now[0] += 0.25
            if second == 200:
                assert len(taken) <= 60
            try:
                await limiter.end("anna", await limiter.begin("anna"))
                taken.append(now[0])
            except TryAgainError as error:
                assert 0 < error.retry_after_s <= 60
        # a front end that died does not hold a user's places for ever
        now[0] += 1000
        await limiter.begin("anna")
        await limiter.begin("anna")

    taken: list[float] = []
    anyio.run(run)
    most = max(sum(start <= one < start + 60 for one in taken) for start in taken)
    assert 57 <= most <= 60


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("", "http://issuer.test", "x"), "https"),
        (("", "https://issuer.test", None), "go together"),
        (("", None, "x"), "go together"),
        (("", "https://issuer.test", ""), "for somebody"),
        (("", "nonsense", "x"), "https"),
        (("short", None, None), "16 characters"),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments: Any, said: str):
    with pytest.raises(InputError, match=said):
        Access(*arguments)
