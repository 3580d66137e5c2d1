"""A run over many pictures that can be killed at any time and goes on where it was.

`OUT/results.jsonl` gets a line as soon as a picture is done, behind its overlay. What went wrong,
by a broken picture or a language model that did not answer, is tried again by the next run.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sam3i_agent.core.claimed_folder import claim_folder
from sam3i_agent.core.contracts import PictureAnswer, PictureText, RunStatus
from sam3i_agent.core.errors import StorageError
from sam3i_agent.core.journal import Journal
from sam3i_agent.tools.folders.answering import AnswerPictures, DrawnAnswer
from sam3i_agent.tools.folders.contact_sheet import (
    SHEET_NAME,
    picture_name,
    write_contact_sheet,
)
from sam3i_agent.tools.folders.exports import write_exports
from sam3i_agent.tools.folders.pictures import (
    OVERLAYS_FOLDER,
    RESULTS_NAME,
    THUMBNAILS_FOLDER,
    Picture,
)
from sam3i_agent.tools.purpose import PHOTO_WARNING

Advance = Callable[[int, int], None]
"""Called with pictures done and in all."""


@dataclass(frozen=True)
class FolderSummary:
    """What a run over many pictures came to."""

    out: str
    sheet: str
    """The page with all pictures."""
    pictures: int
    found: int
    """Pictures with an instance at least."""
    nothing: int
    failed: int
    """Pictures with a text that could not be worked on."""
    unlike: int
    """Pictures that look like photographs, answered by the model that knows none."""
    problems: Mapping[str, str]
    """By picture that could not be read: why."""
    answered: int
    """Pictures of this run; the others were there."""
    seconds: float
    """Of answering these."""


def run_folder(
    pictures: Sequence[Picture],
    answer_pictures: AnswerPictures,
    out: Path,
    *,
    settings: Mapping[str, str],
    advance: Advance = lambda done, total: None,
) -> FolderSummary:
    """Answer pictures that no earlier run has answered, then write the exports and the page.

    Args:
        pictures: all that are meant.
        answer_pictures: not called where nothing is left.
        out: folder for the results; an earlier run of the same settings there goes on.
        settings: what the answers are made with, so that runs do not mix.
        advance: called with pictures done and in all.

    Raises:
        InputError: the folder holds another run; or the model lacks a level.
        ModelError: the model cannot be used.
        StorageError: the folder cannot be written, or its results are damaged.
    """
    claim_folder(out, settings)
    journal = Journal(out / RESULTS_NAME, PictureAnswer)
    asked = {one.file: one.texts for one in pictures}
    done = _keep_good(journal, asked)
    left = [one for one in pictures if one.file not in done]
    advance(len(done), len(pictures))
    started = time.perf_counter()
    count = len(done)
    if left:
        for drawn in answer_pictures(left):
            _write_pictures(drawn, out)
            journal.append(drawn.answer)
            count += 1
            advance(count, len(pictures))
    seconds = time.perf_counter() - started
    answers = _Meant(journal, asked)
    write_exports(answers, pictures, out)
    write_contact_sheet(answers, pictures, out, settings)
    return _summary(answers, out, len(left), seconds)


class _Meant:
    """The answers about the pictures that are meant, read anew each time.

    Args:
        journal: may have answers about others.
        asked: texts by picture.
    """

    def __init__(
        self, journal: Journal[PictureAnswer], asked: Mapping[str, tuple[PictureText, ...]]
    ) -> None:
        self._journal = journal
        self._asked = asked

    def __iter__(self) -> Iterator[PictureAnswer]:
        return (one for one in self._journal if one.file in self._asked)


def _keep_good(
    journal: Journal[PictureAnswer], asked: Mapping[str, tuple[PictureText, ...]]
) -> set[str]:
    """Drop answers to try again, and what a crash left of the last; return the pictures done."""
    done: set[str] = set()
    bad = False
    for one in journal:
        if _is_good(one, asked):
            done.add(one.file)
        else:
            bad = True
    if bad:
        journal.keep(lambda one: _is_good(one, asked))
    else:
        journal.repair()
    return done & asked.keys()


def _is_good(one: PictureAnswer, asked: Mapping[str, tuple[PictureText, ...]]) -> bool:
    same = asked.get(one.file, one.texts) == one.texts
    return same and not one.problem and not _has_failed(one)


def _has_failed(answer: PictureAnswer) -> bool:
    return any(one.status is RunStatus.FAILED for one in answer.results)


def _write_pictures(drawn: DrawnAnswer, out: Path) -> None:
    if drawn.answer.problem:
        return
    for folder, data in (
        (OVERLAYS_FOLDER, drawn.overlay),
        (THUMBNAILS_FOLDER, drawn.thumbnail),
    ):
        path = out / picture_name(folder, drawn.answer.file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise StorageError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def _summary(
    answers: Iterable[PictureAnswer], out: Path, answered: int, seconds: float
) -> FolderSummary:
    count = found = nothing = failed = unlike = 0
    problems: dict[str, str] = {}
    for one in answers:
        count += 1
        unlike += any(PHOTO_WARNING in result.warnings for result in one.results)
        if one.problem:
            problems[one.file] = one.problem
        elif _has_failed(one):
            failed += 1
        elif any(result.instances for result in one.results):
            found += 1
        else:
            nothing += 1
    sheet = str(out / SHEET_NAME)
    return FolderSummary(
        str(out), sheet, count, found, nothing, failed, unlike, problems, answered, seconds
    )
