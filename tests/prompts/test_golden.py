"""Every question as a model reads it: a change of a word shows in the review of a golden file.

`SAM3I_WRITE_GOLDEN=1 pytest tests/prompts/test_golden.py` writes them anew.
"""

import asyncio
import json
import os
from pathlib import Path

import pytest

from sam3i_agent.agent.candidates import HEAD_KEYS, Candidate
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.conversation import Conversation, fields_of
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.agent.language.mllm import MllmLanguage
from sam3i_agent.agent.language.side import Known, ProposedPhrase, Role, TriedPhrase, View
from sam3i_agent.core.contracts import Budgets
from sam3i_agent.core.errors import LanguageReplyError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.prompts.templates import VERSIONS, complaint, load_prompt
from tests.conftest import block

GOLDEN = Path(__file__).parent.parent / "data" / "prompts"
TEXT = "what would keep the rain off?"
TRIED = (
    TriedPhrase(phrase=ProposedPhrase(text="umbrella"), found=2),
    TriedPhrase(phrase=ProposedPhrase(text="table", role=Role.HELPER), found=1),
)


class _Listening(Conversation):
    """Writes down what it is asked, and answers nothing of use."""

    def __init__(self, prompts: str) -> None:
        super().__init__("nobody", Meter(Budgets(max_mllm_calls=100), MemoryLedger()), prompts)
        self.heard: list[str] = []

    async def _request(self, question):
        if len(question.messages) == 2:
            parts = [f"--- {question.function}"]
            for message in question.messages:
                content = message["content"]
                said = content if isinstance(content, str) else content[0]["text"]
                parts.append(f"[{message['role']}]\n{said}")
            ((function, kind),) = question.functions.items()
            parts.append(f"[fields]\n{fields_of(function, kind, self.prompts)}")
            self.heard.append("\n\n".join(parts))
        return {"role": "assistant", "content": "hm"}, 1


def _candidate(key, x0):
    mask = block(x0, 10, x0 + 20, 40)
    return Candidate(key, Masks.encode([mask], (100, 100)), (x0, 10, x0 + 20, 40), 0.9)


def _rendered(version: str, photo) -> str:
    listening = _Listening(version)
    side = MllmLanguage(listening)
    candidates = (
        _candidate("umbrella", 5), _candidate("umbrella", 30), _candidate("table", 55),
        _candidate(HEAD_KEYS[InstructionLevel.COMPLEX], 75),
    )  # fmt: skip
    known = (Known(0.95), Known(0.2, "it is a lamp"), Known(0.1), Known(0.6))
    fresh = View(photo, TEXT, 1)
    later = View(photo, TEXT, 2, TRIED, candidates, known, "the second umbrella")
    one = View(photo, TEXT, 1, TRIED, candidates[:1], known[:1])

    async def ask() -> None:
        for question in (
            side.propose(fresh), side.propose(later), side.select(one), side.select(later),
            side.verify(one), side.verify(later), side.is_exhaustive(one),
            side.is_exhaustive(later),
        ):  # fmt: skip
            try:
                await question
            except LanguageReplyError:
                continue

    asyncio.run(ask())
    corrected = load_prompt("correct", version).render(
        problem=complaint("no_targets", version), function="propose_phrases", fields="{}"
    )
    several = load_prompt("one_of_several", version).render(number=1, count=2, pictures=[1, 3])
    order = load_prompt("fields", version).render(count=2, fields="{}")
    return (
        "\n\n\n".join([*listening.heard, f"--- others\n\n{corrected}\n\n{several}\n\n{order}"])
        + "\n"
    )


def _rendered_unseen(photo) -> str:
    listening = _Listening("v2")
    side = MllmLanguage(listening, text_only=True)
    with pytest.raises(LanguageReplyError):
        asyncio.run(side.propose(View(photo, TEXT, 1)))
    return "\n\n\n".join(listening.heard) + "\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_words_are_those_of_the_golden_file(version, grey_photo):
    _compare(version, _rendered(version, grey_photo))


def test_so_are_the_words_for_models_that_do_not_see(grey_photo):
    _compare("v2_unseen", _rendered_unseen(grey_photo))


def _compare(name: str, said: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("SAM3I_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(said, "utf-8")
    assert said == path.read_text("utf-8")


def test_no_count_is_wrong_in_number(grey_photo):
    said = _rendered("v2", grey_photo)
    for wrong in ("1 masks", "1 things", "1 numbered masks"):
        assert wrong not in said


@pytest.mark.parametrize("version", VERSIONS)
def test_every_complaint_can_be_said(version):
    values = {"called": "x", "function": "y", "error": "", "where": "a", "problem": "b",
              "number": 3, "count": 1}  # fmt: skip
    known = json.loads(json.dumps(sorted(values)))
    for name, takes in (
        ("unknown_function", ("called", "function")), ("no_json", ("error",)),
        ("wrong_fields", ("where", "problem")), ("unknown_mask", ("number", "count")),
    ):  # fmt: skip
        assert set(takes) <= set(known)
        assert complaint(name, version, **{one: values[one] for one in takes})
