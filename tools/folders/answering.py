"""Answering many pictures with one model: reading, asking and drawing overlap.

Several threads each take a picture from its file to its overlay. Whatever reaches the model while
it is busy is answered together (`segmodel.sharing.combining`), as far as the device gains from it.
"""

import asyncio
import io
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

from PIL import Image

from sam3i_agent.agent.language.factory import LanguageFactory, offline_planner
from sam3i_agent.agent.requests import make_request
from sam3i_agent.core.contracts import (
    DEFAULT_BUDGETS,
    Budgets,
    PictureAnswer,
    RouteChoice,
    SegmentationResult,
    Usage,
)
from sam3i_agent.core.drawing import draw_marks
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo, read_photo
from sam3i_agent.core.results import join_results, with_usage
from sam3i_agent.tools.folders.pictures import Picture
from sam3i_agent.tools.service import SegmentationService

AT_ONCE = 8
"""Pictures in work at a time: as many as are encoded in one pass at most."""
THUMBNAIL_SIDE = 320
"""Longest side in pixels."""
_QUALITY = 85


@dataclass(frozen=True)
class FolderSettings:
    """How each picture is asked about."""

    model: ModelChoice
    route: RouteChoice = RouteChoice.AUTO
    use_head: bool = True
    budgets: Budgets = DEFAULT_BUDGETS
    """Of each picture; requests to the language model at a time are those of all together."""
    language: LanguageFactory = offline_planner


@dataclass(frozen=True)
class DrawnAnswer:
    """An answer with its pictures, as JPEG; none where the picture could not be read."""

    answer: PictureAnswer
    overlay: bytes = b""
    thumbnail: bytes = b""


AnswerPictures = Callable[[Iterable[Picture]], Iterator[DrawnAnswer]]
"""Answers pictures, here or on other machines, in any order."""


class PictureAnswerer:
    """Answers pictures, several at a time.

    Args:
        service: the model, which is loaded.
        settings: how.
        at_once: pictures in work at a time.
    """

    def __init__(
        self, service: SegmentationService, settings: FolderSettings, at_once: int = AT_ONCE
    ) -> None:
        self._service = service
        self._segmenter = service.segmenter()
        self._settings = settings
        self._at_once = at_once
        each = max(1, settings.budgets.concurrency // at_once)
        self._budgets = settings.budgets.model_copy(update={"concurrency": each})

    def answer(self, pictures: Iterable[Picture]) -> Iterator[DrawnAnswer]:
        """Answer pictures, in the order in which they are done; one that is broken is said so.

        Raises:
            InputError: the model lacks a level that texts are to be read at.
            ModelError: it does not answer.
        """
        left = iter(pictures)
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="picture") as pool:
            running: set[Future[DrawnAnswer]] = set()
            try:
                while True:
                    more = islice(left, self._at_once - len(running))
                    running |= {pool.submit(self._answer_one, one) for one in more}
                    if not running:
                        return
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for one in done:
                        yield one.result()
            finally:
                for one in running:
                    one.cancel()

    def _answer_one(self, picture: Picture) -> DrawnAnswer:
        try:
            photo = read_photo(picture.path)
        except InputError as error:
            problem = str(error)
            return DrawnAnswer(
                PictureAnswer(file=picture.file, texts=picture.texts, problem=problem)
            )
        results = asyncio.run(self._results(photo, picture))
        answer = PictureAnswer(file=picture.file, texts=picture.texts, results=tuple(results))
        marked = draw_marks(photo.pixels, join_results(results).masks())
        small = marked.copy()
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        return DrawnAnswer(answer, _jpeg(marked), _jpeg(small))

    async def _results(self, photo: Photo, picture: Picture) -> list[SegmentationResult]:
        started = time.perf_counter()
        # Not kept: the picture does not come again, and thousands of features take gigabytes.
        encoded = self._segmenter.encode(photo, keep=False)
        seconds = round(time.perf_counter() - started, 4)
        results = [
            await self._service.answer(
                photo,
                make_request(
                    photo,
                    text.instruction,
                    route=self._settings.route,
                    level=text.level,
                    use_head=self._settings.use_head,
                    budgets=self._budgets,
                ),
                language=self._settings.language,
                encoded=encoded,
            )
            for text in picture.texts
        ]
        results[0] = with_usage(results[0], Usage(seconds=seconds, image_encodings=1))
        return results


def _jpeg(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()


def answer_here(settings: FolderSettings) -> AnswerPictures:
    """Return what answers with a model in this process, loaded when the first picture comes."""

    def answer(pictures: Iterable[Picture]) -> Iterator[DrawnAnswer]:
        yield from PictureAnswerer(SegmentationService(settings.model), settings).answer(pictures)

    return answer
