"""Models from the hub: downloading them, and what can go wrong, each with the way out."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sam3i_agent.core.errors import ModelError
from sam3i_agent.segmodel.checkpoints.repository import HubName, hub_name, path_of

FILES = ("*.json", "*.safetensors")
"""Of a repository, what is downloaded; others are copies in other formats."""
WITHOUT_ASKING = "models that nobody has to ask for: vil-uob/sam3-litetext-s0, owlv2+sam2"


def fetch(name: HubName) -> Path:
    """Return the folder of a repository's files, downloaded where they are not on this disk.

    A connection that drops is taken up where it broke; a run that was killed starts the file again
    that was under way. `HF_HUB_OFFLINE=1` takes what is on the disk alone.

    Raises:
        ModelError: it cannot be had; the hint says what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity, set_verbosity_error

    if not sys.stderr.isatty():
        disable_progress_bars()
    before = get_verbosity()
    set_verbosity_error()  # of a connection that is taken up again nobody needs to hear
    try:
        folder = Path(
            snapshot_download(name.repository, revision=name.revision, allow_patterns=list(FILES))
        )
    except (OSError, ValueError, _broken_connections()) as error:
        raise _explained(name, error) from error
    finally:
        set_verbosity(before)
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{str(name)!r} has no weights of safetensors",
            "give a repository in the layout of transformers",
        )
    return folder


def repository_folder(name: str) -> Path | None:
    """Return a folder by its path or, fetched, by its hub id; None where a name is neither.

    Raises:
        ModelError: as `fetch`.
    """
    path = path_of(name)
    if path.is_dir():
        return path
    hub = hub_name(name)
    return None if hub is None else fetch(hub)


def folder_of(name: str) -> Path | None:
    """Return the folder of a model on the hub as far as it is on this disk, None where it is not.

    Never uses the network.
    """
    from huggingface_hub import try_to_load_from_cache

    hub = hub_name(name)
    if hub is None:
        return None
    config = try_to_load_from_cache(hub.repository, "config.json", revision=hub.revision)
    return Path(config).parent if isinstance(config, str) else None


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn what safetensors says of a file that is cut short into one error.

    Raises:
        ModelError: a file of weights is damaged.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        way_out = f"sam3i models get {name}" if hub_name(name) else "copy or download it"
        raise ModelError(
            f"a file of weights of {name!r} is cut short or damaged ({_first_line(error)})",
            f"get it again: {way_out}",
        ) from error


def _broken_connections() -> Any:
    import httpx2

    return httpx2.HTTPError


def _explained(name: HubName, error: Exception) -> ModelError:
    from huggingface_hub import constants, errors

    again = f"run it again, or: sam3i models get {name}"
    match error:
        case errors.GatedRepoError():
            return ModelError(
                f"{name.repository!r} is gated, and this machine's account has no access "
                f"({_status(error)})",
                f"ask for it at https://huggingface.co/{name.repository} and run: hf auth login; "
                + WITHOUT_ASKING,
            )
        case errors.RevisionNotFoundError():
            return ModelError(
                f"{name.repository!r} has no revision {name.revision!r}",
                "give a branch, a tag or a commit behind the @",
            )
        case errors.RepositoryNotFoundError():
            return ModelError(
                f"the hub knows no {name.repository!r}, or it is private ({_status(error)})",
                "check the spelling; for a private one run: hf auth login",
            )
        case errors.IncompleteSnapshotError():
            return ModelError(
                f"only a part of {str(name)!r} is on this disk, and the hub cannot be reached",
                f"with a network, {again}",
            )
        case errors.LocalEntryNotFoundError() if constants.HF_HUB_OFFLINE:
            return ModelError(
                f"{str(name)!r} is not on this disk, and HF_HUB_OFFLINE is set",
                f"without HF_HUB_OFFLINE run: sam3i models get {name}",
            )
        case errors.LocalEntryNotFoundError():
            return ModelError(
                f"{str(name)!r} is not on this disk, and the hub cannot be reached",
                f"check the network (HF_ENDPOINT names another hub); then {again}",
            )
        case errors.HfHubHTTPError():
            return ModelError(f"the hub did not give {str(name)!r} ({_status(error)})", again)
        case errors.HFValidationError():
            return ModelError(f"{str(name)!r} is no name of the hub: {_first_line(error)}")
        case _:
            return ModelError(
                f"the download of {str(name)!r} broke off: {_first_line(error)}",
                f"{again}; files that are whole are kept",
            )


def _status(error: Any) -> str:
    return f"HTTP {error.response.status_code}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
