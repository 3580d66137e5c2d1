"""`sam3i segment` and `sam3i runs`: a run from the command line, recorded so that it can go on."""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.agent.recording.runs import RecordedRun, RunStore
from sam3i_agent.agent.requests import make_request
from sam3i_agent.core.contracts import (
    Budgets,
    LevelChoice,
    RouteChoice,
    SegmentationResult,
    SegmentRequest,
)
from sam3i_agent.core.errors import InputError, StorageError, TryAgainError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.core.prompt import Click, Exemplar
from sam3i_agent.core.results import empty_result
from sam3i_agent.segmodel.checkpoints.repository import without_clicks
from sam3i_agent.segmodel.segmenter import provenance_of
from sam3i_agent.tools.results.export import check_writable, write_result
from sam3i_agent.tools.results.refining import NO_EDITS
from sam3i_agent.tools.service import SegmentationService

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SegmentCommand:
    """A run that is ready to start or to go on."""

    image: Path
    photo: Photo
    request: SegmentRequest | None
    """None where clicks alone say what is meant."""
    service: SegmentationService
    language: LanguageChoice | None
    recorded: RecordedRun | None
    clicks: tuple[tuple[float, float], ...] = ()
    """To apply to the answer."""
    not_clicks: tuple[tuple[float, float], ...] = ()

    @classmethod
    def new(
        cls,
        image: Path,
        instruction: str | None,
        *,
        boxes: Sequence[str] = (),
        not_boxes: Sequence[str] = (),
        route: RouteChoice,
        level: LevelChoice,
        budgets: Budgets,
        model: ModelChoice,
        language: LanguageChoice | None,
        use_head: bool = True,
    ) -> "SegmentCommand":
        """Check the input and begin to record a run.

        Args:
            image: a file.
            instruction: None where there are boxes, or clicks to come.
            boxes: around examples, each as x0,y0,x1,y1.
            not_boxes: around counterexamples.
            route: which pipeline.
            level: how the direct route reads the words.
            budgets: of the agent.
            model: to load.
            language: the model that plans and judges; None takes the offline planner.
            use_head: let the direct answer be a candidate of the agent.

        Raises:
            InputError: the image, the instruction or the options cannot be used.
        """
        photo = read_photo(image)
        service = SegmentationService(model)
        exemplars = [_exemplar(text, "--box", True) for text in boxes]
        exemplars += [_exemplar(text, "--not-box", False) for text in not_boxes]
        if instruction is None and not exemplars:
            return cls(image, photo, None, service, language, None)
        request = make_request(
            photo,
            instruction or "",
            exemplars=tuple(exemplars),
            route=route,
            level=level,
            use_head=use_head,
            budgets=budgets,
        )
        try:
            recorded = RunStore().create(image, request, model, language)
        except (StorageError, TryAgainError) as error:
            logger.warning("%s; this run cannot be resumed", error)
            recorded = None
        return cls(image, photo, request, service, language, recorded)

    @classmethod
    def resumed(cls, run_id: str) -> "SegmentCommand":
        """Take up a recorded run.

        Raises:
            InputError: there is no such run, or its photo is gone or changed.
            StorageError: its record is damaged, or of another version.
        """
        recorded = RunStore().resume(run_id)
        info = recorded.info
        return cls(
            Path(info.image),
            read_photo(Path(info.image)),
            info.request,
            SegmentationService(info.model),
            info.language,
            recorded,
        )

    def with_clicks(self, points: Sequence[str], not_points: Sequence[str]) -> "SegmentCommand":
        """Return this run with clicks to apply to its answer.

        Raises:
            InputError: one is not of the form x,y.
        """
        clicks = [_point(text, "--point") for text in points]
        not_clicks = [_point(text, "--not-point") for text in not_points]
        return replace(self, clicks=tuple(clicks), not_clicks=tuple(not_clicks))

    def run(self, out: Path | None, *, show_steps: bool) -> SegmentationResult:
        """Run to the end and write the result.

        Args:
            out: folder for the result; None writes it to the run's record alone.
            show_steps: print each line of the trace on standard error as it is written; otherwise
                a terminal shows the latest one.
        """
        if out is not None:
            check_writable(out)
        console = Console(stderr=True)
        with console.status("starting") as status:
            self._check_clicks()
            if self.recorded is not None:
                logger.info("run %s", self.recorded.info.run_id)

            def on_step(line: str) -> None:
                status.update(line)
                if show_steps:
                    sys.stderr.write(f"{line}\n")

            result = self._corrected(self._answer(on_step), on_step)
        for folder in (out, None if self.recorded is None else self.recorded.result_folder):
            if folder is not None:
                write_result(result, self.photo, folder)
        if self.recorded is not None:
            self.recorded.finish()
        return result

    def _check_clicks(self) -> None:
        """Refuse clicks that the model does not take, before anything is answered."""
        if self.clicks or self.not_clicks:
            segmenter = self.service.segmenter()
            if not segmenter.takes_clicks:
                raise without_clicks(self.service.model.name)

    def _answer(self, on_step: Callable[[str], None]) -> SegmentationResult:
        if self.request is None:
            return empty_result(self.photo, provenance_of(self.service.segmenter()))
        return asyncio.run(
            self.service.answer(
                self.photo,
                self.request,
                language=language_factory(self.language),
                recorded=self.recorded,
                on_step=on_step,
            )
        )

    def _corrected(
        self, result: SegmentationResult, on_step: Callable[[str], None]
    ) -> SegmentationResult:
        """Apply the clicks of the command line."""
        known = len(result.trace)
        if self.clicks or self.not_clicks:
            clicks = [Click(point) for point in self.clicks]
            clicks += [Click(point, positive=False) for point in self.not_clicks]
            result, _ = asyncio.run(self.service.click(self.photo, result, NO_EDITS, tuple(clicks)))
        for line in result.trace[known:]:
            on_step(line)
        return result


def _exemplar(text: str, flag: str, positive: bool) -> Exemplar:
    x0, y0, x1, y1 = _numbers(text, 4, flag)
    return Exemplar((x0, y0, x1, y1), positive)


def _point(text: str, flag: str) -> tuple[float, float]:
    x, y = _numbers(text, 2, flag)
    return x, y


def _numbers(text: str, count: int, flag: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise InputError(f"{flag} takes {count} numbers separated by commas, not {text!r}")
    return values
