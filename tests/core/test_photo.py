"""Image files, odd and bad: the right upright pixels, or one clear error."""

import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import MAX_PIXELS, read_photo, read_size_hw, readable_formats


def _png_header_only(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def _noise(width: int = 40, height: int = 30) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_plain_photo(tmp_path: Path):
    _noise().save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.pixels, np.array(_noise()))
    assert photo.size_hw == (30, 40) and photo.notes == () and len(photo.sha256) == 64


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_gives_the_upright_photo(tmp_path: Path, orientation: int):
    upright = Image.new("RGB", (40, 30), "white")
    upright.paste("red", (0, 0, 20, 15))  # red is top left when upright
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.transpose(undo[orientation]).save(tmp_path / "a.png", exif=exif)
    photo = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.pixels, np.array(upright))
    assert any("turned upright" in note for note in photo.notes)


def test_cmyk_sixteen_bit_and_transparency(tmp_path: Path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    red = read_photo(tmp_path / "cmyk.jpg").pixels[4, 4].astype(int)
    assert red[0] > 200 and red[1] < 60 and red[2] < 60

    wide = np.full((8, 8), 32896, dtype=np.uint16)  # half of 65535
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert read_photo(tmp_path / "wide.png").pixels[0, 0].tolist() == [128, 128, 128]

    palette = Image.new("RGBA", (8, 8), (255, 0, 0, 0)).quantize(4)
    palette.save(tmp_path / "palette.png", transparency=0)
    assert read_photo(tmp_path / "palette.png").pixels[0, 0].tolist() == [255, 255, 255]

    Image.new("L", (8, 8), 77).save(tmp_path / "grey.png")
    assert read_photo(tmp_path / "grey.png").pixels[0, 0].tolist() == [77, 77, 77]


def test_pictures_of_telephones_are_read(tmp_path: Path):
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), "red")).save(tmp_path / "a.heic")
    Image.new("RGB", (64, 48), "red").save(tmp_path / "a.avif")
    for name in ("a.heic", "a.avif"):
        photo = read_photo(tmp_path / name)
        assert photo.size_hw == (48, 64) and photo.pixels[20, 20, 0] > 200
        assert read_size_hw(tmp_path / name) == (48, 64)


def test_without_its_extra_heic_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pillow_heif.from_pillow(_noise()).save(tmp_path / "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    readable_formats.cache_clear()
    try:
        with pytest.raises(InputError, match=r"not an image this tool reads.*sam3i-agent\[heic\]"):
            read_photo(tmp_path / "a.heic")
    finally:
        readable_formats.cache_clear()


def test_of_several_frames_or_pages_the_first_is_read_and_that_is_said(tmp_path: Path):
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.tif", "a.png"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        photo = read_photo(tmp_path / name)
        assert photo.pixels[4, 4, 0] > 200 > photo.pixels[4, 4, 2]
        assert photo.notes == ("of several frames or pages the first was read",)


def test_pillow_warns_of_nothing_in_any_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # of which a picture of 1,200 has more
    _noise().save(tmp_path / "a.png")
    with ThreadPoolExecutor(8) as pool, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        list(pool.map(read_photo, [tmp_path / "a.png"] * 200))
    assert not said


def _truncated_jpeg(folder: Path) -> Path:
    _noise(400, 300).save(folder / "whole.jpg")
    path = folder / "cut.jpg"
    path.write_bytes((folder / "whole.jpg").read_bytes()[:3000])
    return path


def _write(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def _one_pixel(folder: Path) -> Path:
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    return folder / "dot.png"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.png", "there is no image file"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: _write(folder, "a.png", b""), "is empty"),
        (lambda folder: _write(folder, "a.png", b"hello, world"), "is not an image"),
        (lambda folder: _write(folder, "a.svg", b"<svg/>"), "is not an image"),
        (_truncated_jpeg, "is damaged"),
        (lambda folder: _write(folder, "a.png", _png_header_only(300, 300)), "is damaged"),
        (_one_pixel, "1x1 pixels, too small"),
        (lambda f: _write(f, "a.png", _png_header_only(20_000, 20_000)), "at most 100 megapixels"),
        (lambda f: _write(f, "a.png", _png_header_only(10_001, 10_000)), "10001x10000 pixels"),
        (lambda f: _write(f, "a.png", _png_header_only(2**31 - 1, 2**31 - 1)), "at most 100 meg"),
    ],
)
def test_unusable_files(tmp_path: Path, make, message):
    with pytest.raises(InputError, match=message):
        read_photo(make(tmp_path))
    assert MAX_PIXELS < 10_001 * 10_000
