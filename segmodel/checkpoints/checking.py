"""Whether the files of a model are those that were published, and what it takes to run it."""

import time
from dataclasses import dataclass
from pathlib import Path

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.segmodel.checkpoints.catalogue import (
    WEIGHTS,
    expected_sha256,
    files_of,
    parts_of,
)
from sam3i_agent.segmodel.checkpoints.hashes import sha256_of
from sam3i_agent.segmodel.checkpoints.hub import fetch
from sam3i_agent.segmodel.checkpoints.memory import peak_bytes
from sam3i_agent.segmodel.checkpoints.repository import hub_name


@dataclass(frozen=True)
class CheckedFile:
    """A file of weights."""

    path: Path
    nbytes: int
    sha256: str
    published: bool
    """Whether that hash is known to be the published one; False where nobody here knows it."""


@dataclass(frozen=True)
class Checked:
    """A model that was loaded and has answered."""

    description: str
    """Name, device and precision."""
    can: str
    load_s: float
    answer_s: float
    """About a picture that it saw for the first time."""
    found: int
    memory: int | None
    """Bytes of the process at its largest; None where the system does not say."""


def get_model(name: str) -> list[CheckedFile]:
    """Download a model and return its files, which are those that were published.

    A file on the disk that is another one is downloaded again, once.

    Raises:
        InputError: the name is none of the hub.
        ModelError: see `hub.fetch`; or the hub gives another file than it says.
    """
    hubs = [hub for one in parts_of(name) if (hub := hub_name(one)) is not None]
    if not hubs:
        raise InputError(f"{name!r} is not on the hub: there is nothing to get")
    for hub in hubs:
        folder = fetch(hub)
        damaged = [one for one in sorted(folder.glob(WEIGHTS)) if not _is_as_published(one)]
        for file in damaged:
            file.resolve().unlink()
            file.unlink(missing_ok=True)
        if damaged:
            fetch(hub)
    return check_files(name)


def check_files(name: str) -> list[CheckedFile]:
    """Return the files of a model's weights with their hashes, without using the network.

    Raises:
        ModelError: a file is not the published one, or there is none.
    """
    checked: list[CheckedFile] = []
    for file in weights_of(name):
        found, expected = sha256_of(file), expected_sha256(file)
        if expected is not None and found != expected:
            raise ModelError(
                f"{file.name} of {name!r} is not the published file: its sha256 begins with "
                f"{found[:8]}, not {expected[:8]}",
                f"get it again: sam3i models get {name}",
            )
        checked.append(CheckedFile(file, file.stat().st_size, found, expected is not None))
    return checked


def weights_of(name: str) -> list[Path]:
    """Return the files of a model's weights on this disk.

    Raises:
        ModelError: there are none.
    """
    files: list[Path] = []
    for one in parts_of(name):
        found = [file for file in files_of(one) if file.suffix != ".json"]
        if not found and hub_name(one) is None:
            raise ModelError(
                f"there are no weights under {one!r}",
                "check the path; sam3i models list shows the models that are known by name",
            )
        if not found:
            raise ModelError(f"{one!r} is not on this disk", f"sam3i models get {name}")
        files += found
    return files


def try_model(choice: ModelChoice, photo: Photo, phrase: str) -> Checked:
    """Load a model, let it answer and say what that took.

    Raises:
        InputError: there is no such model or device.
        ModelError: it cannot be used.
    """
    started = time.perf_counter()
    from sam3i_agent.segmodel.checkpoints.loading import load_by_choice

    segmenter = load_by_choice(choice)
    loaded = time.perf_counter()
    (answer,) = segmenter.encode(photo).segment([Prompt(phrase)])
    answered = time.perf_counter()
    abilities = [f"levels {', '.join(segmenter.levels)}"]
    abilities += ["example boxes"] if segmenter.takes_exemplars else []
    abilities += ["clicks"] if segmenter.takes_clicks else []
    abilities.append(f"video by {'memory' if segmenter.has_memory else 'linking boxes'}")
    return Checked(
        description=segmenter.description,
        can=", ".join(abilities),
        load_s=loaded - started,
        answer_s=answered - loaded,
        found=len(answer),
        memory=peak_bytes(),
    )


def _is_as_published(file: Path) -> bool:
    return expected_sha256(file) in (None, sha256_of(file))
