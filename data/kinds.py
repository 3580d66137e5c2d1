"""Names for kinds of instructions and of scenes."""

from enum import StrEnum


class InstructionKind(StrEnum):
    """What it takes to understand a text of a generated scene; datasets may have other words."""

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


class SceneStyle(StrEnum):
    """What generated scenes look like and show."""

    SHAPES = "shapes"
    """Geometric shapes, flat colours, plain backgrounds (`data.scenes`)."""
    EVERYDAY = "everyday"
    """Everyday things and shapes, lit and taken like a photo (`data.everyday`), with texts that
    say it otherwise (`data.rewording`)."""
