"""Many pictures in one run: each answered once, whatever happens, and each in every export."""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
import skimage
from PIL import Image
from typer.testing import CliRunner

from sam3i_agent.cli.app import app
from sam3i_agent.cli.folder_run import FolderCommand, summarise_folder
from sam3i_agent.core.contracts import (
    LevelChoice,
    PictureAnswer,
    PictureText,
    RouteChoice,
)
from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.data.scenes import generate_scene
from sam3i_agent.tools.folders.answering import DrawnAnswer, FolderSettings, PictureAnswerer
from sam3i_agent.tools.folders.pictures import (
    Picture,
    find_pictures,
    folder_of,
    own_texts,
    read_texts,
    same_text,
)
from sam3i_agent.tools.folders.run import FolderSummary, run_folder
from sam3i_agent.tools.service import SegmentationService
from tests.conftest import KnowingImage, KnowingSegmenter, block
from tests.tools.folder_readers import read_coco, read_label_studio, read_yolo

SETTINGS = {"model": "knowing"}
DIRECT = FolderSettings(ModelChoice("knowing"), RouteChoice.DIRECT)
MASK = block(10, 20, 40, 60)
KNOWING = {"cup": [(MASK, 0.9)], "two cups": [(MASK, 0.9), (block(60, 20, 90, 60), 0.8)]}


def _save(path: Path, shade: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((100, 100, 3), shade, np.uint8)).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number in range(5):
        _save(folder / f"{number}.png", 20 * number)
    _save(folder / "deep" / "images" / "a b.jpg")
    return folder


class Counting(KnowingSegmenter):
    """Says which encodings were to be kept."""

    def __init__(self) -> None:
        super().__init__(KNOWING)
        self.kept: list[bool] = []

    def encode(self, photo: Photo, *, keep: bool = True) -> KnowingImage:
        self.kept.append(keep)
        return super().encode(photo, keep=keep)


class Answering:
    """Answers with a segmenter that knows cups, and fails after so many pictures."""

    def __init__(self, fail_after: int = 100, settings: FolderSettings = DIRECT) -> None:
        self.segmenter = Counting()
        self.answered: list[str] = []
        self._fail_after = fail_after
        self._settings = settings

    def __call__(self, pictures: Iterable[Picture]) -> Iterator[DrawnAnswer]:
        service = SegmentationService(self._settings.model)
        service.segmenter = lambda: self.segmenter
        for one in PictureAnswerer(service, self._settings, 2).answer(pictures):
            if len(self.answered) == self._fail_after:
                raise ModelError("the machine went away")
            self.answered.append(one.answer.file)
            yield one


def _run(photos: Path, out: Path, answering: Answering, text: str = "cup") -> FolderSummary:
    pictures = same_text(find_pictures([str(photos)], out), text)
    return run_folder(pictures, answering, out, settings=SETTINGS)


def _lines(out: Path) -> list[PictureAnswer]:
    text = (out / "results.jsonl").read_text()
    return [PictureAnswer.model_validate_json(line) for line in text.splitlines()]


def test_folders_are_searched_to_the_bottom_without_hidden_files_and_results(photos: Path):
    _save(photos / ".cache" / "thumb.png")
    _save(photos / ".hidden.png")
    _save(photos / "out" / "overlays" / "0.png.jpg")
    _save(photos / "earlier" / "overlays" / "deep" / "0.png.jpg")
    (photos / "earlier" / "results.jsonl").touch()
    (photos / "notes.txt").write_text("no picture")
    names = [f"{number}.png" for number in range(5)]
    found = find_pictures([str(photos)], photos / "out")
    assert list(found) == [*names, "deep/images/a b.jpg"]
    assert list(find_pictures([f"{photos}/[0-2].png"], photos / "out")) == names[:3]
    assert list(find_pictures([f"{photos}/**/*.jpg"], photos / "out")) == ["a b.jpg"]
    assert len(find_pictures([f"{photos}/**"], photos / "out")) == 6
    two = [str(photos / "deep" / "images" / "a b.jpg"), str(photos / "3.png")]
    assert list(find_pictures(two, photos / "out")) == ["deep/images/a b.jpg", "3.png"]
    assert folder_of(f"{photos}/**/*.jpg") == photos == folder_of(str(photos))


@pytest.mark.parametrize("word", ["nowhere", "*.nothing"])
def test_what_names_no_picture_is_said(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"there (is no picture|are no pictures)"):
        find_pictures([word], tmp_path / "out")


def test_each_picture_is_once_in_every_export_with_its_masks(photos: Path, tmp_path: Path):
    _save(photos / "0.jpg")  # beside 0.png: the same stem
    out = tmp_path / "out"
    summary = _run(photos, out, Answering(), "two cups")
    assert (summary.pictures, summary.found, summary.nothing) == (7, 7, 0)
    files = {one.file for one in _lines(out)}
    coco, yolo = read_coco(out), read_yolo(out)
    assert files == coco.keys() == read_label_studio(out).keys()
    assert {str((photos / file).resolve()) for file in files} == yolo.keys()
    assert len(list((out / "yolo").rglob("*.txt"))) == 7
    for masks in coco.values():
        assert np.array_equal(masks[0], MASK)
    for masks in yolo.values():
        assert (masks[0] ^ MASK).sum() < 150  # the edge
    assert set(read_label_studio(out).values()) == {2}
    labels = ElementTree.parse(out / "label-studio.xml").getroot().findall("BrushLabels/Label")
    assert [one.get("value") for one in labels] == ["two cups"]
    for file in files:
        assert _size(out / "overlays" / f"{file}.jpg") == (512, 512)
        assert _size(out / "thumbnails" / f"{file}.jpg") == (320, 320)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_run_that_was_stopped_goes_on_behind_its_last_whole_line(photos: Path, tmp_path: Path):
    out = tmp_path / "out"
    first = Answering(fail_after=2)
    with pytest.raises(ModelError):
        _run(photos, out, first)
    with (out / "results.jsonl").open("a") as lines:
        lines.write('{"file": "4.png", "tex')  # a kill in the middle of a line
    second = Answering()
    summary = _run(photos, out, second)
    assert len(second.answered) == 4 and not set(first.answered) & set(second.answered)
    assert sorted(one.file for one in _lines(out)) == sorted(read_coco(out))
    assert summary.answered == 4 and summary.pictures == 6
    third = Answering()
    assert _run(photos, out, third).answered == 0 and not third.answered


def test_a_broken_picture_is_noted_and_tried_again_once_it_is_mended(photos: Path, tmp_path: Path):
    out = tmp_path / "out"
    (photos / "2.png").write_bytes(b"\x89PNG broken")
    summary = _run(photos, out, Answering())
    assert list(summary.problems) == ["2.png"] and "no" in summary.problems["2.png"]
    assert "2.png" not in read_coco(out) and len(read_yolo(out)) == 5
    _save(photos / "2.png")
    again = Answering()
    assert not _run(photos, out, again).problems and again.answered == ["2.png"]
    assert len(read_coco(out)) == 6


def test_what_a_folder_holds_besides_is_said_and_ends_nothing(photos: Path, tmp_path: Path):
    long = _save(photos / f"{'ü' * 124}.png").rename(photos / f"{'ü' * 125}.jpg")
    _save(photos / f"{'ü' * 124}ue.png")
    (photos / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic, and no more")
    (photos / "moved.jpg").symlink_to(tmp_path / "nowhere.jpg")
    out = tmp_path / "out"
    summary = _run(photos, out, Answering())
    assert summary.found == 8 and summary.pictures == 10
    assert summary.problems.keys() == {"phone.heic", "moved.jpg"}
    assert long.name in read_coco(out)
    names = {one.name for one in (out / "overlays").iterdir() if one.is_file()}
    assert len(names) == 7 and all(len(one.encode()) <= 255 for one in names)
    page = (out / "contact-sheet.html").read_text()
    for part in page.split('src="')[1:]:
        assert (out / unquote(part.split('"')[0])).is_file()


def test_photographs_before_a_model_of_scenes_are_counted_and_said(photos: Path, tmp_path: Path):
    shutil.copy(Path(skimage.__file__).parent / "data" / "coffee.png", photos)
    tiny = FolderSettings(ModelChoice("tiny"), RouteChoice.DIRECT)
    summary = _run(photos, tmp_path / "out", Answering(settings=tiny))
    assert summary.unlike == 1
    said = "1 picture looks like a photograph, and the model tiny knows drawn pictures alone"
    assert summarise_folder(summary).startswith(f"warning: {said}")
    page = (tmp_path / "out" / "contact-sheet.html").read_text()
    assert said in page and page.count('<p class="soft">looks like a photograph</p>') == 1


@pytest.mark.parametrize(
    ("rows", "encoding"),
    [
        ("File_Name; Instruction\r\n0.png;two cups\r\n", "utf-8-sig"),
        ("file_name\tinstruction\n0.png\ttwo cups\n", "utf-16"),
        ('file_name, instruction\ndeep\\images\\a b.jpg, "two, cups"\n', "utf-8"),
    ],
)
def test_tables_as_spreadsheets_write_them(rows: str, encoding: str, photos: Path, tmp_path: Path):
    (tmp_path / "table.csv").write_bytes(rows.encode(encoding))
    found = find_pictures([str(photos)], tmp_path / "out")
    (picture,) = own_texts(found, read_texts(tmp_path / "table.csv"), "table.csv")
    assert picture.texts[0].instruction.replace(",", "") == "two cups"


def test_new_pictures_are_added_and_another_text_is_another_run(photos: Path, tmp_path: Path):
    out = tmp_path / "out"
    pictures = same_text(find_pictures([str(photos)], out), "cup")
    run_folder(pictures, Answering(), out, settings={"instruction": "cup"})
    _save(photos / "new.png")
    pictures = same_text(find_pictures([str(photos)], out), "cup")
    added = Answering()
    run_folder(pictures, added, out, settings={"instruction": "cup"})
    assert added.answered == ["new.png"]
    with pytest.raises(InputError, match="its instruction is 'cup', not 'plate'"):
        run_folder(pictures, added, out, settings={"instruction": "plate"})


def test_a_table_gives_each_picture_its_texts(photos: Path, tmp_path: Path):
    table, out = tmp_path / "table.csv", tmp_path / "out"
    table.write_text(
        "file_name,instruction,level\n0.png,cup,\n0.png,two cups,concept\na b.jpg,cup,"
    )
    found = find_pictures([str(photos)], out)
    pictures = own_texts(found, read_texts(table), "table.csv")
    assert [one.file for one in pictures] == ["0.png", "deep/images/a b.jpg"]
    elsewhere = {"set/photos/1.png": pictures[0].texts}
    assert [one.file for one in own_texts(found, elsewhere, "set.json")] == ["1.png"]
    answering = Answering()
    run_folder(pictures, answering, out, settings=SETTINGS)
    assert answering.segmenter.kept == [False, False]  # once for both texts, and not for later
    assert [len(masks) for masks in read_coco(out).values()].count(3) == 1
    coco = json.loads((out / "coco.json").read_text())
    assert [one["name"] for one in coco["categories"]] == ["cup", "two cups"]
    answers = {one.file: one for one in _lines(out)}
    assert answers["0.png"].texts[1].level is LevelChoice.CONCEPT
    assert [one.usage.image_encodings for one in answers["0.png"].results] == [1, 0]
    table.write_text("file_name,instruction\n0.png,plate\na b.jpg,cup\n")
    again = Answering()
    run_folder(own_texts(found, read_texts(table), "t"), again, out, settings=SETTINGS)
    assert again.answered == ["0.png"]  # whose text is another


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("file_name,text\n0.png,cup\n", "row 2 lacks a column"),
        ("file_name,instruction\n", "has no rows"),
        ("", "has no rows"),
        ("file_name,instruction\n\n0.png,cup, left of the plate\n", "row 3 has more columns"),
        ("file_name,instruction\n0.png,\n", "row 2: the instruction is empty"),
        ("file_name,instruction,level\n0.png,cup,hard\n", "row 2: 'hard' is not a valid"),
        ("file_name,instruction\n9.png,cup\n", "'9.png', which is none of the pictures"),
    ],
)
def test_a_table_that_cannot_be_used_says_where(rows: str, said: str, photos: Path, tmp_path: Path):
    table = tmp_path / "table.csv"
    table.write_text(rows)
    with pytest.raises(InputError, match=said):
        own_texts(find_pictures([str(photos)], tmp_path), read_texts(table), "table.csv")


def test_a_level_that_the_model_lacks_ends_the_run_before_anything_is_kept(
    photos: Path, tmp_path: Path
):
    out = tmp_path / "out"
    found = find_pictures([str(photos)], out)
    texts = PictureText(instruction="cup", level=LevelChoice(InstructionLevel.COMPLEX))
    pictures = [Picture(path, file, (texts,)) for file, path in found.items()]
    with pytest.raises(InputError, match="no instruction head"):
        run_folder(pictures, Answering(), out, settings=SETTINGS)
    assert not (out / "results.jsonl").exists()


def test_the_agent_answers_folders_too_and_its_requests_share_the_limit(
    photos: Path, tmp_path: Path
):
    settings = FolderSettings(ModelChoice("knowing"), RouteChoice.AGENT)
    answering = Answering(settings=settings)
    _run(photos, tmp_path / "out", answering, "the leftmost cup")
    results = [one.results[0] for one in _lines(tmp_path / "out")]
    assert len(results) == 6 and {one.route for one in results} == {"agent"}
    assert all(one.count == 1 for one in results)


def test_the_page_shows_all_pictures_and_asks_nobody(photos: Path, tmp_path: Path):
    out = tmp_path / "out"
    (photos / "4.png").write_bytes(b"no picture")
    table = tmp_path / "table.csv"
    rows = [f"{number}.png,{'cup' if number else '<b>plate</b>'}" for number in range(5)]
    table.write_text("\n".join(["file_name,instruction", *rows]))
    found = find_pictures([str(photos)], out)
    run_folder(own_texts(found, read_texts(table), "t"), Answering(), out, settings=SETTINGS)
    page = (out / "contact-sheet.html").read_text()
    assert "://" not in page and "<b>plate" not in page  # no address, and texts are no markup
    states = [line.split('"')[1] for line in page.splitlines() if line.startswith("<article")]
    assert states == ["nothing", "found", "found", "found", "skipped"]
    assert "nothing found 1</button>" in page and "could not be read 1</button>" in page
    for part in page.split('src="')[1:]:
        assert (out / part.split('"')[0]).is_file()


def test_whoever_stops_it_is_told_how_to_go_on(photos: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(command: FolderCommand) -> FolderSummary:
        raise KeyboardInterrupt

    monkeypatch.setattr(FolderCommand, "run", stop)
    stopped = CliRunner().invoke(app, ["segment", str(photos), "cup"])
    assert stopped.exit_code == 130 and "the same command goes on" in stopped.stderr


def test_the_command_takes_folders_files_and_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        image = generate_scene(5, number).image
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    command = ["segment", "photos/*.png", "circle", "--route", "direct", "--device", "cpu"]
    run = CliRunner().invoke(app, [*command, "--json"])
    assert run.exit_code == 0, run.output
    said = json.loads(run.stdout)
    assert said["pictures"] == said["found"] + said["nothing"] == said["answered"] == 3
    assert said["out"] == "outputs/photos" and Path(said["sheet"]).is_file()
    names = {"0.png", "1.png", "2.png"}
    assert read_coco(Path("outputs/photos")).keys() == names
    again = CliRunner().invoke(app, [*command[:1], "photos", *command[2:]])
    assert again.exit_code == 0 and "3 pictures:" in again.stdout  # nothing left to answer
    kept = CliRunner().invoke(app, [*command, "--store", "store"])
    assert kept.exit_code == 0, kept.output
    shutil.rmtree("outputs")  # another machine has the store alone
    elsewhere = CliRunner().invoke(app, [*command, "--json", "--store", "store"])
    assert json.loads(elsewhere.stdout)["answered"] == 0
    assert read_coco(Path("outputs/photos")).keys() == names
    for wrong, said in (
        (["segment", "photos", "circle", "--point", "3,4"], "about one picture"),
        (["segment", "photos/0.png", "circle", "--workers", "2"], "many pictures"),
        (["segment", "photos/0.png", "circle", "--store", "store"], "many pictures"),
        (["segment", "photos"], "an instruction are needed"),
        (["segment", "photos", "circle", "--instructions", "a.csv"], "texts are those of 'a.csv'"),
        (["segment", "photos", "photos/0.png"], "an instruction is due"),
        (["segment", "photos", "nowhere.png", "circle"], "no picture or folder 'nowhere.png'"),
    ):
        error = CliRunner().invoke(app, wrong).exception
        assert isinstance(error, InputError) and said in str(error)
