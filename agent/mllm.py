"""A multimodal model as the agent's language side: prompts and pictures in, typed answers out."""

import asyncio

import numpy as np
from PIL import Image

from sam3i_agent.agent.chat import ChatClient
from sam3i_agent.agent.language import (
    Decision,
    Proposal,
    ProposedPhrase,
    Role,
    Selection,
    Verdict,
    View,
)
from sam3i_agent.agent.marks import crop_around, draw_marks, fit
from sam3i_agent.agent.replies import ExhaustiveReply, ProposeReply, SelectReply, VerifyReply
from sam3i_agent.prompts.templates import load_prompt

PHOTO_SIDE = 1024
"""Longest side of the pictures a model is shown, in pixels."""


class MllmLanguage:
    """Asks a model behind a `ChatClient`.

    Args:
        client: where the model is.
    """

    def __init__(self, client: ChatClient) -> None:
        self._client = client

    @property
    def name(self) -> str:
        """The model's name."""
        return self._client.model

    @property
    def is_model(self) -> bool:
        """It costs calls."""
        return True

    def can_read(self, instruction: str) -> bool:
        """Whatever people write."""
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
                return "targets is empty; name at least one phrase, or set absent to true"
            texts = [*reply.targets, *reply.helpers]
            if all(_tidy(one).lower() in view.tried_texts for one in texts):
                return "all of these phrases have been tried; name a different one"
            return None

        reply = await self._client.ask(
            f"propose/{view.round}",
            "propose_phrases",
            text,
            [fit(view.photo.pixels, PHOTO_SIDE)],
            ProposeReply,
            check,
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
        masks = np.array([one.mask for one in view.candidates], dtype=bool)
        masks = masks.reshape(-1, *view.photo.size_hw)
        picture = await asyncio.to_thread(draw_marks, view.photo.pixels, masks, max_side=PHOTO_SIDE)
        text = load_prompt("exhaustive").render(
            instruction=view.instruction, count=len(view.candidates)
        )
        reply = await self._client.ask(
            f"exhaustive/{view.round}",
            "judge_completeness",
            text,
            [fit(view.photo.pixels, PHOTO_SIDE), picture],
            ExhaustiveReply,
        )
        decision = Decision.ACCEPT if reply.complete else Decision.REJECT
        return Verdict(decision=decision, reason=reply.missing)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def verify(self, view: View) -> Verdict:
        """Show the photo, the photo with the one mask, and a cut-out."""
        (candidate,) = view.candidates
        pictures = await asyncio.to_thread(_verdict_pictures, view)
        text = load_prompt("verify").render(
            instruction=view.instruction, phrase=candidate.phrase, number_of_images=len(pictures)
        )
        # The pictures are part of the key, so equal labels of different masks do not meet.
        reply = await self._client.ask(
            f"verify/{view.round}", "judge_mask", text, pictures, VerifyReply
        )
        return Verdict(decision=Decision(reply.verdict), reason=reply.reason)

    async def select(self, view: View) -> Selection:
        """Show all masks numbered on one picture."""
        masks = np.stack([one.mask for one in view.candidates])
        picture = await asyncio.to_thread(draw_marks, view.photo.pixels, masks, max_side=PHOTO_SIDE)
        height, width = view.photo.size_hw
        helpers = {one.phrase.key for one in view.tried if one.phrase.role is Role.HELPER}
        marks = [
            {
                "phrase": one.phrase,
                "helper": one.phrase in helpers,
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
                return f"there is no mask {wrong[0]}; masks are numbered 1 to {len(marks)}"
            if any(marks[number - 1]["helper"] for number in reply.masks):
                return "a helper is never part of the answer"
            return None

        reply = await self._client.ask(
            f"select/{view.round}",
            "select_masks",
            text,
            [fit(view.photo.pixels, PHOTO_SIDE), picture],
            SelectReply,
            check,
        )
        return Selection(
            numbers=tuple(dict.fromkeys(reply.masks)),
            finished=bool(reply.masks) or (reply.finished and reply.absent),
            absent=reply.absent and not reply.masks,
            reason=reply.reason,
        )


def _verdict_pictures(view: View) -> list[Image.Image]:
    (candidate,) = view.candidates
    pixels = view.photo.pixels
    return [
        fit(pixels, PHOTO_SIDE),
        draw_marks(pixels, candidate.mask[None], max_side=PHOTO_SIDE),
        crop_around(pixels, candidate.mask),
    ]


def _tidy(phrase: str) -> str:
    """Drop white space, quotes, a leading article and a full stop."""
    words = phrase.strip().strip("\"'.").split()
    if len(words) > 1 and words[0].lower() in ("a", "an", "the"):
        words = words[1:]
    return " ".join(words)
