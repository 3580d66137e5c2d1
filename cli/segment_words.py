"""What the words of `sam3i segment` mean: pictures, and what to find in them."""

from collections.abc import Sequence
from pathlib import Path

from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.folders.pictures import SUFFIXES, is_pattern


def split_words(words: Sequence[str], table: Path | None) -> tuple[Sequence[str], str | None]:
    """Return the pictures and the instruction: the last of several words.

    Args:
        words: of the command line.
        table: that has the instructions; then all words are pictures.

    Raises:
        InputError: the last of several is a picture, where an instruction is due, or the other way
            round.
    """
    if table is not None:
        if len(words) > 1 and not (Path(words[-1]).exists() or is_pattern(words[-1])):
            raise InputError(
                f"{words[-1]!r} is no picture, and the texts are those of {table.name!r}",
                "leave it out, or --instructions",
            )
        return words, None
    if len(words) <= 1:
        return words, None
    *pictures, instruction = words
    if Path(instruction).suffix.lower() in SUFFIXES and Path(instruction).is_file():
        raise InputError(
            f"{instruction!r} is a picture, and behind the pictures an instruction is due",
            'such as "the person with the umbrella", or --instructions TABLE',
        )
    return pictures, instruction


def names_many(pictures: Sequence[str]) -> bool:
    """Whether these words name more than a single file."""
    return len(pictures) > 1 or any(Path(one).is_dir() or is_pattern(one) for one in pictures)
