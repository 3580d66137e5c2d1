"""The formats by the names of their resources and files."""

from collections.abc import Callable

from sam3i_agent.tools.results.formats.coco import to_coco
from sam3i_agent.tools.results.formats.cvat import to_cvat
from sam3i_agent.tools.results.formats.export import Export
from sam3i_agent.tools.results.formats.geojson import to_geojson
from sam3i_agent.tools.results.formats.label_studio import to_label_studio
from sam3i_agent.tools.results.formats.svg import to_svg
from sam3i_agent.tools.results.formats.yolo import to_yolo

TEXT_FORMATS: dict[str, tuple[str, Callable[[Export], str]]] = {
    "coco.json": ("application/json", to_coco),
    "geojson": ("application/geo+json", to_geojson),
    "yolo.txt": ("text/plain", to_yolo),
    "svg": ("image/svg+xml", to_svg),
    "label-studio.json": ("application/json", to_label_studio),
    "cvat.xml": ("application/xml", to_cvat),
}
"""Name of the resource to its media type and writer."""
