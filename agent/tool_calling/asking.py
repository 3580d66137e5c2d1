"""The question what to call next: a history that does not grow, pictures, checks, two protocols.

What a model sees is written anew for each question from the turns so far: the first message, with
the photo and the phrases that were tried, and the turns from the last `segment_phrase` on. Earlier
masks are gone, so nothing about them is kept.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sam3i_agent.agent.language.conversation import (
    Conversation,
    Message,
    Picture,
    Place,
    text_message,
)
from sam3i_agent.agent.language.pictures import ShownPictures
from sam3i_agent.agent.language.proposals import tidy
from sam3i_agent.agent.language.replies import part_thought, read_arguments, refuses
from sam3i_agent.agent.language.side import View
from sam3i_agent.agent.tool_calling.calls import (
    FUNCTIONS,
    Call,
    SegmentPhrase,
    SelectMasksAndReturn,
    Turn,
)
from sam3i_agent.core.errors import LanguageReplyError
from sam3i_agent.prompts.templates import complaint, load_prompt

PROMPTS = "tools_v1"
"""Version of the words."""
MAX_PICTURES = 3
"""Of a question: the photo, the masks that were found, and those that were accepted."""
MAX_TEXT_TOKENS = 2_000
"""Of a question, the functions' descriptions apart, at four characters each."""
_PHRASES_LISTED = 30
_REASON_CHARACTERS = 300
"""Of the model's own reasons, when they are repeated to it."""
_CALL = re.compile(r"^[ \t]*<call>(.*)</call>[ \t]*$", re.MULTILINE)


async def ask_next_call(
    conversation: Conversation,
    shown: ShownPictures,
    view: View,
    turns: Sequence[Turn],
    number: int,
) -> Call:
    """Return what a model calls next; see `ToolCallingSide.next_call`."""
    history = _History(view, turns, shown)
    masks = turns[-1].shown if turns else ()
    names = ["segment_phrase"]
    if masks:
        names += [*(["examine_each_mask"] if turns[-1].phrase else []), "select_masks_and_return"]
    functions = {name: FUNCTIONS[name] for name in [*names, "report_no_mask"]}

    def read(message: Message) -> Call:
        name, arguments = _called(message)
        if name not in functions:
            known = ", ".join(functions)
            raise LanguageReplyError(
                _complain("unknown_function", called=name, count=len(functions), functions=known)
            )
        return read_arguments(arguments, name, name, functions[name])

    def check(call: Call) -> str | None:
        if isinstance(call, SegmentPhrase):
            phrase = tidy(call.phrase)
            if not phrase:
                return _complain("no_phrase")
            if phrase.lower() in view.tried_texts:
                return _complain("tried", phrase=phrase)
        if isinstance(call, SelectMasksAndReturn):
            wrong = [one for one in call.masks if not 1 <= one <= len(masks)]
            if wrong:
                return _complain("unknown_mask", number=wrong[0], count=len(masks))
        return None

    return await conversation.converse(
        f"turn/{number}",
        history.messages,
        functions,
        history.pictures,
        read,
        check,
        view=replace(view, candidates=tuple(view.candidates[one] for one in masks)),
        places=history.places,
        marks=" ".join(view.candidates[one].counts for one in masks),
        prompts=PROMPTS,
    )


class _History:
    """What a model is told and shown, in as many messages as one set of masks takes."""

    def __init__(self, view: View, turns: Sequence[Turn], shown: ShownPictures) -> None:
        height, width = view.photo.size_hw
        last = max((i for i, one in enumerate(turns) if one.phrase), default=0)
        gone = [one.phrase for one in turns[:last] if one.phrase]
        first = load_prompt("first", PROMPTS).render(
            instruction=view.instruction,
            width=width,
            height=height,
            tried=gone[-_PHRASES_LISTED:],
            more=max(0, len(gone) - _PHRASES_LISTED),
        )
        system = load_prompt("system", PROMPTS).render()
        self.messages: list[Message] = [
            {"role": "system", "content": system}, text_message("user", first),
        ]  # fmt: skip
        self.pictures: list[Picture] = [partial(shown.photo, view)]
        self.places: list[Place] = [1]
        for turn in turns[last:]:
            self.messages += [text_message("assistant", _quoted(turn)), self._result(turn)]
            if turn.shown:
                seen = replace(
                    view, candidates=tuple(view.candidates[one] for one in turn.shown), known=()
                )
                self.pictures.append(partial(shown.marked, seen))
                self.places.append(len(self.messages) - 1)

    def _result(self, turn: Turn) -> Message:
        count = len(turn.shown)
        if turn.phrase:
            said = load_prompt("found", PROMPTS).render(
                phrase=turn.phrase, count=count, left_out=turn.before - count
            )
        else:
            said = load_prompt("examined", PROMPTS).render(count=turn.before, kept=count)
        return text_message("user", said)


def _quoted(turn: Turn) -> str:
    """Return a model's call as it would write it: servers differ in how they want calls quoted."""
    arguments = {"reason": turn.reason[:_REASON_CHARACTERS]}
    if turn.phrase:
        arguments["phrase"] = turn.phrase
    name = "segment_phrase" if turn.phrase else "examine_each_mask"
    return f"<call>{json.dumps({'function': name, 'arguments': arguments})}</call>"


def _called(message: Message) -> tuple[str, str]:
    """Return the function that a reply calls, and its arguments as JSON.

    Raises:
        LanguageReplyError: it calls none, or in no form that is known.
    """
    if message.get("refusal"):
        raise LanguageReplyError(complaint("refused"))
    calls = message.get("tool_calls") or []
    if calls:
        return calls[0]["function"]["name"], calls[0]["function"]["arguments"]
    _, text = part_thought(message.get("content") or "")
    written = _CALL.findall(text)
    if not written:
        raise LanguageReplyError(complaint("refused") if refuses(text) else _complain("no_call"))
    if len(written) > 1:
        raise LanguageReplyError(_complain("several_calls", count=len(written)))
    try:
        call = json.loads(written[0])
    except ValueError as error:
        raise LanguageReplyError(_complain("wrong_call", error=str(error))) from error
    if (
        not isinstance(call, dict)
        or not isinstance(call.get("function"), str)
        or not isinstance(call.get("arguments"), dict)
    ):
        raise LanguageReplyError(_complain("wrong_call", error=""))
    return call["function"], json.dumps(call["arguments"])


def _complain(name: str, **values: object) -> str:
    return complaint(name, PROMPTS, **values)
