"""What `sam3i serve` serves."""

from pathlib import Path

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox


def service_of(
    model: ModelChoice,
    replicas: int | None = None,
    max_replicas: int | None = None,
) -> SegmentationService:
    """Return the model to serve, in this process or on replicas; nothing is loaded yet."""
    if replicas is None:
        return SegmentationService(model)
    from sam3i_agent.tools.serving.replicas import ReplicatedService

    return ReplicatedService(model, replicas, max_replicas)


def build_toolbox(
    roots: list[Path],
    allow_urls: bool,
    service: SegmentationService,
    language: LanguageChoice | None,
    client_model: bool = False,
) -> Toolbox:
    """Put the tools together; nothing heavy is imported or loaded yet.

    Raises:
        InputError: a root is no folder.
    """
    for folder in roots:
        if not folder.is_dir():
            raise InputError(f"--root {str(folder)!r} is no folder")
    allowed = tuple(folder.resolve() for folder in roots)
    source = ImageSource(ResultStore(), allowed, allow_urls)
    if language is None:
        return Toolbox(service, source, client_model=client_model)
    from sam3i_agent.agent.language.factory import language_factory

    return Toolbox(service, source, language_factory(language), language.model, client_model)
