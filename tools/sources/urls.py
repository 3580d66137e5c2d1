"""Fetching a picture from an https URL that a client named, without reaching anything private.

Every host, also of a redirect, is resolved first; only if all of its addresses are public is one of
them connected to, and the connection goes to that very address, so that a second DNS answer cannot
lead elsewhere.
"""

import http.client
import ipaddress
import socket
import ssl
import time
from urllib.parse import urljoin, urlsplit

from sam3i_agent.core.errors import InputError

MAX_BYTES = 32 * 1024 * 1024
TIMEOUT_S = 10.0
"""Of the whole fetch."""
_MAX_REDIRECTS = 3
_CHUNK = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def fetch(url: str) -> bytes:
    """Return the bytes behind an https URL.

    Raises:
        InputError: it is no https URL, leads to an address that is not public, is too large or too
            slow, or does not answer with 200.
    """
    deadline = time.monotonic() + TIMEOUT_S
    for _ in range(_MAX_REDIRECTS + 1):
        host, port, target = _parts(url)
        address = _public_address(host, port)
        connection = _PinnedConnection(host, port, address, max(0.1, deadline - time.monotonic()))
        try:
            connection.request("GET", target, headers={"User-Agent": "sam3i", "Accept": "image/*"})
            answer = connection.getresponse()
            location = answer.getheader("location")
            if answer.status in _REDIRECTS and location:
                url = urljoin(url, location)
                continue
            if answer.status != http.client.OK:
                raise InputError(f"the URL answered with status {answer.status}")
            return _read(answer, deadline)
        except (OSError, http.client.HTTPException) as error:
            raise InputError("the URL could not be fetched") from error
        finally:
            connection.close()
    raise InputError(f"the URL redirects more than {_MAX_REDIRECTS} times")


def _parts(url: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError as error:
        raise InputError("the URL is not valid") from error
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
        raise InputError("only plain https URLs are fetched")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(ord(character) <= 32 or ord(character) > 126 for character in target):
        raise InputError("the URL is not valid")
    return parts.hostname, port, target


def _public_address(host: str, port: int) -> str:
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise InputError("the URL's host is not known") from error
    addresses = [ipaddress.ip_address(str(one).split("%")[0]) for one in found]
    if not addresses or not all(_is_public(one) for one in addresses):
        raise InputError("the URL leads to an address that is not public")
    return str(addresses[0])


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    return address.is_global and not address.is_multicast


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    data = bytearray()
    while chunk := answer.read(_CHUNK):
        data += chunk
        if len(data) > MAX_BYTES:
            raise InputError(f"the URL's picture is larger than {MAX_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise InputError("the URL is too slow")
    return bytes(data)


class _PinnedConnection(http.client.HTTPSConnection):
    """Connects to one address, and checks the certificate against the host's name."""

    def __init__(self, host: str, port: int, address: str, timeout_s: float) -> None:
        self._tls = ssl.create_default_context()
        super().__init__(host, port, timeout=timeout_s, context=self._tls)
        self._address = address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
