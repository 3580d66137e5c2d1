"""What `sam3i serve` serves."""

from pathlib import Path

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.storage.blobs import Blobs
from sam3i_agent.tools.results.kept import KeptFiles, Retention
from sam3i_agent.tools.results.shared import SharedResultStore
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox

MEMORY = "memory:"
_HOUR_S = 3600
_GIGA = 1_000_000_000


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
    files: KeptFiles | None = None,
) -> Toolbox:
    """Put the tools together; nothing heavy is imported or loaded yet.

    Args:
        roots: folders that pictures may come from; none allows all.
        allow_urls: fetch pictures from public https URLs.
        service: the model.
        language: the agent's language model; None takes the offline planner.
        client_model: ask the model of the client that calls.
        files: where results are kept for all front ends; None keeps them in this process.

    Raises:
        InputError: a root is no folder.
    """
    for folder in roots:
        if not folder.is_dir():
            raise InputError(f"--root {str(folder)!r} is no folder")
    allowed = tuple(folder.resolve() for folder in roots)
    results = ResultStore() if files is None else SharedResultStore(files)
    source = ImageSource(results, allowed, allow_urls)
    if language is None:
        return Toolbox(service, source, client_model=client_model, files=files)
    from sam3i_agent.agent.language.factory import language_factory

    factory = language_factory(language)
    return Toolbox(service, source, factory, language.model, client_model, files)


def files_in(store: str, hours: float, gigabytes: float) -> KeptFiles | None:
    """Open the store of a URL; None stands for the memory of this process.

    Args:
        store: see `core.storage.blobs.Blobs`.
        hours: that a result is kept.
        gigabytes: of all results together.

    Raises:
        InputError: it is no such URL.
        StorageError: it cannot be opened.
    """
    if store == MEMORY:
        return None
    retention = Retention(hours * _HOUR_S, round(gigabytes * _GIGA))
    return KeptFiles(Blobs(store), retention)
