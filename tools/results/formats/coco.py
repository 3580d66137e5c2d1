"""COCO: one image, a category for each name, masks as compressed RLE: nothing is lost."""

import json

from sam3i_agent.tools.results.formats.export import Export


def to_coco(export: Export) -> str:
    """Return COCO JSON."""
    result, categories = export.result, export.categories
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": 1 + categories.index(name),
            "segmentation": one.mask.model_dump(mode="json"),
            "area": one.area,
            "bbox": [one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1]],
            "score": one.score,
            "iscrowd": 0,
        }
        for number, (one, name) in enumerate(
            zip(result.instances, export.names, strict=True), start=1
        )
    ]
    image = {"id": 1, "width": result.image.width, "height": result.image.height}
    return json.dumps(
        {
            "images": [{**image, "file_name": export.file_name}],
            "annotations": annotations,
            "categories": [
                {"id": number, "name": name} for number, name in enumerate(categories, start=1)
            ],
        }
    )
