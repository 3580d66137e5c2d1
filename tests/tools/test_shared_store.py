"""Results in a store: every front end serves every id, nobody another's, and nothing for ever."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

import anyio
import numpy as np
import pytest

from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.core.errors import InputError, StorageError, TryAgainError
from sam3i_agent.core.prompt import Click, Exemplar
from sam3i_agent.core.storage.blobs import Blobs
from sam3i_agent.tools.results.kept import KeptFiles, Retention
from sam3i_agent.tools.results.refining import Edits
from sam3i_agent.tools.results.shared import SharedResultStore
from sam3i_agent.tools.results.store import Concept, Results, ResultStore
from sam3i_agent.tools.users import acting_for, owner_of
from tests.conftest import KnowingSegmenter, block
from tests.tools.fakes import client_of, picture_uri, text_of, toolbox_of

ANNA, BORIS = owner_of("https://issuer.test", "anna"), owner_of("https://issuer.test", "boris")


@pytest.fixture
def result(grey_photo):
    found = {"star": [(block(10, 20, 60, 70), 0.9), (block(80, 80, 90, 95), 0.8)]}
    return segment_photo_sync(KnowingSegmenter(found), grey_photo, "star")


@pytest.fixture(params=["memory:", "folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "store")
    elif request.param == "memory:":
        yield "memory:"
    else:
        yield from _bucket(request.getfixturevalue("monkeypatch"))


def _bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    moto = pytest.importorskip("moto.server", reason="an S3 server needs moto")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    urlopen(Request(f"http://{host}:{port}/results", method="PUT")).close()
    yield "s3://results/below"
    server.stop()


def test_a_result_comes_back_whole_in_another_process(url: str, result, grey_photo):
    blobs = Blobs(url)
    edits = Edits((Exemplar((1, 2, 30, 40), False),), {2: (Click((5, 6)),)})
    concepts = (Concept("star", "0" * 16, range(1, 3)),)
    first = SharedResultStore(KeptFiles(blobs))
    added = first.add(result, grey_photo, edits, "f" * 16, concepts)
    # Another process shares nothing but the store; memory: is this object's own.
    there = SharedResultStore(KeptFiles(blobs if url == "memory:" else Blobs(url)))
    found = there.get(added.id)
    assert (found.result, found.edits, found.parent) == (result, edits, "f" * 16)
    assert found.concepts == concepts and found.labels == ["star", "star"]
    np.testing.assert_array_equal(found.photo.pixels, grey_photo.pixels)
    assert (found.photo.sha256, found.photo.name) == (grey_photo.sha256, grey_photo.name)
    assert there.ids() == [added.id] and there.latest(5)[0].result == result
    assert first.newest() == added.id and there.newest() is None


@pytest.mark.parametrize("shared", [True, False])
def test_another_users_result_answers_like_an_unknown_one(shared: bool, result, grey_photo):
    results: Results = SharedResultStore(KeptFiles(Blobs("memory:"))) if shared else ResultStore()
    with acting_for(ANNA):
        id_ = results.add(result, grey_photo).id
        assert results.get(id_).id == id_
    for owner in (BORIS, "everybody"):
        with acting_for(owner):
            with pytest.raises(InputError) as of_another:
                results.get(id_)
            with pytest.raises(InputError) as of_nobody:
                results.get("0" * 16)
            assert str(of_another.value).replace(id_, "0" * 16) == str(of_nobody.value)
            assert results.ids() == [] and results.latest(9) == [] and results.newest() is None


@pytest.mark.parametrize(
    "id_",
    [
        "",
        ".",
        "../results/0123456789abcdef",
        f"../{ANNA}/results/0123456789abcdef",
        "0123456789abcdef/../0123456789abcdef",
        "0123456789abcdef\0",
        "0123456789abcdef.json",
        "0123456789ABCDEF",
        "0123456789abcde%2f",
        "/etc/passwd",
        "0123456789abcdef" * 400,
    ],
)
def test_what_is_no_id_is_answered_like_an_unknown_one(id_: str, tmp_path: Path):
    files = KeptFiles(Blobs(str(tmp_path)))
    with pytest.raises(InputError, match="there is no result"):
        SharedResultStore(files).get(id_)
    assert files.get("results", id_) is None


def test_results_age_and_their_photos_outlive_them(
    result, grey_photo, monkeypatch: pytest.MonkeyPatch
):
    clock, passed_s = time.time, [0.0]
    monkeypatch.setattr("time.time", lambda: clock() + passed_s[0])
    blobs = Blobs("memory:")
    files = KeptFiles(blobs, Retention(max_age_s=1000))
    results = SharedResultStore(files)
    old = results.add(result, grey_photo).id
    written = {one.key for one in blobs.list()}
    passed_s[0] = 700
    young = results.add(result, grey_photo).id
    (of_young,) = {one.key for one in blobs.list()} - written
    # What the store's clock says of the younger one is not moved by the test's.
    listed = blobs.list
    monkeypatch.setattr(
        blobs,
        "list",
        lambda folder="": [
            replace(one, written_at=one.written_at + 700 * (one.key == of_young))
            for one in listed(folder)
        ],
    )
    passed_s[0] = 1100
    with pytest.raises(InputError, match="there is no result"):
        results.get(old)
    with pytest.raises(InputError, match="there is no result"):
        SharedResultStore(files).get(old)
    assert results.get(young).photo.name == grey_photo.name
    assert results.ids() == [young]
    files.sweep()
    assert {one.key for one in blobs.list()} == {of_young, *(k for k in written if "photos" in k)}
    passed_s[0] = 2100
    files.sweep()
    assert blobs.list() == []


def test_too_much_for_the_store_makes_the_oldest_go(result, grey_photo):
    blobs = Blobs("memory:")
    results = SharedResultStore(KeptFiles(blobs))
    ids = [results.add(result, grey_photo).id for _ in range(3)]
    sizes = {one.key: one.size for one in blobs.list()}
    photo = next(size for key, size in sizes.items() if "photos" in key)
    one = max(size for key, size in sizes.items() if "results" in key)
    files = KeptFiles(blobs, Retention(max_bytes=2 * one + 10))
    files.sweep()
    assert photo and SharedResultStore(files).ids() == [ids[2], ids[1]]


def test_too_much_for_one_user_is_refused_with_the_time_to_wait(result, grey_photo):
    blobs = Blobs("memory:")
    with acting_for(BORIS):
        SharedResultStore(KeptFiles(blobs)).add(result, grey_photo)
    size = sum(one.size for one in blobs.list())
    limit = 3 * size
    files = KeptFiles(blobs, Retention(max_age_s=100, user_bytes=limit))
    with acting_for(ANNA):
        with pytest.raises(TryAgainError, match="may keep") as refused:
            for _ in range(50):
                SharedResultStore(files).add(result, grey_photo)
        assert 90 < refused.value.retry_after_s <= 200
        used = sum(one.size for one in blobs.list(f"users/{ANNA}"))
        assert limit - size <= used <= limit
    with acting_for(owner_of("https://issuer.test", "carla")):
        SharedResultStore(files).add(result, grey_photo)


def test_a_store_that_is_away_says_try_again_and_names_no_address(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    results = SharedResultStore(KeptFiles(Blobs("s3://results")))
    with pytest.raises(TryAgainError, match="cannot be read at the moment") as away:
        results.get("0" * 16)
    assert "127.0.0.1" not in str(away.value) and away.value.retry_after_s > 0


@pytest.mark.parametrize("url", ["ftp://x/y", "http://x/y", ""])
def test_what_is_no_store_is_refused(url: str):
    with pytest.raises(InputError, match="is no store"):
        Blobs(url)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be opened"):
        Blobs(str(tmp_path / "file" / "below"))


def test_no_reader_sees_a_part_of_a_file(tmp_path: Path):
    blobs = Blobs(str(tmp_path))
    one, other = b"1" * 3_000_000, b"2" * 3_000_000
    blobs.put("users/x/a.bin", one)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            blobs.put("users/x/a.bin", other)
            blobs.put("users/x/a.bin", one)

    writer = threading.Thread(target=write)
    writer.start()
    seen = {blobs.get("users/x/a.bin") for _ in range(100)}
    stop.set()
    writer.join()
    assert seen == {one, other}


def test_one_front_end_serves_what_another_made(tmp_path: Path):
    def front_end():
        return toolbox_of(files=KeptFiles(Blobs(str(tmp_path))))

    async def run() -> None:
        async with client_of(front_end()) as client:
            arguments = {"image": picture_uri(), "instruction": "circle"}
            made = await client.call_tool("segment", arguments)
            id_ = made.structured_content["result_id"]
            edit = await client.call_tool("edit", {"result_id": id_, "action": "blur"})
            uri = edit.structured_content["uri"]
            here = await client.read_resource(uri)
        async with client_of(front_end()) as client:
            measured = await client.call_tool("measure", {"result_id": id_})
            assert len(measured.structured_content["instances"]) == 5
            refined = await client.call_tool("refine", {"result_id": id_, "boxes": [[0, 0, 8, 8]]})
            assert not refined.is_error, text_of(refined)
            assert (await client.read_resource(uri)).contents[0].blob == here.contents[0].blob
            listed = [one.uri for one in (await client.list_resources()).resources]
            assert f"sam3i://results/{id_}/overlay.png" in listed
            again = await client.call_tool("segment", {**arguments, "image": id_})
            assert again.structured_content["count"] == 5

    anyio.run(run)
