"""Frames of a video file or of a folder, one at a time, and writing a video (extra `video`)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam3i_agent.core.errors import InputError, ModelError, StorageError
from sam3i_agent.core.photo import read_photo

_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
FOLDER_RATE = 25.0
"""Frames per second of a folder, which does not say."""


@dataclass(frozen=True)
class Frame:
    """One picture of a clip, upright."""

    index: int
    """From 0."""
    time_s: float
    """As the file says, so a variable frame rate is kept."""
    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""


def read_frames(path: Path, start: int = 0) -> Iterator[Frame]:
    """Read a clip frame by frame; only one frame is held at a time.

    Args:
        path: a video file, or a folder of pictures in the order of the numbers in their names.
        start: index of the first frame to return.

    Raises:
        InputError: it is no video, is damaged (the message says after which frame), has no frames,
            or its frames differ in size.
        ModelError: PyAV is not installed.
    """
    frames = _from_folder(path, start) if path.is_dir() else _from_file(path, start)
    size: tuple[int, ...] | None = None
    for frame in frames:
        if size is not None and frame.pixels.shape != size:
            raise InputError(
                f"frame {frame.index} of {path.name!r} is {frame.pixels.shape[1]}x"
                f"{frame.pixels.shape[0]} pixels, those before {size[1]}x{size[0]}"
            )
        size = frame.pixels.shape
        yield frame
    if size is None and start == 0:
        raise InputError(f"{path.name!r} has no frames")


def _from_folder(path: Path, start: int) -> Iterator[Frame]:
    pictures = sorted(
        (one for one in path.iterdir() if one.suffix.lower() in _IMAGE_SUFFIXES), key=_numbers
    )
    for index, one in enumerate(pictures[start:], start=start):
        yield Frame(index, index / FOLDER_RATE, read_photo(one).pixels)


def _numbers(path: Path) -> list[tuple[int, str]]:
    """Order frame2 before frame10."""
    parts = re.findall(r"\d+|\D+", path.stem)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _from_file(path: Path, start: int) -> Iterator[Frame]:
    av = _av()
    if not path.is_file():
        raise InputError(f"there is no video {str(path)!r}", "check the path")
    index = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path.name!r} holds no video")
            for frame in container.decode(video=0):
                if index >= start:
                    turns = round(getattr(frame, "rotation", 0) / 90) % 4
                    pixels = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
                    yield Frame(index, float(frame.time or 0.0), pixels)
                index += 1
    except av.FFmpegError as error:
        raise InputError(
            f"{path.name!r} is damaged or no video"
            + (f"; it can be read up to frame {index - 1}" if index else "")
            + f" ({error.strerror or error})",
            "download or export it again",
        ) from error


@contextmanager
def write_video(path: Path, rate: float) -> Iterator[Any]:
    """Open a video to write; call what is yielded with each picture and its time in seconds.

    Args:
        path: an .mp4 file.
        rate: frames per second, nominally; the given times count.

    Raises:
        StorageError: it cannot be written.
        ModelError: PyAV is not installed.
    """
    av = _av()
    ticks = Fraction(1, 90_000)
    try:
        with av.open(str(path), "w") as container:
            stream: Any = None

            def write(picture: Image.Image, time_s: float) -> None:
                nonlocal stream
                even = picture.crop((0, 0, picture.width // 2 * 2, picture.height // 2 * 2))
                if stream is None:
                    nominal = Fraction(rate).limit_denominator(1001)
                    stream = container.add_stream("h264", rate=nominal)
                    stream.width, stream.height = even.size
                    stream.pix_fmt = "yuv420p"
                    stream.codec_context.time_base = ticks
                frame = av.VideoFrame.from_image(even)
                frame.time_base, frame.pts = ticks, round(time_s / ticks)
                container.mux(stream.encode(frame))

            yield write
            if stream is not None:
                container.mux(stream.encode())
    except (OSError, av.FFmpegError) as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error}") from error


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ModelError(
            "videos need PyAV", "install the extra: pip install 'sam3i-agent[video]'"
        ) from error
    return av
