"""Models that this project knows by name: licence, access, size, what they can do.

Facts of public pages at the time of writing; the page of a model says what is true today.
"""

from dataclasses import dataclass
from pathlib import Path

from sam3i_agent.segmodel.checkpoints.hub import folder_of
from sam3i_agent.segmodel.checkpoints.repository import (
    DETECTOR,
    MASKER,
    OPEN_VOCABULARY,
    TINY,
    hub_name,
    path_of,
    two_models,
)

SAM_LICENCE = "SAM License"
NO_LICENCE = "this project's"
WEIGHTS = "*.safetensors"


@dataclass(frozen=True)
class KnownModel:
    """One model that `--model` takes."""

    name: str
    licence: str
    asked_for: bool
    """Whether its page asks for an application first."""
    nbytes: int | None
    """Of the download; None where it is not known here."""
    abilities: str


CATALOGUE = (
    KnownModel(
        TINY, NO_LICENCE, False, 8_400_000,
        "ships with the package, knows drawn pictures alone: all levels, example boxes",
    ),
    KnownModel(
        OPEN_VOCABULARY,
        "Apache-2.0",
        False,
        776_000_000,
        "noun phrases, example boxes, clicks, video by memory",
    ),
    KnownModel(
        "vil-uob/sam3-litetext-s0", SAM_LICENCE, False, 2_100_000_000,
        "noun phrases, example boxes, video by linking",
    ),
    KnownModel(
        "vil-uob/sam3-litetext-s1", SAM_LICENCE, False, None,
        "noun phrases, example boxes, video by linking",
    ),
    KnownModel(
        "vil-uob/sam3-litetext-l", SAM_LICENCE, False, None,
        "noun phrases, example boxes, video by linking",
    ),
    KnownModel(
        "facebook/sam3", SAM_LICENCE, True, 3_439_938_512,
        "noun phrases, example boxes, clicks, video by memory",
    ),
)  # fmt: skip
_COPIES = {
    3_439_938_512: "6d06f0a5f84e435071fe6603e61d0b4cc7b40e0d39d487cfd4d67d8cc11cc14a",
    3_450_062_241: "9999e2341ceef5e136daa386eecb55cb414446a00ac2b55eb2dfd2f7c3cf8c9e",
}
"""Of the files of `facebook/sam3`, in both layouts, by size: there are copies under other names."""
_SHA256_DIGITS = 64


def known(name: str) -> KnownModel | None:
    """Return what is known of a model, whatever its revision; None of one that nobody listed."""
    hub = hub_name(name)
    plain = name.partition(":")[0] if hub is None else hub.repository
    return next((one for one in CATALOGUE if one.name == plain), None)


def parts_of(name: str) -> tuple[str, ...]:
    """Return the names of the models that a name stands for: two of `owlv2+sam2`, else itself."""
    return two_models(name) if name.partition(":")[0] == OPEN_VOCABULARY else (name,)


def licence_of(name: str) -> str:
    """Return a line about the licence of a model on the hub."""
    page = f"https://huggingface.co/{getattr(hub_name(name), 'repository', name)}"
    about = known(name)
    if name.partition("@")[0] in (DETECTOR, MASKER):
        about = known(OPEN_VOCABULARY)
    if about is None:
        return f"licence: as its page says, {page}"
    asked = "; access on request" if about.asked_for else ""
    return f"licence: {about.licence}{asked}; its page, {page}, has the terms"


def on_this_disk(name: str) -> str:
    """Return whether a model's files are here: yes, a part, no. Never uses the network."""
    if name == TINY:
        return "yes"
    found = [folder_of(one) for one in parts_of(name)]
    whole = [folder is not None and any(folder.glob(WEIGHTS)) for folder in found]
    if all(whole):
        return "yes"
    return "a part" if any(found) else "no"


def files_of(name: str) -> list[Path]:
    """Return the files on this disk that make a model's numbers, weights first.

    Of a hub id, those of the revision that the cache has; none where it has none.
    """
    files: list[Path] = []
    for one in parts_of(name):
        path = path_of(one)
        folder = path if path.exists() else folder_of(one)
        if path.is_file():
            files.append(path)
        elif folder is not None:
            files += [file for kind in (WEIGHTS, "*.json") for file in sorted(folder.glob(kind))]
    return files


def expected_sha256(file: Path) -> str | None:
    """Return the published sha256 of a file, where it is known.

    Args:
        file: of the hub's cache, which is named by it; or of the size of one of `facebook/sam3`.
    """
    target = file.resolve()
    if target.parent.name == "blobs" and len(target.name) == _SHA256_DIGITS:
        return target.name
    return _COPIES.get(target.stat().st_size)
