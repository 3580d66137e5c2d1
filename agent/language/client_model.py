"""The model of the client that called: it cannot be called back at any time, so a run stops for it.

A question without an answer ends the attempt with an `AnswersNeededError`; whoever started the run
gets the answers, puts them into the ledger and runs it again. The photo's encoding is kept
meanwhile, so another attempt costs little.
"""

import json
from collections.abc import Sequence

from pydantic import Field

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.conversation import (
    CHARACTERS_PER_TOKEN,
    Conversation,
    Message,
    Question,
)
from sam3i_agent.agent.language.ledger import Ledger
from sam3i_agent.agent.language.replies import Reply, read_text
from sam3i_agent.core.contracts import Budgets
from sam3i_agent.core.errors import LanguageError, LanguageReplyError
from sam3i_agent.prompts.templates import load_prompt

CLIENT_BUDGETS = Budgets(max_mllm_calls=8)
"""Clients give up a call after about ten questions; one is left for the user."""
ANSWER_TOKENS = 512
"""That an answer to one question may take."""


class AnswersNeededError(Exception):
    """The run goes on when these questions are answered.

    Args:
        questions: all that can be asked now.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__("the run waits for answers")
        self._questions = questions

    @property
    def questions(self) -> list[Question]:
        """In an order that is the same in every attempt, whichever was ready first."""
        return sorted(self._questions, key=lambda one: one.key)


class ClientModel(Conversation):
    """Stands for the client's own model.

    Args:
        meter: what may be spent.
        refusal: why the client's model answers no more; empty while it does.
    """

    def __init__(self, meter: Meter, refusal: str = "") -> None:
        super().__init__("the client's own model", meter)
        self._refusal = refusal
        self._open: list[Question] = []

    async def _request(self, question: Question) -> tuple[Message, int]:
        if self._refusal:
            raise LanguageError(self._refusal)
        self._meter.check_call(len(question.pictures))
        await question.pictures.urls()
        self._open.append(question)
        # The list is shared: questions that are asked at the same time join it.
        raise AnswersNeededError(self._open)


class _Answers(Reply):
    """Several answers in one."""

    answers: list[dict[str, object]] = Field(min_length=1)


def merge(questions: Sequence[Question]) -> list[Message]:
    """Put questions of one kind, whose pictures are drawn, into one; each picture once.

    Returns:
        Messages, the first of the system.
    """
    count = len(questions)
    first = questions[0]
    closing: Message = {"role": "user", "content": first.order(count)}
    if count == 1:
        return [*first.illustrated_as_drawn, closing]
    pictures: dict[str, int] = {}
    texts: list[str] = []
    for number, question in enumerate(questions, start=1):
        parts = [part for one in question.illustrated_as_drawn[1:] for part in _parts(one)]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        for url in urls:
            pictures.setdefault(url, len(pictures) + 1)
        head = load_prompt("one_of_several", first.prompts).render(
            number=number, count=count, pictures=[pictures[url] for url in urls]
        )
        texts.append("\n".join([head, *(part["text"] for part in parts if part["type"] == "text")]))
    content: list[Message] = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
    content.append({"type": "text", "text": "\n\n".join(texts)})
    return [questions[0].messages[0], {"role": "user", "content": content}, closing]


def keep_answers(ledger: Ledger, questions: Sequence[Question], text: str) -> None:
    """Part the answer to merged questions and put each into the ledger, as one call."""
    asked = [part for one in merge(questions) for part in _parts(one)]
    ledger.begin(sum(part["type"] == "image_url" for part in asked))
    answers = [text]
    if len(questions) > 1:
        try:
            answers = [json.dumps(one) for one in read_text(text, _Answers).answers]
        except LanguageReplyError:
            answers = [text] * len(questions)  # each will say what is wrong with it
        answers += [""] * (len(questions) - len(answers))
    characters = len(text) + sum(len(part.get("text", "")) for part in asked)
    tokens = characters // CHARACTERS_PER_TOKEN
    for number, (question, answer) in enumerate(zip(questions, answers, strict=False)):
        message = {"role": "assistant", "content": answer}
        ledger.finish(
            question.key, json.dumps(message), 0 if number else tokens, question.as_json()
        )


def _parts(message: Message) -> list[Message]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
