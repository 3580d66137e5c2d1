"""What an instruction takes to be understood."""

from enum import StrEnum


class InstructionKind(StrEnum):
    """Of the texts of generated scenes; datasets may have words of their own."""

    RELATION = "relation"
    """To another thing: beside it, nearest to it."""
    ORDER = "order"
    """First or last of several, along a direction."""
    POSITION = "position"
    """In a part of the picture."""
    SIZE = "size"
    COLOUR = "colour"
    NUMBER = "number"
    EXCEPTION = "exception"
    """All but some, or the one that differs."""
    FUNCTION = "function"
    """What a thing does, or looks like."""
    ABSENT = "absent"
    """Nothing fits."""
