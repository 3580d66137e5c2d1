"""The tools themselves, whatever protocol calls them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sam3i_agent.agent.language.client_model import CLIENT_BUDGETS
from sam3i_agent.agent.requests import make_request
from sam3i_agent.core.contracts import (
    DEFAULT_BUDGETS,
    MAX_INSTRUCTION_CHARACTERS,
    LevelChoice,
    Route,
    RouteChoice,
    SegmentationResult,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import MAX_PIXELS, Photo, readable_formats
from sam3i_agent.core.prompt import Click, Exemplar
from sam3i_agent.core.results import join_results
from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.tools.purpose import purpose_of
from sam3i_agent.tools.results.clips import ClipStore
from sam3i_agent.tools.results.edits.actions import Edit, edit_photo
from sam3i_agent.tools.results.edits.store import EditStore
from sam3i_agent.tools.results.formats.registry import TEXT_FORMATS
from sam3i_agent.tools.results.kept import KeptFiles
from sam3i_agent.tools.results.measures import measure
from sam3i_agent.tools.results.outputs import SCHEME, CapabilitiesOutput, EditOutput, MeasureOutput
from sam3i_agent.tools.results.pictures import check_numbers, png_bytes
from sam3i_agent.tools.results.refining import NO_EDITS, Edits, request_with_exemplars
from sam3i_agent.tools.results.store import Concept, Results, StoredResult
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.access.limits import Limiter
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.users import current_owner

if TYPE_CHECKING:
    from PIL.Image import Image

    from sam3i_agent.agent.language.factory import LanguageFactory
    from sam3i_agent.tools.mcp.dialogue import Dialogue
    from sam3i_agent.tools.track import ClipSummary

MAX_CONCEPTS = 32
PICTURES = ("overlay.png", "photo.jpg", "masks/N.png")
"""Of a result, as resources."""
_MEGA = 1_000_000


class Toolbox:
    """Segments, measures and remembers.

    Args:
        service: the model, loaded at the first call.
        source: where pictures may come from.
        language: the agent's language side; None takes the offline planner.
        language_name: of it, for people.
        client_model: ask the model of the client that calls, where it offers one.
        limiter: of what users may ask about; None sets no limits.
        files: where clips and edits are kept for other front ends; None keeps them here.
    """

    def __init__(
        self,
        service: SegmentationService,
        source: ImageSource,
        language: "LanguageFactory | None" = None,
        language_name: str = "offline planner",
        client_model: bool = False,
        files: KeptFiles | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self.service = service
        self.source = source
        self._language = language
        self._language_name = language_name
        self.client_model = client_model
        self.limiter = limiter
        self.files = files
        self.clips = ClipStore(files)
        self.edits = EditStore(files)

    @property
    def results(self) -> Results:
        """Earlier results."""
        return self.source.results

    async def segment(
        self,
        image: str,
        instruction: str,
        route: RouteChoice = RouteChoice.AUTO,
        level: LevelChoice = LevelChoice.AUTO,
        max_instances: int | None = None,
        on_step: Callable[[str], None] = lambda line: None,
        dialogue: "Dialogue | None" = None,
    ) -> StoredResult:
        """Segment one picture by one instruction.

        Args:
            image: what `source` opens.
            instruction: English text.
            route: direct, agent, or auto.
            level: how the direct route reads the words.
            max_instances: keep at most so many, best first; None keeps all.
            on_step: called with each line of the trace as it is written.
            dialogue: the client that called, whose model and user may be asked.

        Raises:
            InputError: the picture or the instruction cannot be used.
            RoundTripNeededError: the client has to answer first.
        """
        photo = await self._open(image)
        client = dialogue if dialogue is not None and dialogue.has_model else None
        request = make_request(
            photo,
            instruction,
            route=route,
            level=level,
            max_instances=max_instances,
            budgets=CLIENT_BUDGETS if client else DEFAULT_BUDGETS,
        )

        def answer() -> Awaitable[SegmentationResult]:
            return self.service.answer(
                photo,
                request,
                language=client.language if client else self._language,
                ledger=client.ledger if client else None,
                on_step=on_step,
            )

        result = await (answer() if dialogue is None else dialogue.finish(answer))
        stored = await self._add(result, photo)
        if dialogue is None:
            return stored
        chosen = await dialogue.choose(stored.result, f"{SCHEME}/{stored.id}/overlay.png")
        return stored if chosen is stored.result else await self._add(chosen, photo)

    async def segment_concepts(self, image: str, phrases: Sequence[str]) -> StoredResult:
        """Segment all instances of each noun phrase, over one encoding of the picture.

        Returns:
            One result about all, which knows the result of each.

        Raises:
            InputError: no phrase or too many, or the picture cannot be read.
        """
        if not 1 <= len(phrases) <= MAX_CONCEPTS:
            raise InputError(f"give 1 to {MAX_CONCEPTS} phrases, not {len(phrases)}")
        photo = await self._open(image)
        requests = [
            make_request(photo, one, route=RouteChoice.DIRECT, level=LevelChoice.CONCEPT)
            for one in phrases
        ]
        results = await self.service.answer_together(photo, requests)
        concepts: list[Concept] = []
        first = 1
        for result in results:
            end = first + len(result.instances)
            id_ = (await self._add(result, photo)).id
            concepts.append(Concept(result.instruction, id_, range(first, end)))
            first = end
        return await self._add(join_results(results), photo, concepts=tuple(concepts))

    async def _open(self, image: str) -> Photo:
        photo = await self.source.open(image)
        await self._spend(photo)
        return photo

    async def _spend(self, photo: Photo) -> None:
        """Count what the model is asked about."""
        if self.limiter is not None:
            height, width = photo.size_hw
            await self.limiter.spend(current_owner(), height * width)

    async def _add(
        self,
        result: SegmentationResult,
        photo: Photo,
        edits: Edits = NO_EDITS,
        parent: str | None = None,
        concepts: tuple[Concept, ...] = (),
    ) -> StoredResult:
        return await asyncio.to_thread(self.results.add, result, photo, edits, parent, concepts)

    async def refine(
        self,
        result_id: str,
        boxes: Sequence[Sequence[float]] = (),
        points: Sequence[Sequence[float]] = (),
        positive: bool = True,
        instance: int | None = None,
        reading: int = 1,
    ) -> StoredResult:
        """Correct an earlier result; it stays as it is, and a new one is made.

        Args:
            result_id: of the result.
            boxes: examples, x0, y0, x1, y1 in pixels: more like this, or not this.
            points: clicks, x, y in pixels, on the instance or on what does not belong to it.
            positive: which of the two.
            instance: that the points are about, from 1; None takes the one under the first point.
            reading: which of the masks that a click may mean, from 1.

        Raises:
            InputError: there is no such result, or the boxes or points cannot be used.
            ModelError: the model cannot be corrected in this way.
        """
        stored = await asyncio.to_thread(self.results.get, result_id)
        if bool(boxes) is bool(points):
            raise InputError("give either boxes (examples) or points (clicks)")
        service, photo = self.service, await asyncio.to_thread(stored.open_photo)
        await self._spend(photo)
        if boxes:
            if stored.concepts:
                known = ", ".join(f"{one.phrase}: {one.result_id}" for one in stored.concepts)
                raise InputError("boxes are examples of one phrase", f"give its result_id: {known}")
            exemplars = tuple(Exemplar((x0, y0, x1, y1), positive) for x0, y0, x1, y1 in boxes)
            request, edits = request_with_exemplars(photo, stored.result, stored.edits, exemplars)
            result = await service.answer(photo, request)
        else:
            clicks = tuple(Click((x, y), positive) for x, y in points)
            result, edits = await service.click(
                photo, stored.result, stored.edits, clicks, instance, reading
            )
        return await self._add(result, photo, edits, stored.id, stored.concepts)

    def edit(self, result_id: str, edit: Edit) -> "tuple[EditOutput, Image]":
        """Edit the photo of an earlier result; neither is changed.

        Returns:
            What was done, with the address under which it is kept, and the picture.

        Raises:
            InputError: there is no such result or instance, or the edit cannot be done.
        """
        stored = self.results.get(result_id)
        picture = edit_photo(stored.photo, stored.result, edit)
        output = EditOutput(
            result_id=result_id,
            action=edit.action,
            instances=check_numbers(stored.result, edit.instances),
            width=picture.width,
            height=picture.height,
            uri=f"{SCHEME}/{result_id}/edits/{self.edits.add(edit)}.png",
        )
        return output, picture

    def edited_png(self, result_id: str, edit_id: str) -> bytes:
        """Draw a photo once more as an earlier `edit` changed it.

        Raises:
            InputError: there is no such result or edit.
        """
        stored, edit = self.results.get(result_id), self.edits.get(edit_id)
        return png_bytes(edit_photo(stored.photo, stored.result, edit))

    async def track(
        self,
        video: str,
        instruction: str,
        key_frame: int | None = None,
        advance: Callable[[int], None] = lambda done: None,
    ) -> tuple[str, "ClipSummary"]:
        """Follow something through a clip.

        Args:
            video: path of a file or of a folder of frames.
            instruction: a noun phrase, or with a key frame an instruction.
            key_frame: on which the instruction selects tracks.
            advance: called, in another thread, with the frames done.

        Returns:
            The clip's id and what it shows.

        Raises:
            InputError: the clip or the instruction cannot be used.
        """
        from sam3i_agent.tools.track import TrackRun

        path = await asyncio.to_thread(self.source.path_of, video)
        if not path.exists():
            raise InputError(f"there is no video {Path(video).name!r}", "check the path")
        id_, folder = self.clips.create()
        run = TrackRun(self.service, path, instruction, folder, key_frame)
        summary = await run_in_thread(run.run, advance)
        await asyncio.to_thread(self.clips.finish, id_, folder)
        return id_, summary

    async def measure(self, result_id: str, instances: Sequence[int] = ()) -> MeasureOutput:
        """Measure instances of an earlier result, all where none is named.

        Raises:
            InputError: there is no such result or instance.
        """
        stored = await asyncio.to_thread(self.results.get, result_id)
        return await asyncio.to_thread(measure, stored, instances)

    async def describe(self) -> CapabilitiesOutput:
        """Say what this server can do; loads the model."""
        segmenter = await asyncio.to_thread(self.service.segmenter)
        sources = ["path" + (" under an allowed root" if self.source.roots else "")]
        sources += ["data URI", "result id"] + (["https URL"] if self.source.allow_urls else [])
        return CapabilitiesOutput(
            model=segmenter.name,
            purpose=purpose_of(self.service.model),
            levels=list(segmenter.levels),
            routes=[Route.DIRECT, Route.AGENT],
            language_model="the client's own, where it offers sampling; else the "
            + self._language_name
            if self.client_model
            else self._language_name,
            takes_boxes=segmenter.takes_exemplars,
            takes_points=segmenter.takes_clicks,
            image_sources=sources,
            allowed_folders=[str(root) for root in self.source.roots],
            formats=list(readable_formats()),
            max_instruction_characters=MAX_INSTRUCTION_CHARACTERS,
            max_image_megapixels=MAX_PIXELS // _MEGA,
            export_formats=[
                "overlay.png",
                "photo.jpg",
                "result.json",
                "masks/N.png",
                *TEXT_FORMATS,
            ],
        )
