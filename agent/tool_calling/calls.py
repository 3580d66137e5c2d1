"""What a model in conversation can call, and what the conversation remembers of it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol, runtime_checkable

from pydantic import Field

from sam3i_agent.agent.language.replies import PhraseText, Reply
from sam3i_agent.agent.language.side import LanguageSide, View
from sam3i_agent.core.contracts import Frozen


class Call(Reply):
    """A call of one of the functions."""

    reason: str = ""


class SegmentPhrase(Call):
    """Segment what a noun phrase names."""

    phrase: PhraseText


class ExamineEachMask(Call):
    """Judge each mask by itself."""


class SelectMasksAndReturn(Call):
    """End with masks, by their numbers in the last picture."""

    masks: Annotated[list[int], Field(min_length=1)]


class ReportNoMask(Call):
    """End with nothing."""


FUNCTIONS: Mapping[str, type[Call]] = {
    "segment_phrase": SegmentPhrase,
    "examine_each_mask": ExamineEachMask,
    "select_masks_and_return": SelectMasksAndReturn,
    "report_no_mask": ReportNoMask,
}


class Turn(Frozen):
    """A call that was carried out, and the masks that came of it."""

    phrase: str = ""
    """That was segmented; empty where masks were examined."""
    reason: str = ""
    before: int
    """Masks that there were before this turn's were left out or rejected."""
    shown: tuple[int, ...]
    """Positions of the candidates that the model sees now, in the order of their numbers."""


@runtime_checkable
class ToolCallingSide(LanguageSide, Protocol):
    """A language side that can be talked to, and says what to do next."""

    async def next_call(self, view: View, turns: Sequence[Turn], number: int) -> Call:
        """Return what to call next.

        Args:
            view: with all candidates found so far, in the order of their positions.
            turns: the calls so far that were carried out.
            number: of the question within the run.

        Raises:
            LanguageReplyError: its reply, corrected once, is unusable.
            LanguageError: the model cannot be reached or refuses.
            BudgetError: a budget is used up.
        """
        ...
