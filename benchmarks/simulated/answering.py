"""One text answered one way, with segmentations that are shared by all ways and rows."""

import asyncio
import time
from collections.abc import Sequence
from typing import Self

from sam3i_agent.agent.language.factory import LanguageFactory
from sam3i_agent.agent.requests import make_request
from sam3i_agent.agent.run import answer_request
from sam3i_agent.benchmarks.simulated.questions import Question
from sam3i_agent.core.contracts import RouteChoice, SegmentationResult
from sam3i_agent.core.instances import Instances
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.segmenter import Segmenter


class KeptPhoto:
    """One photo whose answers are kept; an `EncodedImage`.

    Args:
        segmenter: a loaded model.
        photo: the picture.
    """

    encodings = 0
    """What encoding took is not counted, as some other row may have paid for it."""

    def __init__(self, segmenter: Segmenter, photo: Photo) -> None:
        self._segmenter = segmenter
        self._photo = photo
        self._answers: dict[Prompt, tuple[Instances, float]] = {}
        self.spared_s = 0.0
        """Seconds that answers took when they were given first, less those of encoding."""

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        """Return the instances of each prompt; those that were asked before are not asked again."""
        new = [one for one in dict.fromkeys(prompts) if one not in self._answers]
        self.spared_s += sum(self._answers[one][1] for one in prompts if one in self._answers)
        if new:
            started = time.perf_counter()
            encoded = self._segmenter.encode(self._photo)
            ready = time.perf_counter()
            answers = encoded.segment(new)
            seconds = (time.perf_counter() - ready) / len(new)
            self.spared_s -= ready - started
            self._answers |= {
                one: (answer, seconds) for one, answer in zip(new, answers, strict=True)
            }
        return [self._answers[one][0] for one in prompts]


class Answerer:
    """Answers texts about photos; what the model says of a photo is asked once. Used by `with`.

    Args:
        segmenter: a loaded model.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self._photos: dict[str, KeptPhoto] = {}
        self._runner = asyncio.Runner()  # one for all: threads of its own cost a run more than most

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End its threads."""
        self._runner.close()

    def photo(self, photo: Photo) -> KeptPhoto:
        """Return a photo with the answers that are kept of it."""
        return self._photos.setdefault(photo.sha256, KeptPhoto(self.segmenter, photo))

    def answer(
        self, one: Question, route: RouteChoice, language: LanguageFactory, *, use_head: bool = True
    ) -> tuple[SegmentationResult, float]:
        """Answer a text.

        Args:
            one: the text and its photo.
            route: which way.
            language: the language side.
            use_head: let the direct answer be a candidate of the agent.

        Returns:
            The result, and its seconds on a photo that is encoded, as if nothing were kept.
        """
        kept = self.photo(one.photo)
        before = kept.spared_s
        result = self._runner.run(
            answer_request(
                self.segmenter,
                one.photo,
                make_request(one.photo, one.text, route=route, use_head=use_head),
                language=language,
                encoded=kept,
            )
        )
        return result, max(0.0, result.usage.seconds + kept.spared_s - before)
