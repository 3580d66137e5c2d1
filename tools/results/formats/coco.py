"""COCO: images, a category for each name, masks as compressed RLE: nothing is lost."""

import json
from typing import Any

from sam3i_agent.tools.results.formats.export import Export


def to_coco(export: Export) -> str:
    """Return COCO JSON of one image."""
    return json.dumps(
        {
            "images": [coco_image(export, 1)],
            "annotations": coco_annotations(export, 1, 1),
            "categories": coco_categories(export.categories),
        }
    )


def coco_image(export: Export, id_: int) -> dict[str, Any]:
    """Return the entry of the picture."""
    image = export.result.image
    return {
        "id": id_,
        "width": image.width,
        "height": image.height,
        "file_name": export.file_name,
    }


def coco_annotations(export: Export, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """Return the entries of the instances, numbered from `first_id`."""
    categories = export.categories
    rows = zip(export.result.instances, export.names, strict=True)
    return [
        {
            "id": id_,
            "image_id": image_id,
            "category_id": 1 + categories.index(name),
            "segmentation": one.mask.model_dump(mode="json"),
            "area": one.area,
            "bbox": [one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1]],
            "score": one.score,
            "iscrowd": 0,
        }
        for id_, (one, name) in enumerate(rows, start=first_id)
    ]


def coco_categories(names: list[str]) -> list[dict[str, Any]]:
    """Return the entries of the names, numbered from 1."""
    return [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
