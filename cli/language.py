"""The options that name a language model."""

from sam3i_agent.agent.run import MllmSettings
from sam3i_agent.core.errors import InputError


def mllm_settings(url: str | None, model: str | None) -> MllmSettings | None:
    """Return where the model is; None where neither option is given.

    Raises:
        InputError: one is given without the other.
    """
    if url is None and model is None:
        return None
    if url is None or model is None:
        raise InputError("--mllm-url and --mllm-model go together")
    return MllmSettings(url, model)
