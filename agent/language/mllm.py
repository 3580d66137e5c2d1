"""A multimodal model as the agent's language side: prompts and pictures in, typed answers out."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.agent.candidates import Candidate, doubles_of
from sam3i_agent.agent.language.conversation import Conversation
from sam3i_agent.agent.language.replies import (
    ExhaustiveReply,
    ProposeReply,
    SelectReply,
    VerifyReply,
)
from sam3i_agent.agent.language.side import (
    Decision,
    Proposal,
    ProposedPhrase,
    Role,
    Selection,
    Verdict,
    View,
    roles_of,
)
from sam3i_agent.core.drawing import crop_around, data_url, draw_marks, fit, scale_mask
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.prompts.templates import complaint, load_prompt

PHOTO_SIDE = 1024
"""Longest side of the pictures a model is shown, in pixels."""
SAME_MASK_IOU = 0.9
"""Masks of different wordings that overlap more are one candidate."""
MAX_CANDIDATES = 100
VERDICT_SIDE = 768
"""The same for the verdict on one mask, which has a cut-out for the detail."""
_VERDICT_PICTURES = 3
"""Photo, mark and cut-out."""


class MllmLanguage:
    """Asks a model by words and pictures.

    Args:
        client: what carries the questions to it.
    """

    def __init__(self, client: Conversation) -> None:
        self._client = client
        self._photos: dict[tuple[str, int], _ScaledPhoto] = {}
        """Of the photo in work, by its hash and longest side; each is made once."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self._client.model

    @property
    def max_candidates(self) -> int:
        """More numbers than that cannot be read on one picture."""
        return MAX_CANDIDATES

    def may_help(self, instruction: str, level: InstructionLevel) -> bool:
        """Yes: it reads whatever people write."""
        return True

    def out_of_proposals(self, view: View) -> str | None:
        """Never known: a model always has words, and a question tells whether they help."""
        return None

    def wants_verdict(self, view: View) -> bool:
        """Only of targets: helpers are never the answer, and questions cost."""
        return roles_of(view.tried)[view.candidates[0].key] is Role.TARGET

    def doubles(self, candidates: Sequence[Candidate]) -> frozenset[int]:
        """Return those that are the same mask under another wording."""
        return doubles_of(candidates, SAME_MASK_IOU)

    def keeps_unselected(self) -> bool:
        """Yes: it proposed what they were found by."""
        return True

    async def propose(self, view: View) -> Proposal:
        """Ask for target and helper phrases."""
        height, width = view.photo.size_hw
        text = load_prompt("propose").render(
            instruction=view.instruction, width=width, height=height, tried=view.tried
        )

        def check(reply: ProposeReply) -> str | None:
            if reply.absent:
                return None
            if not reply.targets:
                return complaint("no_targets")
            texts = [*reply.targets, *reply.helpers]
            if all(_tidy(one).lower() in view.tried_texts for one in texts):
                return complaint("nothing_new")
            return None

        reply = await self._client.ask(
            f"propose/{view.round}",
            "propose_phrases",
            text,
            lambda: asyncio.to_thread(self._unmarked, view),
            ProposeReply,
            check,
            view=view,
        )
        phrases = [ProposedPhrase(text=_tidy(one)) for one in reply.targets]
        phrases += [ProposedPhrase(text=_tidy(one), role=Role.HELPER) for one in reply.helpers]
        unique: dict[str, ProposedPhrase] = {}
        for phrase in phrases:
            if phrase.text and phrase.text.lower() not in view.tried_texts:
                unique.setdefault(phrase.text.lower(), phrase)
        return Proposal(phrases=tuple(unique.values()), absent=reply.absent, reason=reply.reason)

    async def is_exhaustive(self, view: View) -> Verdict:
        """Show all masks numbered and ask whether anything is missing."""
        text = load_prompt("exhaustive").render(
            instruction=view.instruction, count=len(view.candidates)
        )
        reply = await self._client.ask(
            f"exhaustive/{view.round}",
            "judge_completeness",
            text,
            lambda: asyncio.to_thread(self._all_marked, view),
            ExhaustiveReply,
            view=view,
            marks=_marks(view),
        )
        decision = Decision.ACCEPT if reply.complete else Decision.REJECT
        return Verdict(decision=decision, reason=reply.missing)

    def _photo(self, view: View, side: int) -> "_ScaledPhoto":
        key = (view.photo.sha256, side)
        if key not in self._photos:
            for other in [one for one in self._photos if one[0] != view.photo.sha256]:
                del self._photos[other]
            picture = fit(view.photo.pixels, side)
            self._photos[key] = _ScaledPhoto(np.asarray(picture), data_url(picture))
        return self._photos[key]

    def _unmarked(self, view: View) -> list[str]:
        return [self._photo(view, PHOTO_SIDE).url]

    def _all_marked(self, view: View) -> list[str]:
        masks = Masks(view.photo.size_hw, (one.counts for one in view.candidates))
        marked = draw_marks(view.photo.pixels, masks, max_side=PHOTO_SIDE)
        return [self._photo(view, PHOTO_SIDE).url, data_url(marked)]

    def _verdict_pictures(self, view: View) -> list[str]:
        (candidate,) = view.candidates
        photo = self._photo(view, VERDICT_SIDE)
        height, width = photo.pixels.shape[:2]
        mask = scale_mask(candidate.mask, (width, height))
        return [
            photo.url,
            data_url(draw_marks(photo.pixels, [mask], max_side=VERDICT_SIDE)),
            data_url(crop_around(view.photo.pixels, candidate.mask)),
        ]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def verify(self, view: View) -> Verdict:
        """Show the photo, the photo with the one mask, and a cut-out."""
        (candidate,) = view.candidates
        text = load_prompt("verify").render(
            instruction=view.instruction,
            phrase=candidate.key,
            number_of_images=_VERDICT_PICTURES,
        )
        # The mask is part of the key, so equal labels of different masks do not meet.
        reply = await self._client.ask(
            f"verify/{view.round}",
            "judge_mask",
            text,
            lambda: asyncio.to_thread(self._verdict_pictures, view),
            VerifyReply,
            view=view,
            marks=_marks(view),
        )
        return Verdict(decision=Decision(reply.verdict), reason=reply.reason)

    async def select(self, view: View) -> Selection:
        """Show all masks numbered on one picture."""
        height, width = view.photo.size_hw
        roles = roles_of(view.tried)
        marks = [
            {
                "phrase": one.key,
                "helper": roles[one.key] is Role.HELPER,
                "centre": tuple(round(value) for value in one.centre_xy),
                "share": round(100 * one.area / (height * width), 1),
            }
            for one in view.candidates
        ]
        text = load_prompt("select").render(
            instruction=view.instruction, marks=marks, tried=view.tried
        )

        def check(reply: SelectReply) -> str | None:
            wrong = [number for number in reply.masks if not 1 <= number <= len(marks)]
            if wrong:
                return complaint("unknown_mask", number=wrong[0], count=len(marks))
            if any(marks[number - 1]["helper"] for number in reply.masks):
                return complaint("helper_chosen")
            return None

        reply = await self._client.ask(
            f"select/{view.round}",
            "select_masks",
            text,
            lambda: asyncio.to_thread(self._all_marked, view),
            SelectReply,
            check,
            view=view,
            marks=_marks(view),
        )
        return Selection(
            numbers=tuple(dict.fromkeys(reply.masks)),
            finished=bool(reply.masks) or (reply.finished and reply.absent),
            absent=reply.absent and not reply.masks,
            reason=reply.reason,
        )


@dataclass(frozen=True)
class _ScaledPhoto:
    """A photo as a model is shown it."""

    pixels: NDArray[np.uint8]
    url: str


def _marks(view: View) -> str:
    """Return what tells the marked masks from others, in their order."""
    return hashlib.sha256("\n".join(one.counts for one in view.candidates).encode()).hexdigest()


def _tidy(phrase: str) -> str:
    """Drop white space, quotes, a leading article and a full stop."""
    words = phrase.strip().strip("\"'.").split()
    if len(words) > 1 and words[0].lower() in ("a", "an", "the"):
        words = words[1:]
    return " ".join(words)
