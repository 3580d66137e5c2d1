"""`sam3i segment` on many pictures: folders, several files, patterns."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from sam3i_agent.agent.instructions import classify_level
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.cli.options import FAILURE
from sam3i_agent.cli.progress import kept_progress, rate_columns
from sam3i_agent.core.contracts import (
    DEFAULT_BUDGETS,
    Budgets,
    LevelChoice,
    PictureText,
    RouteChoice,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.tools.folders.answering import AnswerPictures, FolderSettings, answer_here
from sam3i_agent.tools.folders.pictures import (
    Picture,
    find_pictures,
    folder_of,
    own_texts,
    read_texts,
    same_text,
)
from sam3i_agent.tools.folders.run import FolderSummary, run_folder
from sam3i_agent.tools.purpose import photo_warning_of
from sam3i_agent.tools.results.export import check_writable

logger = logging.getLogger(__name__)

_DATASET_SUFFIX = ".json"


@dataclass(frozen=True)
class FolderCommand:
    """The options of `sam3i segment` where it is given many pictures."""

    words: Sequence[str]
    """Files, folders and patterns."""
    instruction: str | None
    """None where a table has the texts."""
    table: Path | None
    out: Path | None
    route: RouteChoice
    level: LevelChoice
    use_head: bool
    budgets: Budgets
    model: ModelChoice
    language: LanguageChoice | None
    workers: int | None
    store: str | None = None
    """URL of where the results are kept, too."""

    def run_and_say(self, as_json: bool) -> None:
        """Run, and print what it came to.

        Raises:
            typer.Exit: a picture failed, or none could be read.
        """
        try:
            summary = self.run()
        except KeyboardInterrupt:
            typer.echo("stopped; the same command goes on behind the last picture", err=True)
            raise
        typer.echo(json.dumps(asdict(summary)) if as_json else summarise_folder(summary))
        if summary.failed or len(summary.problems) == summary.pictures:
            raise typer.Exit(FAILURE)

    def run(self) -> FolderSummary:
        """Answer what is left to answer, and write exports and page.

        Raises:
            InputError: a picture, a text or an option cannot be used.
        """
        out = self.out or Path("outputs") / (folder_of(self.words[0]).name or "pictures")
        check_writable(out)
        pictures = self._pictures(out)
        settings = FolderSettings(
            self.model, self.route, self.use_head, self.budgets, language_factory(self.language)
        )
        columns = rate_columns("pictures")
        with kept_progress("segmenting", self.store, out, *columns) as advance:
            return run_folder(
                pictures, self._answering(settings), out, settings=self._said(), advance=advance
            )

    def _pictures(self, out: Path) -> list[Picture]:
        found = find_pictures(self.words, out)
        if self.table is None:
            return same_text(found, self.instruction or "", self.level)
        is_dataset = self.table.suffix.lower() == _DATASET_SUFFIX
        texts = _texts_of(self.table) if is_dataset else read_texts(self.table, self.level)
        pictures = own_texts(found, texts, self.table.name)
        if len(pictures) < len(found):
            left_out = len(found) - len(pictures)
            logger.warning("%d pictures have no text in %s", left_out, self.table.name)
        return pictures

    def _answering(self, settings: FolderSettings) -> AnswerPictures:
        if self.workers is None:
            return answer_here(settings)
        from sam3i_agent.tools.folders.ray_workers import answer_with_ray

        return answer_with_ray(settings, self.workers)

    def _said(self) -> dict[str, str]:
        """Return what decides the answers; what is as usual is not said."""
        usual = {
            "level": (self.level, LevelChoice.AUTO),
            "tiling": (self.model.tiling, Tiling.AUTO),
            "budgets": (self.budgets.model_dump_json(), DEFAULT_BUDGETS.model_dump_json()),
            "use_head": (self.use_head, True),
        }
        return {
            "instruction": f"as in {self.table.name}" if self.table else self.instruction or "",
            "model": self.model.name,
            "route": self.route,
            "language": "offline planner" if self.language is None else str(self.language),
            **{name: str(value) for name, (value, standard) in usual.items() if value != standard},
        }


def _texts_of(dataset: Path) -> dict[str, list[PictureText]]:
    """Return a dataset's texts by its photos' names, each to be read at its level."""
    from sam3i_agent.data.formats.registry import read_dataset

    found: dict[str, list[PictureText]] = {}
    for record in read_dataset(dataset, level_of=classify_level).records:
        found.setdefault(record.file_name, []).extend(
            PictureText(instruction=text, level=LevelChoice(level))
            for level, texts in record.texts.items()
            for text in texts
        )
    if not any(found.values()):
        raise InputError(f"{dataset.name!r} has no texts")
    return found


def summarise_folder(summary: FolderSummary) -> str:
    """Return a run over many pictures in a few lines of plain words."""
    each = f", {summary.answered / summary.seconds:.1f} a second" if summary.answered else ""
    caution = photo_warning_of(summary.unlike)
    lines = [f"warning: {caution}"] if caution else []
    lines += [
        f"{summary.pictures} pictures: {summary.found} with something found, "
        f"{summary.nothing} with nothing, {summary.failed} failed, "
        f"{len(summary.problems)} skipped{each}"
    ]
    lines += [f"skipped {file}: {problem}" for file, problem in summary.problems.items()]
    return "\n".join([*lines, f"written to {summary.out}, to look at: {summary.sheet}"])
