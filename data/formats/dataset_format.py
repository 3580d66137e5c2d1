"""What a dataset format is: how it is recognised, and how its records are read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.files import read_json
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.records import Record

LevelOf = Callable[[str], InstructionLevel]
"""Reads a text's level off its words; for formats whose texts need not say it."""
DATA_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What a reader meets where an entry lacks something or holds something else."""


@dataclass(frozen=True)
class DatasetSource:
    """A file or folder that may be a dataset.

    Args:
        path: of it.
        level_of: reads the level of texts that do not say it; None where nobody can.
    """

    path: Path
    level_of: LevelOf | None = None

    @cached_property
    def content(self) -> Any:
        """The value of the JSON file.

        Raises:
            InputError: it cannot be read or is no JSON.
        """
        return read_json(self.path)

    @property
    def first_image(self) -> dict[str, Any] | None:
        """The first image entry of a COCO file; None of anything else."""
        if self.path.is_dir():
            return None
        try:
            first = self.content["images"][0]
        except (InputError, KeyError, IndexError, TypeError):
            return None
        return first if isinstance(first, dict) else None


@dataclass(frozen=True)
class DatasetFormat:
    """One format; the registry tries the formats in its order."""

    name: str
    title: str
    """As people call it."""
    mark: str
    """What it is told by, in words that follow "needs"."""
    is_folder: bool
    recognises: Callable[[DatasetSource], bool]
    """Looks at as little as it can; never raises."""
    read: Callable[[DatasetSource], list[Record]]
    """Raises an `InputError` that names what cannot be used."""
    has_texts: bool = True
    """Without them there is nothing to ask: masks to evaluate against."""
