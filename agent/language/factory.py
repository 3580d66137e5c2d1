"""Language sides, made anew for each run: they spend through the run's meter."""

from collections.abc import Callable
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


def mllm_side(choice: LanguageChoice, client: Conversation) -> LanguageSide:
    """Return a language side that asks a model in the chosen way, whoever carries the questions."""
    from sam3i_agent.agent.language.mllm import MllmLanguage

    return MllmLanguage(client, choice.image_side, text_only=choice.text_only)


def _connect(choice: LanguageChoice, meter: Meter) -> LanguageSide:
    # The client takes a second to import, and most runs need none.
    from sam3i_agent.agent.language.openai_server import ChatClient

    return mllm_side(choice, ChatClient(choice, meter))
