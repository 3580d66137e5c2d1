"""The conversation as a model reads it: a change of a word shows in the review of a golden file.

`SAM3I_WRITE_GOLDEN=1 pytest tests/prompts/test_conversation_words.py` writes it anew.
"""

import asyncio
import os
from pathlib import Path

import pytest

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.conversation import Conversation
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.agent.language.mllm import MllmLanguage
from sam3i_agent.agent.language.side import ProposedPhrase, TriedPhrase, View
from sam3i_agent.agent.tool_calling.asking import PROMPTS
from sam3i_agent.agent.tool_calling.calls import Turn
from sam3i_agent.core.contracts import Budgets
from sam3i_agent.core.errors import LanguageReplyError
from sam3i_agent.core.masks import Masks
from sam3i_agent.prompts.templates import complaint
from tests.conftest import block

GOLDEN = Path(__file__).parent.parent / "data" / "prompts" / f"{PROMPTS}.txt"
PHRASES = ("umbrella", "parasol")


class _Listening(Conversation):
    """Writes down what it is asked and how it is corrected, and answers nothing of use."""

    def __init__(self) -> None:
        super().__init__("nobody", Meter(Budgets(), MemoryLedger()))
        self.heard: list[str] = []

    async def _request(self, question):
        parts = [f"--- {question.label}: {question.function}"]
        for position, message in enumerate(question.messages):
            content = message["content"]
            said = content if isinstance(content, str) else content[0]["text"]
            pictures = question.places.count(position)
            parts.append(f"[{message['role']}, {pictures} pictures]\n{said}")
        self.heard.append("\n\n".join(parts))
        return {"role": "assistant", "content": "hm"}, 1


def _rendered(photo) -> str:
    listening = _Listening()
    side = MllmLanguage(listening)
    masks = [block(x, 10, x + 20, 40) for x in (5, 30, 55)]
    candidates = tuple(
        Candidate("umbrella", Masks.encode([one], (100, 100)), (0, 0, 9, 9), 0.9) for one in masks
    )
    tried = tuple(TriedPhrase(phrase=ProposedPhrase(text=one), found=1) for one in PHRASES)
    view = View(photo, "what would keep the rain off?", 1, tried, candidates)
    found = Turn(phrase="parasol", reason="a broader word", before=4, shown=(0, 1, 2))
    conversations = [
        [],
        [Turn(phrase="umbrella", before=0, shown=())],
        [Turn(phrase="umbrella", before=1, shown=(0,)), found],
        [found, Turn(reason="small", before=3, shown=(1,))],
        [found, Turn(before=3, shown=())],
    ]
    for number, turns in enumerate(conversations, start=1):
        with pytest.raises(LanguageReplyError):
            asyncio.run(side.next_call(view, turns, number))
    return "\n\n\n".join(listening.heard) + "\n"


def test_the_words_are_those_of_the_golden_file(grey_photo):
    said = _rendered(grey_photo)
    if os.environ.get("SAM3I_WRITE_GOLDEN"):
        GOLDEN.write_text(said, "utf-8")
    assert said == GOLDEN.read_text("utf-8")
    for wrong in ("1 masks", "1 to 1 ", "of the 1 "):
        assert wrong not in said


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("unknown_function", {"called": "dance", "count": 1, "functions": "segment_phrase"}),
        ("no_call", {}), ("several_calls", {"count": 2}), ("wrong_call", {"error": "x"}),
        ("no_phrase", {}), ("tried", {"phrase": "x"}), ("unknown_mask", {"number": 3, "count": 1}),
    ],
)  # fmt: skip
def test_every_complaint_can_be_said(name, values):
    said = complaint(name, PROMPTS, **values)
    assert said and "1 to 1" not in said
