"""Each export says what the result says, read back by the program that it is for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.results import empty_result, instance_of, with_instances
from sam3i_agent.tools.results.formats.export import Export
from sam3i_agent.tools.results.formats.label_studio import brush_rle
from sam3i_agent.tools.results.formats.outlines import outline, single_ring
from sam3i_agent.tools.results.formats.registry import TEXT_FORMATS
from sam3i_agent.tools.results.notebook import Shown
from sam3i_agent.tools.results.polygons import polygons_of
from tests.conftest import block

SIDE = 100


def _holed() -> np.ndarray:
    mask = block(10, 20, 60, 70)
    mask[35:55, 25:45] = False
    mask[22:24, 12:14] = False
    mask[40:45, 30:35] = True  # an island in the hole
    return mask


def _parts() -> np.ndarray:
    mask = block(2, 2, 10, 12) | block(80, 80, 90, 95) | block(40, 3, 41, 4)
    mask[12, 10] = True  # touches the first by a corner alone
    return mask


def _speck() -> np.ndarray:
    return block(99, 0, 100, 1)


def _ragged() -> np.ndarray:
    return np.random.default_rng(5).random((SIDE, SIDE)) < 0.5


SHAPES = {
    "holed": _holed(), "parts": _parts(), "speck": _speck(), "ragged": _ragged(),
    "all": np.ones((SIDE, SIDE), bool),
}  # fmt: skip


def _export(masks: list[np.ndarray], labels: list[str] | None = None) -> Export:
    photo = Photo(np.zeros((SIDE, SIDE, 3), np.uint8), "ab" * 32, name="desk & chair.png")
    found = []
    for number, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        one = Masks.encode([mask], (SIDE, SIDE))
        found.append(instance_of(one, tuple(map(float, box)), 0.9 - number / 1000))
    return Export(with_instances(empty_result(photo), found, "made"), labels or ())


@pytest.fixture(params=["shapes", "nothing", "many"])
def case(request: pytest.FixtureRequest) -> Iterator[tuple[Export, list[np.ndarray]]]:
    masks = {
        "shapes": list(SHAPES.values()),
        "nothing": [],
        "many": [
            block(5 * (i % 20), 9 * (i // 20), 5 * (i % 20) + 4, 9 * (i // 20) + 8)
            for i in range(200)
        ],
    }[request.param]
    labels = ["mug <red>" if i % 3 else 'a "chair"' for i in range(len(masks))]
    yield _export(masks, labels), masks


def _write(export: Export, name: str) -> str:
    return TEXT_FORMATS[name][1](export)


def _area(ring: np.ndarray) -> float:
    x, y = ring.T
    return float(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2


@pytest.mark.parametrize("name", SHAPES)
def test_an_outline_has_the_area_of_its_pixels(name: str):
    mask = SHAPES[name]
    shape = outline(mask)
    assert shape.is_valid and shape.area == mask.sum()
    assert abs(_area(single_ring(shape))) == mask.sum()
    assert len(polygons_of(mask)) == sum(1 + len(part.interiors) for part in shape.geoms)


def test_coco_by_pycocotools(case, tmp_path: Path):
    export, masks = case
    path = tmp_path / "coco.json"
    path.write_text(_write(export, "coco.json"))
    coco = COCO(str(path))
    (image,) = coco.loadImgs(coco.getImgIds())
    assert image["file_name"] == "desk & chair.png"
    annotations = coco.loadAnns(coco.getAnnIds())
    assert len(annotations) == len(masks)
    for one, mask, name in zip(annotations, masks, export.names, strict=True):
        assert np.array_equal(coco.annToMask(one), mask)
        assert one["area"] == mask.sum() and coco.cats[one["category_id"]]["name"] == name


def test_geojson_by_shapely(case):
    shapely = pytest.importorskip("shapely")
    export, masks = case
    collection = json.loads(_write(export, "geojson"))
    assert len(collection["features"]) == len(masks)
    for one, mask in zip(collection["features"], masks, strict=True):
        shape = shapely.from_geojson(json.dumps(one["geometry"]))
        assert shape.is_valid and shape.area == mask.sum() == one["properties"]["area"]
        assert one["properties"]["picture"] == "desk & chair.png"


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_yolo_by_supervision(case, tmp_path: Path):
    supervision = pytest.importorskip("supervision")
    export, masks = case
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "images" / "x.png")
    (tmp_path / "labels" / "x.txt").write_text(_write(export, "yolo.txt"))
    names = {"names": export.categories, "nc": len(export.categories)}
    (tmp_path / "data.yaml").write_text(json.dumps(names))
    read = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "data.yaml")
    )
    (detections,) = read.annotations.values()
    assert len(detections) == len(masks)
    boxes = np.array([one.box for one in export.result.instances]).reshape(-1, 4)
    assert np.allclose(detections.xyxy, boxes, atol=0.01)
    assert [export.categories[i] for i in detections.class_id] == export.names
    for line, mask in zip(_write(export, "yolo.txt").splitlines(), masks, strict=True):
        ring = np.array(line.split()[1:], float).reshape(-1, 2) * SIDE
        assert abs(_area(ring)) == pytest.approx(mask.sum(), abs=1e-3)


def test_svg_by_a_renderer(case):
    resvg = pytest.importorskip("resvg_py")
    import io

    export, masks = case
    root = ElementTree.fromstring(_write(export, "svg"))
    paths = root.findall("{*}path")
    assert [one.find("{*}title").text for one in paths] == [
        f"{number}: {name}" for number, name in enumerate(export.names, start=1)
    ]
    for path, mask in zip(paths[:5], masks[:5], strict=True):
        alone = ElementTree.Element(root.tag, root.attrib)
        alone.append(path)
        path.set("fill-opacity", "1")
        path.set("shape-rendering", "crispEdges")
        data = bytes(resvg.svg_to_bytes(svg_string=ElementTree.tostring(alone, encoding="unicode")))
        drawn = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[..., 3] > 127
        assert np.array_equal(drawn, mask)


def test_label_studio_by_its_converter(case):
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    export, masks = case
    (task,) = json.loads(_write(export, "label-studio.json"))
    assert task["data"] == {"image": "desk & chair.png"}
    regions = task["predictions"][0]["result"]
    assert len(regions) == len(masks)
    for one, mask, name in list(zip(regions, masks, export.names, strict=True))[:6]:
        assert one["value"]["brushlabels"] == [name]
        decoded = brush.decode_rle(one["value"]["rle"]).reshape(SIDE, SIDE, 4)
        assert np.array_equal(decoded[..., 3] > 0, mask)


def _unpacked(code: list[int]) -> np.ndarray:
    """Read Label Studio's code by its description."""
    bits = "".join(f"{byte:08b}" for byte in code)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    count, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        same = take(1)
        length = take(sizes[take(2)]) + 1
        values += [take(word)] * length if same else [take(word) for _ in range(length)]
    return np.array(values)


@pytest.mark.parametrize("name", SHAPES)
def test_the_brush_code_holds_every_pixel(name: str):
    mask = SHAPES[name]
    values = _unpacked(brush_rle(mask)).reshape(SIDE, SIDE, 4)
    assert all(np.array_equal(values[..., i] == 255, mask) for i in range(4))
    wide = np.zeros((300, 400), bool)  # runs longer than the longest that the code has
    assert not _unpacked(brush_rle(wide)).any()


def test_cvat_by_datumaro(case, tmp_path: Path):
    datumaro = pytest.importorskip("datumaro")
    export, masks = case
    (tmp_path / "images").mkdir()
    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "images" / "desk & chair.png")
    (tmp_path / "annotations.xml").write_text(_write(export, "cvat.xml"))
    (item,) = datumaro.Dataset.import_from(str(tmp_path), "cvat")
    found = [one for one in item.annotations if one.type.name == "mask"]
    assert len(found) == len(masks)
    for one, mask in zip(sorted(found, key=lambda one: one.z_order), masks, strict=True):
        assert np.array_equal(np.asarray(one.image, bool), mask)


def test_cvat_by_its_description(case):
    export, masks = case
    root = ElementTree.fromstring(_write(export, "cvat.xml"))
    image = root.find("image")
    assert image.get("name") == "desk & chair.png"
    shapes = image.findall("mask")
    assert [one.get("label") for one in shapes] == export.names
    for one, mask in zip(shapes, masks, strict=True):
        runs = [int(run) for run in one.get("rle").split(",")]
        left, top, width, height = (int(one.get(key)) for key in ("left", "top", "width", "height"))
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        again = np.zeros_like(mask)
        again[top : top + height, left : left + width] = flat.reshape(height, width)
        assert np.array_equal(again, mask)


def test_a_picture_without_a_name_gets_one_from_its_hash():
    export = _export([SHAPES["holed"]])
    image = export.result.image.model_copy(update={"name": ""})
    unnamed = Export(export.result.model_copy(update={"image": image}))
    coco = json.loads(_write(unnamed, "coco.json"))
    assert coco["images"][0]["file_name"] == "abababababababab.png"


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_a_result_in_a_notebook_and_for_supervision():
    pytest.importorskip("supervision")
    export = _export([SHAPES["holed"], SHAPES["speck"]], ["<b>mug</b>", "chair"])
    photo = Photo(np.zeros((SIDE, SIDE, 3), np.uint8), "ab" * 32)
    shown = Shown(export.result, photo, export.names)
    assert shown._repr_png_().startswith(b"\x89PNG")
    page: Any = shown._repr_html_()
    assert "&lt;b&gt;mug" in page and "<b>mug" not in page and "top right" in page
    detections = shown.detections()
    assert np.array_equal(detections.mask, np.stack([SHAPES["holed"], SHAPES["speck"]]))
    assert detections.data["class_name"].tolist() == ["<b>mug</b>", "chair"]
    assert detections.area.tolist() == [SHAPES["holed"].sum(), 1]
    empty = Shown(_export([]).result, photo).detections()
    assert len(empty) == 0
