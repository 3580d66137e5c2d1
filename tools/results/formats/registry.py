"""Results in the formats of other tools: COCO, GeoJSON, YOLO, SVG, Label Studio."""

import io
import json
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from sam3i_agent.core.contracts import SegmentationResult
from sam3i_agent.core.drawing import draw_marks
from sam3i_agent.core.photo import Photo
from sam3i_agent.tools.results.polygons import polygons_of

_PERCENT = 100.0


def to_coco(result: SegmentationResult) -> str:
    """Return COCO JSON with one image and compressed RLE."""
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": 1,
            "segmentation": one.mask.model_dump(mode="json"),
            "area": one.area,
            "bbox": [one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1]],
            "score": one.score,
            "iscrowd": 0,
        }
        for number, one in enumerate(result.instances, start=1)
    ]
    image = {"id": 1, "width": result.image.width, "height": result.image.height}
    return json.dumps(
        {
            "images": [{**image, "file_name": result.image.sha256}],
            "annotations": annotations,
            "categories": [{"id": 1, "name": result.instruction}],
        }
    )


def to_geojson(result: SegmentationResult) -> str:
    """Return a GeoJSON FeatureCollection in pixels, y down; holes by the even-odd rule."""
    features = [
        {
            "type": "Feature",
            "id": number,
            "properties": {"instruction": result.instruction, "score": one.score},
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": [[[*ring, ring[0]]] for ring in polygons_of(mask)],
            },
        }
        for number, (one, mask) in enumerate(
            zip(result.instances, result.masks(), strict=True), start=1
        )
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def to_yolo(result: SegmentationResult) -> str:
    """Return YOLO lines: class 0 and the largest outline, in shares of the image's sides."""
    size = (result.image.width, result.image.height)
    lines: list[str] = []
    for mask in result.masks():
        rings = polygons_of(mask)
        if rings:
            ring = max(rings, key=len)
            numbers = [
                f"{value / side:.6f}"
                for point in ring
                for value, side in zip(point, size, strict=True)
            ]
            lines.append(" ".join(["0", *numbers]))
    return "\n".join(lines) + "\n" if lines else ""


def to_svg(result: SegmentationResult) -> str:
    """Return an SVG of the photo's size with one path per instance."""
    paths = [
        f'<path id="instance-{number}" fill-rule="evenodd" fill-opacity="0.45" fill="hsl('
        f'{(number * 137) % 360},80%,50%)" d="'
        + "".join("M" + "L".join(f"{x} {y}" for x, y in ring) + "Z" for ring in polygons_of(mask))
        + '"/>'
        for number, mask in enumerate(result.masks(), start=1)
    ]
    width, height = result.image.width, result.image.height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><title>{escape(result.instruction)}</title>'
        + "".join(paths)
        + "</svg>\n"
    )


def to_label_studio(result: SegmentationResult) -> str:
    """Return a Label Studio task with one polygon per outline, in percent of the sides."""
    width, height = result.image.width, result.image.height
    regions: list[dict[str, Any]] = []
    for one, mask in zip(result.instances, result.masks(), strict=True):
        for ring in polygons_of(mask):
            points = [[_PERCENT * x / width, _PERCENT * y / height] for x, y in ring]
            regions.append(
                {
                    "type": "polygonlabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": width,
                    "original_height": height,
                    "score": one.score,
                    "value": {
                        "points": points,
                        "closed": True,
                        "polygonlabels": [result.instruction],
                    },
                }
            )
    return json.dumps([{"data": {}, "predictions": [{"result": regions}]}])


TEXT_FORMATS: dict[str, tuple[str, Callable[[SegmentationResult], str]]] = {
    "coco.json": ("application/json", to_coco),
    "geojson": ("application/geo+json", to_geojson),
    "yolo.txt": ("text/plain", to_yolo),
    "svg": ("image/svg+xml", to_svg),
    "label-studio.json": ("application/json", to_label_studio),
}
"""Name of the resource to its media type and writer."""


def overlay_png(result: SegmentationResult, photo: Photo, max_side: int) -> bytes:
    """Draw the photo with the instances numbered, as PNG."""
    return _png(draw_marks(photo.pixels, result.masks(), max_side=max_side))


def mask_png(result: SegmentationResult, number: int) -> bytes:
    """Draw the mask of instance `number` (from 1) as a 1-bit PNG of the photo's size."""
    return _png(Image.fromarray(np.ascontiguousarray(result.masks()[number - 1])))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
