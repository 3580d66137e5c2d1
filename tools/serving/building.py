"""The tools of a server, put together from its settings; nothing heavy is imported or loaded."""

from sam3i_agent.core.errors import InputError
from sam3i_agent.core.storage.blobs import MEMORY, Blobs
from sam3i_agent.tools.results.kept import KeptFiles, Retention
from sam3i_agent.tools.results.shared import SharedResultStore
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.access.limits import Limiter
from sam3i_agent.tools.serving.settings import ServeSettings
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox

_HOUR_S = 3600
_GIGA = 1_000_000_000


def service_of(settings: ServeSettings) -> SegmentationService:
    """Return the model to serve, in this process or on replicas; nothing is loaded yet."""
    if settings.replicas is None and not settings.join:
        return SegmentationService(settings.model)
    from sam3i_agent.tools.serving.cluster.service import JoinedService, ReplicatedService

    if settings.replicas is None:
        return JoinedService(settings.model)
    return ReplicatedService(settings)


def build_toolbox(
    settings: ServeSettings, service: SegmentationService, limiter: Limiter | None = None
) -> Toolbox:
    """Put the tools together.

    Args:
        settings: of the server.
        service: the model.
        limiter: of what users may ask; None sets no limits.

    Raises:
        InputError: a root is no folder, or the store's URL is none.
        StorageError: the store cannot be opened.
    """
    for folder in settings.roots:
        if not folder.is_dir():
            raise InputError(f"--root {str(folder)!r} is no folder")
    files = _files_of(settings)
    source = ImageSource(
        ResultStore() if files is None else SharedResultStore(files),
        tuple(folder.resolve() for folder in settings.roots),
        settings.allow_urls,
    )
    language, client_model = settings.language, settings.client_model
    if language is None:
        return Toolbox(service, source, client_model=client_model, files=files, limiter=limiter)
    from sam3i_agent.agent.language.factory import language_factory

    factory = language_factory(language)
    return Toolbox(service, source, factory, language.model, client_model, files, limiter)


def _files_of(settings: ServeSettings) -> KeptFiles | None:
    """Open the store; None stands for the memory of this process."""
    if settings.store == MEMORY:
        return None
    user_bytes = None if settings.user_gb is None else round(settings.user_gb * _GIGA)
    retention = Retention(
        settings.store_hours * _HOUR_S, round(settings.store_gb * _GIGA), user_bytes
    )
    return KeptFiles(Blobs(settings.store), retention)
