"""A question's pictures, drawn only where they are sent; its key; and a reply's thoughts."""

import asyncio
import json
from dataclasses import replace

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.conversation import Conversation, Message, Question
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.agent.language.mllm import MllmLanguage
from sam3i_agent.agent.language.replies import VerifyReply
from sam3i_agent.agent.language.side import Decision, ProposedPhrase, TriedPhrase, View
from sam3i_agent.core.contracts import Budgets
from sam3i_agent.core.masks import Masks
from tests.conftest import block


class Knowing(Conversation):
    """Answers out of its head, or looks at the pictures first."""

    def __init__(self, *replies: str, looks: bool = False) -> None:
        super().__init__("knowing", Meter(Budgets(), MemoryLedger()))
        self.replies = list(replies)
        self.looks = looks
        self.asked: list[Question] = []

    async def _request(self, question: Question) -> tuple[Message, int]:
        self.asked.append(question)
        if self.looks:
            await question.illustrated()
        return {"role": "assistant", "content": self.replies.pop(0)}, 1


def _candidate(*box: int) -> Candidate:
    return Candidate("star", Masks.encode([block(*box)], (100, 100)), box, 0.9)


def _view(photo, *candidates: Candidate) -> View:
    tried = (TriedPhrase(phrase=ProposedPhrase(text="star"), found=len(candidates)),)
    return View(photo, "the star", 1, tried, candidates)


def _ask(conversation, view, draw):
    return asyncio.run(
        conversation.ask("verify/1", "judge_mask", "Is it?", [draw], VerifyReply, view=view)
    )


def test_pictures_are_drawn_once_for_a_question_and_its_correction(grey_photo):
    drawn: list[int] = []

    async def draw():
        drawn.append(1)
        return "data:image/png;base64,AAAA"

    conversation = Knowing("hm", '{"verdict": "accept"}', looks=True)
    _ask(conversation, _view(grey_photo), draw)
    assert len(conversation.asked) == 2 and len(drawn) == 1
    system, asked, *rest = asyncio.run(conversation.asked[1].illustrated())
    assert [part["type"] for part in asked["content"]] == ["text", "image_url"]
    assert [one["role"] for one in (system, *rest)] == ["system", "assistant", "user"]


def test_who_needs_no_pictures_has_none_drawn(grey_photo):
    async def draw():
        raise AssertionError("nobody looks")

    conversation = Knowing('{"verdict": "accept"}')
    view = _view(grey_photo, _candidate(10, 10, 30, 30))
    _ask(conversation, view, draw)
    assert conversation.asked[0].view is view


def test_the_same_words_about_other_masks_are_another_question(grey_photo):
    conversation = Knowing(*[json.dumps({"verdict": one}) for one in ("accept", "reject")])
    language = MllmLanguage(conversation)
    views = [_view(grey_photo, _candidate(10, 10, x, 30)) for x in (30, 31)]
    (first,), (second,), (again,) = (
        asyncio.run(language.verify(one)) for one in (*views, views[0])
    )
    assert (first.decision, second.decision) == (Decision.ACCEPT, Decision.REJECT)
    assert again == first and len(conversation.asked) == 2


def test_the_same_words_about_another_photo_are_another_question(grey_photo):
    conversation = Knowing(*['{"targets": ["star"]}'] * 2)
    language = MllmLanguage(conversation)
    other = replace(grey_photo, sha256="1" * 64)
    for photo in (grey_photo, other, grey_photo):
        asyncio.run(language.propose(View(photo, "the star", 1)))
    assert len(conversation.asked) == 2
