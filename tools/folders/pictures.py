"""Which pictures are meant, and what is asked about each."""

import codecs
import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sam3i_agent.agent.instructions import check_instruction
from sam3i_agent.core.contracts import LevelChoice, PictureText
from sam3i_agent.core.errors import InputError, Sam3iError

COLUMNS = ("file_name", "instruction")
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
"""Of the files in a folder that are taken for pictures; what cannot be read of them is said."""
OVERLAYS_FOLDER = "overlays"
THUMBNAILS_FOLDER = "thumbnails"
YOLO_FOLDER = "yolo"
"""Of the results, with pictures in them."""
RESULTS_NAME = "results.jsonl"
_WRITTEN = frozenset({OVERLAYS_FOLDER, THUMBNAILS_FOLDER, YOLO_FOLDER})
_MAGIC = frozenset("*?[")
_EVERYTHING = "**"
"""At the end of a pattern, for shells: all files below, not only folders."""
_SEPARATORS = ",;\t"
"""Of a table's columns; spreadsheets of many countries write semicolons."""
_SURPLUS = "\0"
"""Says of a row that it has values without a column."""


@dataclass(frozen=True)
class Picture:
    """A picture of many, and what is asked about it."""

    path: Path
    file: str
    """Its name among the others: relative to their folder, with slashes."""
    texts: tuple[PictureText, ...]


def find_pictures(words: Sequence[str], out: Path) -> dict[str, Path]:
    """Return the pictures that words name, in the order of their names.

    Args:
        words: files, folders, which are searched to the bottom, and patterns such as `a/*.jpg`.
        out: the folder for the results, whose pictures are not meant, as those of other results.

    Returns:
        By their names: relative to the folder that holds them all, with slashes.

    Raises:
        InputError: a word names nothing, or there are no pictures.
    """
    written = [out.absolute() / one for one in _WRITTEN]
    paths = {
        path: None
        for word in words
        for one in _files_of(word)
        if not any((path := one.absolute()).is_relative_to(folder) for folder in written)
    }
    if not paths:
        known = ", ".join(sorted(SUFFIXES))
        raise InputError(f"there are no pictures in {words[0]!r}", f"files end in {known}")
    root = _root_of(words, list(paths))
    return {name: path for path in paths if (name := path.relative_to(root).as_posix())}


def _root_of(words: Sequence[str], paths: Sequence[Path]) -> Path:
    """Return the folder that the pictures' names are relative to."""
    if len(words) == 1 and Path(words[0]).is_dir():
        return Path(words[0]).absolute()
    return Path(os.path.commonpath([one.parent for one in paths]))


def _files_of(word: str) -> Sequence[Path]:
    path = Path(word)
    if path.is_dir():
        return _pictures_of(path.rglob("*"), path)
    if path.is_file():
        return (path,)
    if is_pattern(word):
        pattern = path / "*" if path.name == _EVERYTHING else path
        matching = Path(path.anchor).glob(str(pattern.relative_to(path.anchor)))
        return _pictures_of((one.absolute() for one in matching), folder_of(word))
    raise InputError(f"there is no picture or folder {word!r}", "check the path")


def _pictures_of(paths: Iterable[Path], folder: Path) -> list[Path]:
    """Return the pictures among paths in a folder, by their names.

    Without hidden ones, and those that earlier runs wrote there; with links that lead nowhere, so
    that somebody says it.
    """
    known: dict[Path, bool] = {}
    return sorted(
        one
        for one in paths
        if one.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in one.relative_to(folder).parts)
        and (one.is_file() or (one.is_symlink() and not one.exists()))
        and not _is_written(one.parent, known)
    )


def _is_written(folder: Path, known: dict[Path, bool]) -> bool:
    """Whether a run over many pictures wrote a folder, or one that it is in."""
    if folder not in known:
        known[folder] = (folder.name in _WRITTEN and (folder.parent / RESULTS_NAME).is_file()) or (
            folder != folder.parent and _is_written(folder.parent, known)
        )
    return known[folder]


def is_pattern(word: str) -> bool:
    """Whether a word is no file, and one that stands for several."""
    return not _MAGIC.isdisjoint(word) and not Path(word).exists()


def folder_of(word: str) -> Path:
    """Return the folder that a word's pictures are in: itself, or the lowest one that it names."""
    path = Path(word).absolute()
    if path.is_dir():
        return path
    return next(one for one in path.parents if _MAGIC.isdisjoint(str(one)) or one.is_dir())


def same_text(
    pictures: Mapping[str, Path], instruction: str, level: LevelChoice = LevelChoice.AUTO
) -> list[Picture]:
    """Return the pictures, each to be asked the same.

    Raises:
        InputError: the instruction cannot be used.
    """
    texts = (PictureText(instruction=check_instruction(instruction), level=level),)
    return [Picture(path, file, texts) for file, path in pictures.items()]


def own_texts(
    pictures: Mapping[str, Path], texts: Mapping[str, Sequence[PictureText]], source: str
) -> list[Picture]:
    """Return the pictures that have texts of their own.

    Args:
        pictures: by name.
        texts: by the pictures' names, as in `pictures` or with more or fewer folders, where that
            says which.
        source: where the texts are from, for messages.

    Raises:
        InputError: texts are about a picture that is not there; or no picture has any.
    """
    short: dict[str, list[str]] = {}
    for file in pictures:
        short.setdefault(file.rsplit("/", 1)[-1], []).append(file)
    found: dict[str, dict[PictureText, None]] = {}
    missing: list[str] = []
    for name, some in texts.items():
        name = name if name in pictures else name.replace("\\", "/")  # as Windows writes it
        known = short.get(name.rsplit("/", 1)[-1], [])
        files = [name] if name in pictures else [one for one in known if _same_file(one, name)]
        if len(files) != 1:
            missing.append(name)
            continue
        found.setdefault(files[0], {}).update(dict.fromkeys(some))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{source!r} has texts about {missing[0]!r}{more}, which is none of the pictures",
            "name pictures as in their folder",
        )
    return [
        Picture(path, file, tuple(found[file])) for file, path in pictures.items() if file in found
    ]


def _same_file(a: str, b: str) -> bool:
    """Whether two names differ by folders alone that one of them leaves out."""
    return f"/{a}".endswith(f"/{b}") or f"/{b}".endswith(f"/{a}")


def read_texts(table: Path, level: LevelChoice = LevelChoice.AUTO) -> dict[str, list[PictureText]]:
    """Read a CSV table with the columns `file_name`, `instruction` and, if you like, `level`.

    Args:
        table: the file, in UTF-8, or in UTF-16 with its mark; a picture may have several rows. What
            separates columns is a comma, a semicolon or a tab, as the first line has it.
        level: how texts are read whose row does not say it.

    Returns:
        By the pictures' names.

    Raises:
        InputError: it cannot be read, or a row cannot be used; the message names the row.
    """
    columns = f"columns: {', '.join(COLUMNS)}, level"
    try:
        rows = list(_rows_of(table.read_bytes()))
    except OSError as error:
        raise InputError(f"{str(table)!r} cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"{str(table)!r} cannot be read: {error}", "save it as CSV in UTF-8"
        ) from error
    found: dict[str, list[PictureText]] = {}
    for number, row in rows:
        where = f"{table.name}, row {number}"
        if any(row.get(column) is None for column in COLUMNS):
            raise InputError(f"{where} lacks a column", columns)
        if _SURPLUS in row:
            raise InputError(
                f"{where} has more columns than the first line",
                "put a text with a comma between quotes",
            )
        try:
            text = PictureText(
                instruction=check_instruction(row["instruction"]),
                level=LevelChoice((row.get("level") or "").strip().lower() or level),
            )
        except ValueError as error:
            raise InputError(f"{where}: {error}", f"levels: {', '.join(LevelChoice)}") from error
        except Sam3iError as error:
            raise InputError(f"{where}: {error.message}", error.hint) from error
        found.setdefault(row["file_name"].strip(), []).append(text)
    if not found:
        raise InputError(f"{table.name!r} has no rows", columns)
    return found


def _rows_of(data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield a table's rows, with numbers as a spreadsheet counts them, the first line being 1.

    The columns go by their names in small letters; a row with values beyond them has `_SURPLUS`.

    Raises:
        ValueError: the text is in another encoding.
        csv.Error: it is no table.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if wide else "utf-8-sig")
    separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
    lines = io.StringIO(text, newline="")
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    names = [one.strip().lower() for one in next(rows, [])]
    for number, row in enumerate(rows, start=2):
        if row:
            surplus = {_SURPLUS: ""} if len(row) > len(names) else {}
            yield number, {**dict(zip(names, row, strict=False)), **surplus}
