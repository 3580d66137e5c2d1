"""Language sides, made anew for each run: they spend through the run's meter."""

import re
from collections.abc import Callable, Sequence
from functools import partial

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.conversation import Conversation
from sam3i_agent.agent.language.side import LanguageSide

LanguageFactory = Callable[[Meter], LanguageSide]
"""Makes the language side of one run."""


def offline_planner(meter: Meter) -> LanguageSide:
    """Return the rules that need no model."""
    from sam3i_agent.agent.planner.offline import OfflinePlanner

    return OfflinePlanner()


def language_factory(choice: LanguageChoice | None) -> LanguageFactory:
    """Return what makes the chosen language side; None chooses the offline planner."""
    return offline_planner if choice is None else partial(_connect, choice)


def named_choices(choices: Sequence[LanguageChoice]) -> dict[str, LanguageChoice]:
    """Return models by names that can stand in a file's name, all different.

    The last part of a model's name is enough where it is not that of another one.
    """
    named: dict[str, LanguageChoice] = {}
    for choice in choices:
        name = re.sub(r"[^A-Za-z0-9._+-]+", "-", choice.model.rpartition("/")[2]) or "model"
        number = 1
        while (key := name if number == 1 else f"{name}-{number}") in named:
            number += 1
        named[key] = choice
    return named


def mllm_side(choice: LanguageChoice, client: Conversation) -> LanguageSide:
    """Return a language side that asks a model in the chosen way, whoever carries the questions."""
    from sam3i_agent.agent.language.mllm import MllmLanguage

    return MllmLanguage(client, choice.image_side, text_only=choice.text_only)


def _connect(choice: LanguageChoice, meter: Meter) -> LanguageSide:
    # The client takes a second to import, and most runs need none.
    from sam3i_agent.agent.language.openai_server import ChatClient

    return mllm_side(choice, ChatClient(choice, meter))
