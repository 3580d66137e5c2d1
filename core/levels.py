"""Instruction levels."""

from enum import StrEnum


class InstructionLevel(StrEnum):
    """How much a text asks of the model; it selects the adapters that run."""

    CONCEPT = "concept"
    """A noun phrase; no adapter (official `text_type` 1)."""
    SIMPLE = "simple"
    """Attributes, position, relation, action (official `text_type` 2)."""
    COMPLEX = "complex"
    """Function, intent, reasoning; the target is not named (official `text_type` 4)."""
