"""What is done with a written result: `sam3i edit` changes its photo, `sam3i show` makes a page."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.cli.options import read_numbers
from sam3i_agent.cli.written import photo_of, read_result
from sam3i_agent.core.errors import InputError

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

    from sam3i_agent.tools.results.edits.actions import Edit, edit_photo
    from sam3i_agent.tools.results.edits.files import default_suffix, write_edited

    found = read_result(result)
    original, photo = photo_of(found, image)
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


def show(
    result: Annotated[
        str, typer.Argument(help="A result.json, the folder it is in, or a run's id.")
    ],
    image: Annotated[
        Path | None, typer.Option(help="The photo, where the run's record does not name it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; view.html beside the result without it.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")
    ] = True,
) -> None:
    """Write RESULT as one HTML file to look at: switch instances, zoom, see why, save.

    The file holds the photo, at most 2,048 pixels a side, and needs no network and no server.
    """
    from sam3i_agent.core.errors import StorageError
    from sam3i_agent.tools.mcp.view.file import page_of
    from sam3i_agent.tools.results.export import RESULT_NAME

    found = read_result(result)
    _, photo = photo_of(found, image)
    if out is None:
        given = Path(result)
        folder = given.parent if given.name == RESULT_NAME else given
        out = (folder if folder.is_dir() else Path.cwd()) / "view.html"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page_of(found, photo), "utf-8")
    except OSError as error:
        raise StorageError(f"{str(out)!r} cannot be written: {error.strerror}") from error
    typer.echo(f"written to {out}")
    if browser:
        webbrowser.open(out.resolve().as_uri())
