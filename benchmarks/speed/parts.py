"""Parts of `sam3i bench guard`; light to import."""

from enum import StrEnum


class GuardPart(StrEnum):
    """What is measured together."""

    PEERS = "peers"
    """Answers beside transformers' own, as `sam3i bench peers`."""
    VERDICTS = "verdicts"
    """Masks verified together, as `sam3i bench agent`."""
    COLD_START = "cold-start"
    """The command beside its library, as `sam3i bench cold-start`; whole processes."""
