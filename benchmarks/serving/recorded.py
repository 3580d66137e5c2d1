"""Recorded runs of the agent, whose checkpoints are in a database that dies meanwhile."""

import asyncio
import logging
from collections import Counter

from sam3i_agent.agent.recording.runs import RecordedRun, RunStore
from sam3i_agent.agent.requests import make_request
from sam3i_agent.benchmarks.serving.rounds import Found, Round
from sam3i_agent.core.contracts import RouteChoice
from sam3i_agent.core.errors import TryAgainError
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.photo import read_photo
from sam3i_agent.tools.service import SegmentationService

logger = logging.getLogger(__name__)
_PAUSE_S = 1.0
"""Before a run is taken up again."""


class RecordedRuns:
    """Runs one after the other, each resumed until it is finished.

    Args:
        service: the model.
        asked: what about; the first run's answer is the right one of all.
    """

    def __init__(self, service: SegmentationService, asked: Round) -> None:
        self._service = service
        self._photo = read_photo(asked.path)
        self._path = asked.path
        self._request = make_request(self._photo, asked.instruction, route=RouteChoice.AGENT)
        self._wanted: Found | None = None
        self.counts: Counter[str] = Counter()

    async def one(self) -> None:
        """Make one run; where it breaks, take it up again as another machine would."""
        run_id: str | None = None
        while True:
            try:
                recorded = await asyncio.to_thread(self._open, run_id)
                run_id = recorded.info.run_id
                result = await self._service.answer(self._photo, self._request, recorded=recorded)
                break
            except TryAgainError as error:
                self.counts["try_again"] += 1
                await asyncio.sleep(min(error.retry_after_s, _PAUSE_S))
            except Exception as error:  # whatever it is, it is counted and shown
                self.counts["errors"] += 1
                logger.warning("a recorded run breaks: %r", error)
                await asyncio.sleep(_PAUSE_S)
            self.counts["resumed"] += run_id is not None
        size = result.image.height, result.image.width
        found = Found(Masks(size, [one.mask.counts for one in result.instances]))
        self._wanted = self._wanted or found
        self.counts["finished"] += 1
        self.counts["wrong"] += not found.is_same(self._wanted)

    def _open(self, run_id: str | None) -> RecordedRun:
        if run_id is not None:
            return RunStore().resume(run_id)
        return RunStore().create(self._path, self._request, self._service.model)
