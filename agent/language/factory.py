"""Language sides, made anew for each run: they spend through the run's meter."""

from collections.abc import Callable
from functools import partial

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import LanguageChoice
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


def _connect(choice: LanguageChoice, meter: Meter) -> LanguageSide:
    # The client takes a second to import, and most runs need none.
    from sam3i_agent.agent.language.mllm import MllmLanguage
    from sam3i_agent.agent.language.openai_server import ChatClient

    return MllmLanguage(ChatClient(choice, meter))
