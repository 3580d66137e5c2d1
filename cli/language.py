"""The options that name a language model."""

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.core.errors import InputError


def language_choice(url: str | None, model: str | None) -> LanguageChoice | None:
    """Return where the model is; None where neither option is given.

    Raises:
        InputError: one is given without the other.
    """
    if url is None and model is None:
        return None
    if url is None or model is None:
        raise InputError("--mllm-url and --mllm-model go together")
    return LanguageChoice(url=url, model=model)
