"""Options that several commands share, and reading what they say."""

import logging
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from sam3i_agent.core.contracts import Budgets
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import Tiling
from sam3i_agent.data.kinds import SceneStyle

USAGE_ERROR = 2
FAILURE = 1

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="tiny, a folder, an official .pt or .safetensors file, a hub id or id@revision, or "
        "owlv2+sam2; see sam3i models list.",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
StyleOption = Annotated[
    SceneStyle,
    typer.Option(help="Scenes of geometric shapes, or of everyday things taken like a photo."),
]
TilingOption = Annotated[
    Tiling,
    typer.Option(help="See large photos in tiles: where small objects need it, always, never."),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SAM3I_SERVER",
        help="A sam3i serve --http that answers, such as http://127.0.0.1:8765; nothing is loaded "
        "here.",
    ),
]
RootOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder that image paths must be in; may be repeated. Without it: over HTTP the "
        "working directory, over stdio whatever the server's user can read.",
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Log to standard error.")]

E = TypeVar("E", bound=StrEnum)


JobStoreOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Keep the results there, too, so that another machine goes on: a folder, "
        "s3://BUCKET/PREFIX (extra store).",
    ),
]


def parse_list(kind: type[E], text: str, flag: str) -> tuple[E, ...]:
    """Read names separated by commas.

    Raises:
        InputError: one is not known; the message names the flag.
    """
    try:
        return tuple(dict.fromkeys(kind(part.strip()) for part in text.split(",")))
    except ValueError as error:
        known = ", ".join(kind)
        raise InputError(f"{flag} takes names separated by commas: {error}", known) from error


def read_numbers(text: str | None, flag: str) -> tuple[int, ...]:
    """Read whole numbers separated by commas; none where there is no text.

    Raises:
        InputError: one is no number; the message names the flag.
    """
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise InputError(f"{flag} takes numbers separated by commas, not {text!r}") from error


def read_budgets(**values: float | None) -> Budgets:
    """Return the budgets, or say which flag is out of range."""
    try:
        return Budgets.model_validate(values)
    except ValidationError as error:
        raise out_of_range(error, lambda name: f"--{name}".replace("_", "-")) from error


def out_of_range(error: ValidationError, flag_of: Callable[[str], str]) -> InputError:
    """Return the first problem of an invalid value as an error about the flag that set it.

    Args:
        error: of a model whose fields flags set.
        flag_of: from a field's name to its flag.
    """
    first = error.errors()[0]
    problem = first["msg"].removeprefix("Value error, ")
    flag = flag_of(str(first["loc"][0]))
    return InputError(f"{flag}: {problem[:1].lower()}{problem[1:]}, got {first['input']}")


def log_to_stderr(verbose: bool) -> None:
    """Log warnings, or with `verbose` all that is worth knowing, to standard error."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
