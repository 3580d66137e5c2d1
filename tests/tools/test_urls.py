"""Fetching refuses whatever is not a public https address, also behind redirects and DNS."""

import http.client
import socket

import pytest

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.sources import urls


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png", "ftp://example.com/a", "https://", "https://user@example.com/",
        "https://example.com:99999/", "https://example.com/a b", "https://example.com/\r\nX: y",
        "https://[::1/",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url, monkeypatch):
    monkeypatch.setattr(urls, "_public_address", lambda host, port: pytest.fail("resolved"))
    with pytest.raises(InputError):
        urls.fetch(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "255.255.255.255", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_names_that_lead_inside_are_refused(address, monkeypatch):
    """Also when only one of several addresses is private."""
    answers = [(0, 0, 0, "", (one, 443)) for one in ("93.184.216.34", address)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)
    monkeypatch.setattr(
        urls, "_PinnedConnection", lambda *args: pytest.fail("a connection was opened")
    )
    with pytest.raises(InputError, match="not public"):
        urls.fetch("https://innocent.example/a.png")


class _Answer:
    def __init__(self, status, body=b"", location=None):
        self.status, self._body, self._location = status, body, location

    def getheader(self, name):
        return self._location

    def read(self, count):
        part, self._body = self._body[:count], self._body[count:]
        return part


def _play(monkeypatch, answers, addresses):
    """Connections give `answers` in turn; hosts resolve by `addresses`."""
    opened = []

    class Connection:
        def __init__(self, host, port, address, timeout_s):
            opened.append((host, address))

        def request(self, *args, **kwargs):
            pass

        def getresponse(self):
            return answers[len(opened) - 1]

        def close(self):
            pass

    monkeypatch.setattr(urls, "_PinnedConnection", Connection)
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, **kwargs: [(0, 0, 0, "", (addresses[host], port))],
    )
    return opened


def test_a_public_picture_is_fetched_from_the_address_that_was_checked(monkeypatch):
    answers = [_Answer(302, location="/b.png"), _Answer(http.client.OK, b"pixels")]
    opened = _play(monkeypatch, answers, {"a.example": "93.184.216.34"})
    assert urls.fetch("https://a.example/a.png") == b"pixels"
    assert opened == [("a.example", "93.184.216.34")] * 2


def test_a_redirect_inside_is_refused(monkeypatch):
    for location in ("https://b.example/", "http://a.example/", "file:///etc/passwd"):
        addresses = {"a.example": "93.184.216.34", "b.example": "169.254.169.254"}
        opened = _play(monkeypatch, [_Answer(301, location=location)], addresses)
        with pytest.raises(InputError):
            urls.fetch("https://a.example/a.png")
        assert len(opened) == 1


def test_endless_redirects_large_and_failing_answers_end(monkeypatch):
    monkeypatch.setattr(urls, "MAX_BYTES", 1000)
    for answer, said in (
        (_Answer(302, location="https://a.example/"), "redirects more than"),
        (_Answer(200, b"x" * 2000), "larger than"),
        (_Answer(404), "status 404"),
    ):
        _play(monkeypatch, [answer] * 9, {"a.example": "93.184.216.34"})
        with pytest.raises(InputError, match=said):
            urls.fetch("https://a.example/a.png")
