"""A journal: a file of JSON lines that a killed run goes on behind.

Each line reaches the disk before the next step starts, so that a crash loses at most the one that
was being written. What it leaves of it is no line: readers pass over it, `repair` cuts it off.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.files import write_whole

Line = TypeVar("Line", bound=BaseModel)


class Journal(Generic[Line]):
    """Values of one kind, a line each.

    Args:
        path: the file; where there is none, the journal is empty.
        kind: of the values.

    Example:
        >>> journal = Journal(out / "tracks.jsonl", TrackedFrame)
        >>> journal.repair()
        >>> done = sum(1 for _ in journal)
        >>> journal.append(TrackedFrame(frame=done, time_s=0.0, instances=[]))
    """

    def __init__(self, path: Path, kind: type[Line]) -> None:
        self.path = path
        self._kind = kind

    def __iter__(self) -> Iterator[Line]:
        """Read whole lines, one at a time.

        Raises:
            StorageError: a whole line is no such value, or the file cannot be read.
        """
        for number, line in enumerate(self._whole_lines(), start=1):
            try:
                yield self._kind.model_validate_json(line)
            except ValidationError as error:
                raise StorageError(f"line {number} of {self.path.name!r} is damaged") from error

    def append(self, value: Line) -> None:
        """Add a line that a crash of the machine will not take back.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as lines:
                lines.write(_line(value))
                lines.flush()
                os.fsync(lines.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def repair(self) -> None:
        """Cut off what a crash left of the last line, so that the file can be appended to.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            if self.path.exists():
                os.truncate(self.path, sum(len(line) for line in self._whole_lines()))
        except OSError as error:
            raise self._unwritable(error) from error

    def rewrite(self, values: Iterable[Line]) -> None:
        """Replace all lines, in one step.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            write_whole(self.path, "".join(_line(value) for value in values))
        except OSError as error:
            raise self._unwritable(error) from error

    def keep(self, wanted: Callable[[Line], bool]) -> None:
        """Drop the lines that are not wanted, and what a crash left of the last.

        Raises:
            StorageError: it cannot be written, or a whole line is damaged.
        """
        if self.path.exists():
            self.rewrite([value for value in self if wanted(value)])

    def _whole_lines(self) -> Iterator[bytes]:
        if not self.path.exists():
            return
        try:
            with self.path.open("rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        return
                    yield line
        except OSError as error:
            raise StorageError(f"{str(self.path)!r} cannot be read: {error.strerror}") from error

    def _unwritable(self, error: OSError) -> StorageError:
        return StorageError(f"{str(self.path)!r} cannot be written: {error.strerror}")


def _line(value: BaseModel) -> str:
    return value.model_dump_json() + "\n"
