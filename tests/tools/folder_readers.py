"""The exports of a folder as others read them: what each says of which picture."""

import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageDraw
from pycocotools.coco import COCO

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def read_coco(out: Path) -> dict[str, list[np.ndarray]]:
    """Masks by picture, by pycocotools."""
    coco = COCO(str(out / "coco.json"))
    ids = coco.getImgIds()
    assert len(ids) == len(coco.dataset["images"]) and len(coco.anns) == len(
        coco.dataset["annotations"]
    )
    images = coco.loadImgs(ids)
    found = {
        one["file_name"]: [
            coco.annToMask(each).astype(bool)
            for each in coco.loadAnns(coco.getAnnIds(imgIds=[one["id"]]))
        ]
        for one in images
    }
    assert len(found) == len(images)  # each picture once
    return found


def read_yolo(out: Path) -> dict[str, list[np.ndarray]]:
    """Masks by picture, by Ultralytics' rule: labels lie where `/images/` is `/labels/`.

    A ring is filled as its reader does it, so that edges may be a pixel off.
    """
    about = yaml.safe_load((out / "yolo" / "data.yaml").read_text())
    folder = out / "yolo" / about["train"]
    found: dict[str, list[np.ndarray]] = {}
    for link in sorted(folder.rglob("*")):
        if link.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        label = Path("/labels/".join(str(link).rsplit("/images/", 1)).rsplit(".", 1)[0] + ".txt")
        with Image.open(link) as image:
            size = image.size
        masks = []
        for line in label.read_text().splitlines():
            number, *ring = line.split()
            assert int(number) in about["names"]
            corners = np.array(ring, float).reshape(-1, 2)
            assert len(corners) >= 3 and corners.min() >= 0 and corners.max() <= 1
            drawn = Image.new("1", size)
            ImageDraw.Draw(drawn).polygon([tuple(one) for one in corners * size], fill=1)
            masks.append(np.asarray(drawn))
        file = str(link.resolve())
        assert file not in found
        found[file] = masks
    return found


def read_label_studio(out: Path) -> dict[str, int]:
    """Regions by picture."""
    tasks = json.loads((out / "label-studio.json").read_text())
    found = {one["data"]["image"]: len(one["predictions"][0]["result"]) for one in tasks}
    assert len(found) == len(tasks)
    return found
