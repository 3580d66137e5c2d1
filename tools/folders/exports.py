"""The answers about many pictures as files that other tools read: COCO, YOLO, Label Studio.

Written picture by picture, so that memory does not grow with their number. Pictures that could not
be read are left out.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import yaml

from sam3i_agent.core.contracts import PictureAnswer
from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.files import write_whole
from sam3i_agent.core.results import join_results
from sam3i_agent.tools.folders.pictures import YOLO_FOLDER, Picture
from sam3i_agent.tools.results.formats.coco import coco_annotations, coco_categories, coco_image
from sam3i_agent.tools.results.formats.export import Export
from sam3i_agent.tools.results.formats.label_studio import label_studio_task, labelling_interface
from sam3i_agent.tools.results.formats.yolo import to_yolo

COCO_NAME = "coco.json"
LABEL_STUDIO_NAME = "label-studio.json"
INTERFACE_NAME = "label-studio.xml"
_YOLO_IMAGES = "images"


def write_exports(answers: Iterable[PictureAnswer], pictures: Sequence[Picture], out: Path) -> None:
    """Write `coco.json`, `yolo/`, `label-studio.json` and `label-studio.xml`.

    The categories are the texts. COCO's ids of images are the pictures' places, from 1. In `yolo/`,
    `images/` has a link to each picture, so that its readers find the labels beside it.

    Args:
        answers: read several times; one per picture, in any order.
        pictures: all that are meant.
        out: folder.

    Raises:
        StorageError: it cannot be written.
    """
    names = list(dict.fromkeys(text.instruction for one in pictures for text in one.texts))
    try:
        _write_coco(answers, pictures, names, out / COCO_NAME)
        _write_yolo(answers, pictures, names, out / YOLO_FOLDER)
        _write_label_studio(answers, names, out / LABEL_STUDIO_NAME)
        write_whole(out / INTERFACE_NAME, labelling_interface(names))
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error


def _exports(answers: Iterable[PictureAnswer], names: list[str]) -> Iterator[Export]:
    """Yield each picture's instances, called by the texts that they answer."""
    for one in answers:
        if one.results:
            labels = [
                text.instruction
                for text, result in zip(one.texts, one.results, strict=True)
                for _ in result.instances
            ]
            yield Export(join_results(one.results), labels, one.file, names)


def _write_coco(
    answers: Iterable[PictureAnswer], pictures: Sequence[Picture], names: list[str], path: Path
) -> None:
    ids = {one.file: number for number, one in enumerate(pictures, start=1)}

    def annotations() -> Iterator[Any]:
        first = 1
        for export in _exports(answers, names):
            some = coco_annotations(export, ids[export.picture], first)
            first += len(some)
            yield from some

    with _replaced(path) as file:
        file.write(f'{{"categories": {json.dumps(coco_categories(names))},\n"images": ')
        _write_list(file, (coco_image(one, ids[one.picture]) for one in _exports(answers, names)))
        file.write(',\n"annotations": ')
        _write_list(file, annotations())
        file.write("}\n")


def _write_label_studio(answers: Iterable[PictureAnswer], names: list[str], path: Path) -> None:
    with _replaced(path) as file:
        _write_list(file, map(label_studio_task, _exports(answers, names)))
        file.write("\n")


def _write_yolo(
    answers: Iterable[PictureAnswer], pictures: Sequence[Picture], names: list[str], folder: Path
) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run, with other pictures
    links = _link_names(pictures)
    paths = {one.file: one.path for one in pictures}
    (folder / _YOLO_IMAGES).mkdir(parents=True)
    for export in _exports(answers, names):
        link = folder / links[export.picture]
        label = folder / yolo_label_of(links[export.picture])
        for one in (link, label):
            one.parent.mkdir(parents=True, exist_ok=True)
        _link(link, paths[export.picture])
        label.write_text(to_yolo(export), "utf-8")
    about = {"train": _YOLO_IMAGES, "val": _YOLO_IMAGES, "names": dict(enumerate(names))}
    write_whole(folder / "data.yaml", yaml.safe_dump(about, sort_keys=False, allow_unicode=True))


def _link_names(pictures: Sequence[Picture]) -> dict[str, str]:
    """Return where each picture is linked: its labels are found by the name without its ending."""
    taken: set[str] = set()
    found: dict[str, str] = {}
    for one in pictures:
        file = PurePosixPath(one.file)
        stem = str(file.with_suffix(""))
        while stem in taken:
            stem += f"_{file.suffix[1:]}"
        taken.add(stem)
        found[one.file] = f"{_YOLO_IMAGES}/{stem}{file.suffix}"
    return found


def yolo_label_of(image: str) -> str:
    """Return where YOLO's readers look for the labels of a picture, both relative to `yolo/`."""
    parts = f"/{image}".rsplit(f"/{_YOLO_IMAGES}/", 1)
    return "/labels/".join(parts).rsplit(".", 1)[0].removeprefix("/") + ".txt"


def _link(link: Path, picture: Path) -> None:
    try:
        link.symlink_to(picture.absolute())
    except (OSError, NotImplementedError):  # Windows wants a right for links
        shutil.copyfile(picture, link)


@contextmanager
def _replaced(path: Path) -> Iterator[IO[str]]:
    """Open a file that takes the place of another once it is whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        yield file
    os.replace(temporary, path)


def _write_list(file: IO[str], items: Iterable[Any]) -> None:
    """Write a JSON list, one item at a time."""
    file.write("[")
    for number, one in enumerate(items):
        file.write(",\n" if number else "\n")
        file.write(json.dumps(one))
    file.write("]")
