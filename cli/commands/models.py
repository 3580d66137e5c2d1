"""`sam3i models`: which there are, getting one, and whether one works here."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sam3i_agent.cli.options import DeviceOption
from sam3i_agent.core.model_choice import ModelChoice

models_app = typer.Typer(
    help="List the models that are known by name, get one, and check one.", no_args_is_help=True
)
_GB = 1e9
_MB = 1e6
_SHOWN = 16
"""Characters of a hash."""
_SEED = 660417
_PHRASE = "red circle"

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="As --model: a hub id, id@revision, owlv2+sam2 ...")
]


@models_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """List the models that are known by name: licence, access, size, what they can do.

    `--model` takes others too: a folder, an official checkpoint file, any hub id in their layouts.
    """
    from sam3i_agent.segmodel.checkpoints.catalogue import CATALOGUE, on_this_disk

    rows: list[dict[str, Any]] = [
        {
            "model": one.name,
            "licence": one.licence,
            "access": "on request" if one.asked_for else "free",
            "bytes": one.nbytes,
            "can": one.abilities,
            "on_this_disk": on_this_disk(one.name),
        }
        for one in CATALOGUE
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    width = max(len(one.name) for one in CATALOGUE)
    for row in rows:
        here = {"yes": "here", "a part": "a part is here", "no": "not here"}[row["on_this_disk"]]
        about = (row["licence"], row["access"], size_of(row["bytes"]), here)
        typer.echo(f"{row['model']:{width}}  {', '.join(about)}")
        typer.echo(f"{'':{width}}  {row['can']}")


@models_app.command()
def get(model: ModelArgument) -> None:
    """Download a model, after saying under which licence, and check its files."""
    from sam3i_agent.segmodel.checkpoints.catalogue import licence_of, parts_of
    from sam3i_agent.segmodel.checkpoints.checking import get_model
    from sam3i_agent.segmodel.checkpoints.repository import hub_name

    for one in parts_of(model):
        if hub_name(one):
            typer.echo(f"{one}: {licence_of(one)}")
    for file in get_model(model):
        typer.echo(f"{file.path.name}: {_about_file(file.nbytes, file.sha256, file.published)}")
    typer.echo(f"ready: --model {model}")


@models_app.command()
def check(
    model: ModelArgument,
    image: Annotated[
        Path | None, typer.Option(help="A picture to answer; without it a generated scene.")
    ] = None,
    phrase: Annotated[str, typer.Option(help="The noun phrase to ask for.")] = _PHRASE,
    device: DeviceOption = "auto",
) -> None:
    """Check the files of a model, load it and let it answer one picture; say what that took."""
    from sam3i_agent.core.photo import Photo, read_photo
    from sam3i_agent.data.scenes import generate_scene
    from sam3i_agent.segmodel.checkpoints.catalogue import parts_of
    from sam3i_agent.segmodel.checkpoints.checking import check_files, get_model, try_model
    from sam3i_agent.segmodel.checkpoints.repository import hub_name

    if any(hub_name(one) for one in parts_of(model)):
        files = get_model(model)
    else:
        files = check_files(model)
    for file in files:
        typer.echo(f"{file.path.name}: {_about_file(file.nbytes, file.sha256, file.published)}")
    if image is None:
        scene = generate_scene(seed=_SEED, index=0)
        photo = Photo(scene.image, sha256=f"scene {_SEED}")
    else:
        photo = read_photo(image)
    done = try_model(ModelChoice(model, device), photo, phrase)
    memory = "" if done.memory is None else f", {size_of(done.memory)} of memory"
    typer.echo(f"{done.description}: {done.can}")
    typer.echo(
        f"loaded in {done.load_s:.1f} s, answered {phrase!r} in {done.answer_s:.1f} s{memory}; "
        f"{done.found} found"
    )


def size_of(nbytes: int | None) -> str:
    """Return a number of bytes in words."""
    if nbytes is None:
        return "–"
    return f"{nbytes / _GB:.1f} GB" if nbytes >= _GB else f"{nbytes / _MB:.1f} MB"


def _about_file(nbytes: int, sha256: str, published: bool) -> str:
    known = "as published" if published else "nobody here knows the published one"
    return f"{size_of(nbytes)}, sha256 {sha256[:_SHOWN]} ({known})"
