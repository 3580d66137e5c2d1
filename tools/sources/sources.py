"""Pictures that a client names: a path, a data URI, an https URL, an earlier result."""

import asyncio
import base64
import binascii
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import MAX_FILE_BYTES, Photo, decode_photo, read_photo
from sam3i_agent.tools.results.store import Results
from sam3i_agent.tools.sources.urls import fetch

_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
_RESULT = re.compile(r"(?:sam3i://results/)?([0-9a-f]{16})(?:/.*)?")
_FILE = "file://"
_MAX_REFERENCE = 4096
"""Characters of a path or URL."""


@dataclass(frozen=True)
class ImageSource:
    """Opens what a client names, within what the server's owner allows."""

    results: Results
    roots: tuple[Path, ...] = ()
    """Resolved folders that a path must be in; none allows every path the server can read."""
    allow_urls: bool = False

    async def open(self, image: str) -> Photo:
        """Read a picture.

        Args:
            image: a path or file URI, a data URI, an https URL, or the id of an earlier result.

        Raises:
            InputError: it is not allowed, or cannot be read. Messages name no path outside the
                roots.
        """
        if "\0" in image:
            raise InputError("the image reference holds a NUL character")
        data_uri = _DATA_URI.match(image[:100])
        if data_uri:
            return await asyncio.to_thread(_from_base64, image[data_uri.end() :])
        if len(image) > _MAX_REFERENCE:
            raise InputError("the image reference is too long to be a path or a URL")
        if image.lower().startswith("data:"):
            raise InputError("the data URI must be data:image/...;base64,...")
        earlier = _RESULT.fullmatch(image)
        if earlier:
            stored = await asyncio.to_thread(self.results.get, earlier[1])
            return await asyncio.to_thread(stored.open_photo)
        if re.match(r"[a-z][a-z0-9+.-]+://", image, re.IGNORECASE) and not _is_file_uri(image):
            return await self._from_url(image)
        return await asyncio.to_thread(self._from_path, image)

    async def _from_url(self, url: str) -> Photo:
        if not url.lower().startswith("https://"):
            raise InputError("only https URLs are fetched", "send a path or a data URI")
        if not self.allow_urls:
            raise InputError(
                "this server fetches no URLs",
                "start it with --allow-urls, or send a path or a data URI",
            )
        return decode_photo(await asyncio.to_thread(fetch, url), "the URL's picture")

    def _from_path(self, image: str) -> Photo:
        return read_photo(self.path_of(image))

    def path_of(self, name: str) -> Path:
        """Return the resolved path of a file or folder that a client names.

        Raises:
            InputError: it is not allowed, or a device or a pipe. It may not exist.
        """
        if "\0" in name or len(name) > _MAX_REFERENCE:
            raise InputError("that is no path")
        path = _path_of_uri(name) if _is_file_uri(name) else Path(name).expanduser()
        try:
            resolved = path.resolve()
            inside = not self.roots or any(resolved.is_relative_to(root) for root in self.roots)
            if not inside:
                raise InputError(
                    "the path is outside the folders this server may read: "
                    + ", ".join(str(root) for root in self.roots),
                    "start it with --root FOLDER for another, or send a data URI",
                )
            kind = resolved.stat().st_mode if resolved.exists() else stat.S_IFREG
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError("the path cannot be read") from error
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise InputError(f"{path.name!r} is a device or a pipe, not a file")
        return resolved


def _is_file_uri(name: str) -> bool:
    return name[: len(_FILE)].lower() == _FILE


def _path_of_uri(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise InputError("a file URI of another machine cannot be read")
    path = unquote(parts.path)
    if "\0" in path:
        raise InputError("that is no path")
    return Path(url2pathname(parts.path))


def _from_base64(text: str) -> Photo:
    if len(text) > MAX_FILE_BYTES * 4 // 3:
        raise InputError("the data URI is too long")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("the data URI is not valid base64") from error
    return decode_photo(data, "the data URI")
