"""What the CLI and the MCP server share: one loaded model that segments files."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sam3i_agent.core.contracts import SegmentationResult, SegmentRequest
from sam3i_agent.core.errors import ModelError, Sam3iError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Click
from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.segmodel.checkpoints.repository import read_ahead
from sam3i_agent.tools.importing import quick_imports
from sam3i_agent.tools.purpose import with_caution
from sam3i_agent.tools.results.refining import Edits, refine_by_clicks

if TYPE_CHECKING:
    from sam3i_agent.agent.language.factory import LanguageFactory
    from sam3i_agent.agent.language.ledger import Ledger
    from sam3i_agent.agent.recording.runs import RecordedRun
    from sam3i_agent.segmodel.segmenter import EncodedImage, LoadedSegmenter, Segmenter


@dataclass
class SegmentationService:
    """Segments photos with one model, loaded on first use and then kept."""

    model: ModelChoice = field(default_factory=ModelChoice)
    _segmenter: "Segmenter | None" = field(default=None, init=False, repr=False)
    _loaded: "LoadedSegmenter | None" = field(default=None, init=False, repr=False)
    _failure: str = field(default="", init=False, repr=False)
    _loading: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def segmenter(self) -> "Segmenter":
        """Return the model, loading it if need be.

        Raises:
            InputError: there is no such model or device.
            ModelError: the model cannot be used.
        """
        with self._loading:
            if self._segmenter is None:
                try:
                    self._segmenter = self._load()
                except Sam3iError as error:
                    self._failure = error.message
                    raise
            return self._segmenter

    def _load(self) -> "Segmenter":
        # Loading takes seconds, mostly imports: `--help` and `initialize` do not wait.
        read_ahead(self.model.name)
        with quick_imports():
            from sam3i_agent.segmodel.checkpoints.loading import load_by_choice
            from sam3i_agent.segmodel.tiling import TilingSegmenter

            self._loaded = load_by_choice(self.model)
        return TilingSegmenter(self._loaded, self.model.tiling)

    @property
    def loaded(self) -> "LoadedSegmenter | None":
        """The model in this process, if it is loaded."""
        return self._loaded

    @property
    def is_ready(self) -> bool:
        """Whether a call is answered without loading the model first."""
        return self._segmenter is not None

    def check(self) -> str:
        """Say that the model answers; asks it nothing.

        Raises:
            ModelError: it does not: it is still being loaded, or cannot be.
        """
        if self._segmenter is None:
            raise ModelError(self._failure or "loading")
        return "loaded"

    def stop(self) -> None:
        """End what the model needs outside this process: nothing."""

    async def answer(
        self,
        photo: Photo,
        request: SegmentRequest,
        *,
        language: "LanguageFactory | None" = None,
        recorded: "RecordedRun | None" = None,
        ledger: "Ledger | None" = None,
        encoded: "EncodedImage | None" = None,
        on_step: Callable[[str], None] = lambda line: None,
    ) -> SegmentationResult:
        """Answer a request about `photo`; see `agent.run.answer_request`.

        The result warns where the photo is not of the kind that the model knows.
        """
        segmenter = await asyncio.to_thread(self.segmenter)
        with quick_imports():
            from sam3i_agent.agent.language.factory import offline_planner
            from sam3i_agent.agent.run import answer_request

        result = await answer_request(
            segmenter,
            photo,
            request,
            language=language or offline_planner,
            recorded=recorded,
            ledger=ledger,
            encoded=encoded,
            on_step=on_step,
        )
        return (await self._cautious([result], photo))[0]

    async def answer_together(
        self, photo: Photo, requests: Sequence[SegmentRequest]
    ) -> list[SegmentationResult]:
        """Answer several requests about one photo over one encoding."""
        segmenter = await asyncio.to_thread(self.segmenter)
        with quick_imports():
            from sam3i_agent.agent.run import answer_request

        results = [await answer_request(segmenter, photo, request) for request in requests]
        return await self._cautious(results, photo)

    async def click(
        self,
        photo: Photo,
        result: SegmentationResult,
        edits: Edits,
        clicks: tuple[Click, ...],
        number: int | None = None,
        reading: int = 1,
    ) -> tuple[SegmentationResult, Edits]:
        """Correct one instance of a result, or add one; see `refining.refine_by_clicks`.

        The result warns like that of `answer`.
        """
        segmenter = await asyncio.to_thread(self.segmenter)
        changed, edits = await run_in_thread(
            refine_by_clicks, segmenter, photo, result, edits, clicks, number, reading
        )
        return (await self._cautious([changed], photo))[0], edits

    async def _cautious(
        self, results: Sequence[SegmentationResult], photo: Photo
    ) -> list[SegmentationResult]:
        return await asyncio.to_thread(with_caution, results, self.model, photo)
