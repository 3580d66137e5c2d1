"""Commands as they were once typed, and what they are now."""

from collections.abc import Sequence

RENAMED = {
    "scenes": "dataset scenes",
    "verify": "dataset verify",
    "benchmark": "evaluate scenes",
    "scorecard": "evaluate scorecard",
    "validate": "evaluate checkpoints",
}
"""Commands that went into a group."""
BECAME_GROUPS = {
    "dataset": "dataset build",
    "evaluate": "evaluate predictions",
    "convert": "convert checkpoint",
}
"""Groups that were commands: where a file or an option follows, the command is meant."""
_OF_GROUPS = ("--help",)


def new_name(arguments: Sequence[str]) -> str | None:
    """Return what the command of these arguments is called now; None where that has not changed.

    Args:
        arguments: of `sam3i`.
    """
    first, second = [*arguments[:2], "", ""][:2]
    if first in BECAME_GROUPS and _is_no_subcommand(second):
        return BECAME_GROUPS[first]
    return RENAMED.get(first)


def _is_no_subcommand(word: str) -> bool:
    is_option = word.startswith("-") and word not in _OF_GROUPS
    return is_option or "." in word or "/" in word
