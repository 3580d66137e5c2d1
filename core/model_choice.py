"""Ways of seeing a photo, light to import."""

from enum import StrEnum


class Tiling(StrEnum):
    """When photos are seen in tiles; see `segmodel.tiling`."""

    AUTO = "auto"
    """Where small objects of a large photo need it."""
    ON = "on"
    OFF = "off"
