"""A multimodal model as the agent's language side: prompts and pictures in, typed answers out."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sam3i_agent.agent.candidates import Candidate, doubles_of
from sam3i_agent.agent.language.conversation import Conversation
from sam3i_agent.agent.language.pictures import PHOTO_SIDE, ShownPictures
from sam3i_agent.agent.language.proposals import proposal_of, tidy
from sam3i_agent.agent.language.replies import (
    ExhaustiveReply,
    NumberedVerdict,
    ProposeReply,
    SelectReply,
    SheetReply,
    VerifyReply,
)
from sam3i_agent.agent.language.side import (
    Decision,
    Known,
    Proposal,
    Role,
    Selection,
    Verdict,
    View,
    roles_of,
)
from sam3i_agent.agent.tool_calling.asking import ask_next_call
from sam3i_agent.agent.tool_calling.calls import Call, Turn
from sam3i_agent.agent.weighing.belief import MODEL, Trust
from sam3i_agent.core.errors import BudgetError, LanguageReplyError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.prompts.templates import PromptTemplate, complaint, has_prompt, load_prompt

SAME_MASK_IOU = 0.9
"""Masks of different wordings that overlap more are one candidate."""
MAX_CANDIDATES = 100
MIN_SCORE = 0.25
"""Of a candidate that a model is shown."""
TAKEN = 0.9
"""Belief from which a model is told that a candidate is taken to be right."""
MASKS_PER_SHEET = 40
"""More cut-outs than that cannot be read on one picture."""


class MllmLanguage:
    """Asks a model by words and pictures.

    Args:
        client: what carries the questions to it.
        image_side: longest side of the pictures it is shown, in pixels.
        text_only: it cannot see: it is asked for a plan alone, and without pictures.
    """

    def __init__(
        self, client: Conversation, image_side: int = PHOTO_SIDE, *, text_only: bool = False
    ) -> None:
        self._client = client
        self._text_only = text_only
        self._shown = ShownPictures(image_side)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._client.model

    @property
    def max_candidates(self) -> int:
        """More numbers than that cannot be read on one picture."""
        return MAX_CANDIDATES

    @property
    def min_score(self) -> float:
        """Low: a weak mask may be the only one, and the model sees what it is."""
        return MIN_SCORE

    @property
    def trust(self) -> Trust:
        """As models are trusted that are not known."""
        return MODEL

    @property
    def judges(self) -> bool:
        """Whether it sees."""
        return not self._text_only

    def may_help(self, instruction: str, level: InstructionLevel) -> bool:
        """Yes: it reads whatever people write."""
        return True

    def out_of_proposals(self, view: View) -> str | None:
        """Never known: a model always has words, and a question tells whether they help."""
        return None

    def inspect(self, view: View) -> Verdict | None:
        """Say nothing: without a question it knows nothing."""
        return None

    def doubles(self, candidates: Sequence[Candidate]) -> frozenset[int]:
        """Return those that are the same mask under another wording."""
        return doubles_of(candidates, SAME_MASK_IOU)

    def keeps_unselected(self) -> bool:
        """Yes: it proposed what they were found by."""
        return True

    async def propose(self, view: View) -> Proposal:
        """Ask for target and helper phrases."""
        height, width = view.photo.size_hw
        prompt = self._prompt("propose_unseen" if self._text_only else "propose")
        text = prompt.render_from(
            {
                "instruction": view.instruction,
                "width": width,
                "height": height,
                "tried": view.tried,
                "marks": _marks(view),
                "missing": view.missing,
            }
        )
        pictures = [] if self._text_only else [partial(self._shown.photo, view)]
        if "marks" in prompt.variables and view.candidates:
            pictures.append(partial(self._shown.marked, view))

        def check(reply: ProposeReply) -> str | None:
            if reply.absent:
                return None
            if self._text_only and not reply.targets:
                return None  # it cannot tell, and says so
            if not reply.targets:
                return self._complain("no_targets")
            texts = [*reply.targets, *reply.helpers]
            if all(tidy(one).lower() in view.tried_texts for one in texts):
                return self._complain("nothing_new")
            return None

        reply = await self._client.ask(
            f"propose/{view.round}",
            "propose_phrases",
            text,
            pictures,
            ProposeReply,
            check,
            view=view,
            marks=_key_of(view),
        )
        return proposal_of(reply, view)

    async def select(self, view: View) -> Selection:
        """Show all masks numbered on one picture, and enlarged on a sheet."""
        marks = _marks(view)
        with_sheet = "sheet" in self._prompt("select").variables
        text = self._prompt("select").render_from(
            {
                "instruction": view.instruction,
                "marks": marks,
                "tried": view.tried,
                "sheet": with_sheet and len(marks) <= MASKS_PER_SHEET,
            }
        )

        pictures = [partial(self._shown.photo, view), partial(self._shown.marked, view)]
        if with_sheet and len(marks) <= MASKS_PER_SHEET:
            pictures.append(partial(self._shown.sheet, view))

        def check(reply: SelectReply) -> str | None:
            wrong = [number for number in reply.masks if not 1 <= number <= len(marks)]
            if wrong:
                return self._complain("unknown_mask", number=wrong[0], count=len(marks))
            if any(marks[number - 1]["helper"] for number in reply.masks):
                return self._complain("helper_chosen")
            return None

        reply = await self._client.ask(
            f"select/{view.round}",
            "select_masks",
            text,
            pictures,
            SelectReply,
            check,
            view=view,
            marks=_key_of(view),
        )
        missing = reply.missing
        if not missing and not reply.finished:
            missing = reply.reason or "something"  # as version 1 says it
        if not missing and not reply.masks and not reply.absent:
            missing = "the right thing"
        return Selection(
            numbers=tuple(dict.fromkeys(reply.masks)),
            missing=missing if not (reply.absent and not reply.masks) else "",
            absent=reply.absent and not reply.masks,
            reason=reply.reason,
            thought=reply.thought,
        )

    async def verify(self, view: View, look: int = 1) -> tuple[Verdict, ...]:
        """Judge several on one sheet, and at a second look each by itself."""
        if self._judges_kinds or look > 1 or len(view.candidates) == 1:
            views = [
                replace(view, candidates=(one,), known=view.known[i : i + 1])
                for i, one in enumerate(view.candidates)
            ]
            return tuple(await self._side_by_side([self._verify_one(one, look) for one in views]))
        verdicts: list[Verdict] = []
        for start in range(0, len(view.candidates), MASKS_PER_SHEET):
            part = slice(start, start + MASKS_PER_SHEET)
            some = replace(view, candidates=view.candidates[part], known=view.known[part])
            verdicts += await self._verify_sheet(some)
        return tuple(verdicts)

    async def is_exhaustive(self, view: View) -> Verdict:
        """Show all masks numbered and ask whether anything is missing."""
        text = self._prompt("exhaustive").render_from(
            {"instruction": view.instruction, "count": len(view.candidates)}
        )

        reply = await self._client.ask(
            f"exhaustive/{view.round}",
            "judge_completeness",
            text,
            [partial(self._shown.photo, view), partial(self._shown.marked, view)],
            ExhaustiveReply,
            view=view,
            marks=_key_of(view),
        )
        decision = Decision.ACCEPT if reply.complete else Decision.REJECT
        return Verdict(decision=decision, reason=reply.missing, thought=reply.thought)

    async def next_call(self, view: View, turns: Sequence[Turn], number: int) -> Call:
        """Go on with the conversation of the other agent."""
        return await ask_next_call(self._client, self._shown, view, turns, number)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _verify_one(self, view: View, look: int) -> Verdict:
        """Show the photo, the photo with the one mask, and a cut-out."""
        (candidate,) = view.candidates
        text = self._prompt("verify").render_from(
            {
                "instruction": view.instruction,
                "phrase": candidate.key,
                "found_by": candidate.found_by,
                "number_of_images": 3,
            }
        )
        shown = self._shown
        reply = await self._client.ask(
            f"verify/{view.round}.{look}",
            "judge_mask",
            text,
            [partial(one, view) for one in (shown.small_photo, shown.one_marked, shown.cut_out)],
            VerifyReply,
            view=view,
            marks=_key_of(view),
        )
        verdict = _verdict(reply)
        if self._judges_kinds and verdict.decision is Decision.ACCEPT:
            return verdict.model_copy(update={"decision": Decision.UNJUDGED})
        return verdict

    async def _verify_sheet(self, view: View) -> list[Verdict]:
        """Show the photo, the photo with all masks, and a sheet of cut-outs."""
        count = len(view.candidates)
        text = self._prompt("verify_sheet").render_from(
            {"instruction": view.instruction, "marks": _marks(view)}
        )

        shown = self._shown

        def check(reply: SheetReply) -> str | None:
            numbers = [one.number for one in reply.judgements]
            wrong = [one for one in numbers if not 1 <= one <= count]
            if wrong:
                return self._complain("unknown_mask", number=wrong[0], count=count)
            lacking = sorted(set(range(1, count + 1)) - set(numbers))
            if lacking:
                return self._complain("unjudged", number=lacking[0], count=count)
            return None

        reply = await self._client.ask(
            f"verify/{view.round}",
            "judge_masks",
            text,
            [partial(one, view) for one in (shown.photo, shown.marked, shown.sheet)],
            SheetReply,
            check,
            view=view,
            marks=_key_of(view),
        )
        by_number = {one.number: _verdict(one) for one in reply.judgements}
        return [by_number[number] for number in range(1, count + 1)]

    async def _side_by_side(self, questions: Sequence[Awaitable[Verdict]]) -> list[Verdict]:
        """Ask as many at a time as the budget allows; one without a usable answer is unjudged."""
        turns = asyncio.Semaphore(self._client.concurrency)

        async def ask(question: Awaitable[Verdict]) -> Verdict:
            async with turns:
                return await question

        outcomes = await asyncio.gather(*map(ask, questions), return_exceptions=True)
        verdicts: list[Verdict] = []
        for outcome in outcomes:
            match outcome:
                case LanguageReplyError() | BudgetError():
                    verdicts.append(Verdict(decision=Decision.UNJUDGED, reason=outcome.message))
                case BaseException():
                    raise outcome
                case _:
                    verdicts.append(outcome)
        return verdicts

    @property
    def _judges_kinds(self) -> bool:
        """Whether verdicts are on the kind alone, as in version 1: accepted is not yet meant."""
        return not has_prompt("verify_sheet", self._client.prompts)

    def _prompt(self, name: str) -> PromptTemplate:
        return load_prompt(name, self._client.prompts)

    def _complain(self, name: str, **values: object) -> str:
        return complaint(name, self._client.prompts, **values)


def _key_of(view: View) -> str:
    return " ".join(one.counts for one in view.candidates)


def _marks(view: View) -> list[dict[str, Any]]:
    """Return what the prompts say of each candidate."""
    height, width = view.photo.size_hw
    roles = roles_of(view.tried)
    known = view.known or (Known(belief=0.5),) * len(view.candidates)
    return [
        {
            "number": number,
            "phrase": one.key,
            "found_by": one.found_by,
            "helper": roles.get(one.key) is Role.HELPER,
            "centre": tuple(round(value) for value in one.centre_xy),
            "share": round(100 * one.area / (height * width), 1),
            "doubt": about.doubt,
            "taken": about.belief >= TAKEN,
            "planned": about.planned,
        }
        for number, (one, about) in enumerate(zip(view.candidates, known, strict=True), start=1)
    ]


def _verdict(reply: VerifyReply | NumberedVerdict) -> Verdict:
    return Verdict(decision=Decision(reply.verdict), reason=reply.reason, thought=reply.thought)
