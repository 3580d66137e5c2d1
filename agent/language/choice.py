"""Which multimodal model answers: a value that travels whole, and is recorded with a run."""

from sam3i_agent.core.contracts import Frozen


class LanguageChoice(Frozen):
    """A multimodal model behind an OpenAI-compatible server."""

    url: str
    """Base URL of the API, such as `http://localhost:11434/v1`."""
    model: str
    """The model's name there."""
