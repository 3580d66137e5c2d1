"""`sam3i edit`: a photo changed by the masks of a result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam3i_agent.cli.options import read_numbers
from sam3i_agent.core.errors import InputError, StorageError

if TYPE_CHECKING:
    from sam3i_agent.core.contracts import SegmentationResult

_ACTIONS = "cut_out, crop, blur, pixelate, fill, remove_background, dim"


def edit(
    result: Annotated[
        str, typer.Argument(help="A result.json, the folder it is in, or a run's id.")
    ],
    action: Annotated[str, typer.Argument(help=f"{_ACTIONS}.")],
    instances: Annotated[
        str | None, typer.Option(help="Their numbers, such as 1,3; all without it.")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Around a crop or cut-out, as a share of its longer side.")
    ] = 0.0,
    strength: Annotated[
        int | None, typer.Option(help="Pixels of blur, or of a block; by size without it.")
    ] = None,
    colour: Annotated[str, typer.Option(help="To fill with: a name or #rrggbb.")] = "black",
    image: Annotated[
        Path | None, typer.Option(help="The photo, where the run's record does not name it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; edited/PHOTO-ACTION without it.")
    ] = None,
) -> None:
    """Cut out, crop, blur, pixelate or fill instances of RESULT, or dim or remove the rest.

    EXIF data, orientation and size are kept; the photo itself is never written.
    """
    from pydantic import ValidationError

    from sam3i_agent.core.photo import read_photo
    from sam3i_agent.tools.results.edits.actions import Edit, edit_photo
    from sam3i_agent.tools.results.edits.files import default_suffix, write_edited

    found = _read_result(result)
    original = image or _photo_of(found)
    photo = read_photo(original)
    if photo.sha256 != found.image.sha256:
        raise InputError(f"{original.name!r} is not the photo of this result", "give --image")
    try:
        wanted = Edit.model_validate(
            {
                "action": action.replace("-", "_"),
                "instances": read_numbers(instances, "--instances"),
                "margin": margin,
                "strength": strength,
                "colour": colour,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{first['loc'][0]}: {first['msg'].lower()}, got {first['input']!r}"
        ) from error
    if out is None:
        suffix = default_suffix(original, wanted.action.has_alpha)
        out = Path("edited") / f"{original.stem}-{wanted.action}{suffix}"
    write_edited(edit_photo(photo, found, wanted), original, out)
    typer.echo(f"written to {out}")


def _read_result(name: str) -> "SegmentationResult":
    from pydantic import ValidationError

    from sam3i_agent.agent.runs import RunStore
    from sam3i_agent.core.contracts import SegmentationResult
    from sam3i_agent.tools.results.export import RESULT_NAME

    path = Path(name)
    if path.is_dir():
        path /= RESULT_NAME
    elif not path.exists():
        path = RunStore().open(name).result_folder / RESULT_NAME
    try:
        return SegmentationResult.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(f"{str(path)!r} holds no result") from error


def _photo_of(result: "SegmentationResult") -> Path:
    from sam3i_agent.agent.runs import RunStore

    hint = "give --image PHOTO"
    if result.run_id is None:
        raise InputError("the result does not say where its photo is", hint)
    try:
        return Path(RunStore().open(result.run_id).info.image)
    except (InputError, StorageError) as error:
        raise InputError(f"its photo is not known: {error.message}", hint) from error
