"""A language model that knows the truth of a generated scene, and errs at known rates.

It answers the questions of `MllmLanguage` as a real model would, in words that are parsed and
checked, so that a whole agent can be measured without a model: what it gains, and from which error
rate on it stops paying.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.conversation import (
    CHARACTERS_PER_TOKEN,
    Conversation,
    Message,
    Question,
)
from sam3i_agent.agent.language.mllm import MllmLanguage
from sam3i_agent.agent.language.side import LanguageSide, Role, View, roles_of
from sam3i_agent.agent.planner.plan import Axis, Relation
from sam3i_agent.benchmarks.simulated.error_rates import ErrorRates
from sam3i_agent.benchmarks.simulated.truth import Truth

_SAID = ("relation", "order", "size", "side", "number", "without")
"""Fields of a plan's part that tell instances apart."""
_CHOICES = {
    "relation": tuple(Relation), "order": tuple(Axis), "side": tuple(Axis),
    "size": ("largest", "smallest"),
}  # fmt: skip
MANY_MASKS = 4
"""From so many on, a conversation examines them one by one before it selects."""
_GARBAGE = "Sure! Here you go: {masks: [1,"


class SimulatedModel(Conversation):
    """Answers from the truth, and errs.

    Args:
        truth: of the photo and the instruction that the run is about.
        errors: how often it errs.
        seed: of its errors; the same seed, the same errors.
        meter: what may be spent.
        prompts: version of the questions.
        text_only: it does not see the photo, and knows what the words say.
    """

    def __init__(
        self,
        truth: Truth,
        errors: ErrorRates,
        seed: int,
        meter: Meter,
        prompts: str,
        *,
        text_only: bool = False,
    ) -> None:
        super().__init__("a simulated model", meter, prompts)
        self._truth = truth
        self._errors = errors
        self._seed = seed
        self._text_only = text_only
        self._asked = 0

    async def _request(self, question: Question) -> tuple[Message, int]:
        self._meter.begin_call(len(question.pictures))
        if self._errors.latency_s:
            await asyncio.sleep(self._errors.latency_s)
        rng = self._rng(question)
        reply = self._answer(question, rng)
        text = json.dumps(reply)
        if len(question.functions) > 1:
            text = f"<call>{text}</call>"
        if rng.random() < self._errors.malformed:
            text = _GARBAGE
        asked = sum(len(json.dumps(one)) for one in question.messages)
        return {"role": "assistant", "content": text}, (asked + len(text)) // CHARACTERS_PER_TOKEN

    def _rng(self, question: Question) -> np.random.Generator:
        self._asked += 1
        about = question.function if self._errors.repeated else f"{self._asked}"
        if self._errors.repeated:
            about += repr([one.counts for one in question.view.candidates])
            about += repr(sorted(question.view.tried_texts)) + str(len(question.messages))
        digest = hashlib.sha256(f"{self._seed} {question.view.instruction} {about}".encode())
        return np.random.default_rng(int.from_bytes(digest.digest()[:8]))

    def _answer(self, question: Question, rng: np.random.Generator) -> dict[str, Any]:
        view = question.view
        match question.function:
            case "propose_phrases" if self._text_only:
                return self._read_words(view, rng)
            case "propose_phrases":
                return self._propose(view, rng)
            case "select_masks":
                return self._select(view, rng)
            case "judge_mask":
                return self._judge(view.candidates[0], view, rng)
            case "judge_masks":
                judgements = [
                    {"number": number, **self._judge(one, view, rng)}
                    for number, one in enumerate(view.candidates, start=1)
                ]
                return {"judgements": judgements}
            case "judge_completeness":
                missing = self._truth.unmatched(view)
                return {"complete": not missing, "missing": ", ".join(missing)}
            case _:
                return self._call(view, "examine_each_mask" in question.functions, rng)

    def _call(self, view: View, unexamined: bool, rng: np.random.Generator) -> dict[str, Any]:
        """Call what comes next in a conversation, with the errors of a proposal and a selection.

        All that the answer takes must be found by one phrase. Many masks are examined first.
        """
        fresh = self._fresh_for_all(view)
        found = len(self._truth.best_masks(view))
        if not view.candidates or (fresh and not found):
            return self._segment(view, fresh, rng)
        if unexamined and len(view.candidates) >= MANY_MASKS:
            return {"function": "examine_each_mask", "arguments": {"reason": "a closer look"}}
        choice = self._select(view, rng)
        masks = choice["masks"]
        if masks and (found == len(self._truth.targets) or not fresh):
            return {"function": "select_masks_and_return", "arguments": {"masks": masks}}
        if choice.get("absent") or not fresh:
            return {"function": "report_no_mask", "arguments": {"reason": choice["reason"]}}
        return self._segment(view, fresh, rng)

    def _fresh_for_all(self, view: View) -> list[str]:
        """Return the words for the most targets that were not tried, from the most exact on."""
        objects = [self._truth.objects[target] for target in self._truth.targets]
        words = Counter(word for one in objects for word in one.words)
        most = max(words.values(), default=0)
        best = [word for word, count in words.items() if count == most]
        return [word for word in best if word.lower() not in view.tried_texts]

    def _segment(
        self, view: View, fresh: Sequence[str], rng: np.random.Generator
    ) -> dict[str, Any]:
        if self._says_absent(rng) or (self._truth.targets and not fresh):
            return {"function": "report_no_mask", "arguments": {"reason": "I see none"}}
        phrase = fresh[0] if fresh else str(rng.choice(self._truth.vocabulary))
        if fresh and rng.random() < self._errors.propose:
            phrase = self._wrong(phrase, fresh, rng)
        (phrase, *_) = self._untried([phrase], view, rng) or [phrase]
        return {"function": "segment_phrase", "arguments": {"phrase": phrase}}

    def _propose(self, view: View, rng: np.random.Generator) -> dict[str, Any]:
        errors, truth = self._errors, self._truth
        if self._says_absent(rng):
            return {"reason": "I see nothing of that kind", "targets": [], "absent": True}
        if not truth.targets:
            phrase = self._untried([str(rng.choice(truth.vocabulary))], view, rng)
            return {"reason": "that must be it", "targets": phrase}
        wanted = self._truth.unmatched_targets(view) or truth.targets
        phrases: list[str] = []
        for index in dict.fromkeys(wanted):
            words = truth.objects[index].words
            fresh = [one for one in words if one.lower() not in view.tried_texts]
            phrase = fresh[0] if fresh else words[-1]
            if rng.random() < errors.propose:
                phrase = self._wrong(phrase, words, rng)
            if phrase not in phrases:
                phrases.append(phrase)
        targets = self._untried(phrases, view, rng)
        return {"reason": "these", "targets": targets, "plan": self._planned(rng)}

    def _read_words(self, view: View, rng: np.random.Generator) -> dict[str, Any]:
        anchors = {one.get("to") for one in self._truth.plan}
        phrases = [one["phrase"] for one in self._truth.plan if one["phrase"] not in anchors]
        targets = [
            self._wrong(one, [one, one.split()[-1]], rng)
            if rng.random() < self._errors.propose
            else one
            for one in phrases
        ]
        targets = list(dict.fromkeys(targets))
        return {"reason": "so it says", "targets": targets, "plan": self._planned(rng)}

    def _planned(self, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Return the plan, where it says more than names, with something wrong at times."""
        parts = [dict(one) for one in self._truth.plan]
        said = [(one, key) for one in parts for key in one if key in _SAID]
        if not said:
            return []
        if rng.random() < self._errors.plan:
            part, key = said[int(rng.integers(len(said)))]
            part[key] = _otherwise(key, part[key], rng)
        return parts

    def _untried(self, phrases: Sequence[str], view: View, rng: np.random.Generator) -> list[str]:
        """Keep what may be said again: at least one phrase that has not been tried."""
        fresh = [one for one in phrases if one.lower() not in view.tried_texts]
        others = [one for one in self._truth.vocabulary if one.lower() not in view.tried_texts]
        if not fresh and others:
            fresh = [str(rng.choice(others))]
        return fresh[:8]

    def _wrong(self, phrase: str, words: Sequence[str], rng: np.random.Generator) -> str:
        """Name something else: another thing, a broader word, or a slip of the keyboard."""
        kind = rng.integers(3)
        if kind == 0:
            return str(rng.choice(self._truth.vocabulary))
        if kind == 1:
            return words[-1]
        place = int(rng.integers(len(phrase)))
        return phrase[:place] + phrase[place + 1 :]

    def _says_absent(self, rng: np.random.Generator) -> bool:
        if self._truth.targets:
            return rng.random() < self._errors.false_absent
        return rng.random() >= self._errors.absent

    def _select(self, view: View, rng: np.random.Generator) -> dict[str, Any]:
        roles = roles_of(view.tried)
        allowed = [
            number
            for number, one in enumerate(view.candidates, start=1)
            if roles.get(one.key) is not Role.HELPER
        ]
        if self._says_absent(rng):
            return {"reason": "none of these", "masks": [], "absent": True}
        right = set(self._truth.best_masks(view))
        masks = [
            number
            for number in allowed
            if (
                rng.random() >= self._errors.missed
                if number in right
                else rng.random() < self._errors.extra
            )
        ]
        if not self._truth.targets and not masks and allowed:
            masks = [int(rng.choice(allowed))]  # it is sure that there is something
        missing = self._truth.unmatched(view)
        return {"reason": "as asked", "masks": masks, "missing": ", ".join(missing),
                "finished": not missing}  # fmt: skip

    def _judge(self, one: Candidate, view: View, rng: np.random.Generator) -> dict[str, Any]:
        right = self._truth.is_right(one, view)
        rate = self._errors.false_reject if right else self._errors.false_accept
        accepts = right is not (rng.random() < rate)
        return {"reason": "so it looks", "verdict": "accept" if accepts else "reject"}


def _otherwise(key: str, value: Any, rng: np.random.Generator) -> Any:
    """Return something else than `value` for a field of a plan."""
    match key:
        case "number":
            return value + 1
        case "without":
            return []
        case _:
            return str(rng.choice([one for one in _CHOICES[key] if one != value]))


def simulated_language(
    truth: Truth, errors: ErrorRates, seed: int, prompts: str, *, text_only: bool = False
) -> Callable[[Meter], LanguageSide]:
    """Return the language factory of one run.

    Args:
        truth: of its photo and instruction.
        errors: how often it errs.
        seed: of its errors.
        prompts: version of the questions.
        text_only: it does not see the photo.
    """

    def make(meter: Meter) -> LanguageSide:
        model = SimulatedModel(truth, errors, seed, meter, prompts, text_only=text_only)
        return MllmLanguage(model, text_only=text_only)

    return make
