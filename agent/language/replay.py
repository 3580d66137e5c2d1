"""Recorded answers in place of a model: a run played back without one."""

import json
from collections.abc import Sequence

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.conversation import Conversation, Message, Question
from sam3i_agent.agent.language.factory import mllm_side, offline_planner
from sam3i_agent.agent.language.ledger import Answer
from sam3i_agent.agent.language.side import LanguageSide
from sam3i_agent.core.errors import LanguageError


class Replay:
    """The language side of a recorded run, and how far it was asked the same again.

    Args:
        choice: the model that was recorded; None for the offline planner, which needs no answers.
        answers: what it was asked and answered, in the order of asking.
    """

    def __init__(self, choice: LanguageChoice | None, answers: Sequence[Answer]) -> None:
        self._choice = choice
        self._answers = answers
        self._used: set[str] = set()
        self._notes: list[str] = []

    def language(self, meter: Meter) -> LanguageSide:
        """Return the language side; a `LanguageFactory`."""
        if self._choice is None:
            return offline_planner(meter)
        return mllm_side(self._choice, _ReplayClient(self._choice.model, meter, self))

    @property
    def notes(self) -> list[str]:
        """What was asked otherwise than recorded, what had no answer, and what was not asked."""
        rest = [one.question.label for one in self._answers if one.key not in self._used]
        return [*self._notes, *(f"{label}: recorded, and not asked" for label in rest)]

    def find(self, question: Question) -> Answer:
        """Return the recorded answer to a question, or to the next one of its label.

        Raises:
            LanguageError: there is none.
        """
        unused = [
            one
            for one in self._answers
            if one.question.label == question.label and one.key not in self._used
        ]
        same = [one for one in self._answers if one.key == question.key]
        if not same and not unused:
            self._notes.append(f"{question.label}: no recorded answer")
            raise LanguageError(f"the recording has no answer to {question.label}")
        answer = (same or unused)[0]
        self._used.add(answer.key)
        if not same:
            self._notes.append(f"{question.label}: {_difference(answer, question)}")
        return answer


class _ReplayClient(Conversation):
    """Answers out of a recording, and counts as the model did.

    Args:
        model: the name of the recorded model, which is part of the questions' keys.
        meter: what may be spent.
        replay: the recording.
    """

    def __init__(self, model: str, meter: Meter, replay: Replay) -> None:
        super().__init__(model, meter)
        self._replay = replay

    async def _request(self, question: Question) -> tuple[Message, int]:
        self._meter.begin_call(len(question.pictures))
        answer = self._replay.find(question)
        return dict(answer.reply), answer.tokens


def _difference(answer: Answer, question: Question) -> str:
    recorded = [_texts(message) for message in answer.question.messages]
    if not recorded:
        return "its words were not recorded; answered as the one in its place"
    if recorded == [_texts(message) for message in question.messages]:
        return "asked about other masks; answered as recorded"
    return "asked in other words; answered as recorded"


def _texts(message: Message) -> str:
    """Return a message without its pictures."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return json.dumps([part for part in content if part["type"] == "text"])
