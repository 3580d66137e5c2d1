"""Which model, where it runs and how it sees photos, light to import."""

from dataclasses import dataclass
from enum import StrEnum


class Tiling(StrEnum):
    """When photos are seen in tiles; see `segmodel.tiling`."""

    AUTO = "auto"
    """Where small objects of a large photo need it."""
    ON = "on"
    OFF = "off"


@dataclass(frozen=True)
class ModelChoice:
    """A model that is yet to be loaded."""

    name: str = "tiny"
    """`tiny`, a folder, an official checkpoint file or a hub id; see
    `segmodel.checkpoints.loading.load_segmenter`."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    tiling: Tiling = Tiling.AUTO
