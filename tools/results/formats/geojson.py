"""GeoJSON: a multipolygon along the edges of pixels for each instance, with its holes.

Coordinates are pixels with y down, where the format has degrees: programs for maps show it upside
down, and beside Africa.
"""

import json

from sam3i_agent.tools.results.formats.export import Export
from sam3i_agent.tools.results.formats.outlines import outline


def to_geojson(export: Export) -> str:
    """Return a GeoJSON FeatureCollection in pixels, y down."""
    from shapely import to_geojson as geometry_of

    result = export.result
    rows = zip(result.instances, result.masks(), export.names, strict=True)
    features = [
        {
            "type": "Feature",
            "id": number,
            "properties": {
                "name": name,
                "score": one.score,
                "area": one.area,
                "picture": export.file_name,
            },
            "geometry": json.loads(geometry_of(outline(mask))),
        }
        for number, (one, mask, name) in enumerate(rows, start=1)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})
