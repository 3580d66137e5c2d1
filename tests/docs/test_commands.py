"""Every command line of `sam3i` in the pages is one that it takes; none is run."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from sam3i_agent.cli.app import app
from tests.docs.pages import DOCS, PAGES, ROOT, blocks, prose

_CALL = re.compile(
    r"(?:\$ )?(?:[A-Z0-9_]+=\S* )*"
    r"(?:sam3i|(?:accelerate launch|torchrun)(?: --\w+ \d+)* -m sam3i_agent\.cli)"
    r"(?: (?P<arguments>.*))?"
)
_INLINE = re.compile(r"`(?P<code>[^`]+)`")
_ENDS = (">", "|", "&&")
"""What a shell does not hand to the command."""
HAND_WRITTEN = [page for page in PAGES if page != DOCS / "cli.md"]


def _arguments(line: str) -> list[str] | None:
    """Return what the script is given in a line of a shell; None where it is not called."""
    call = _CALL.fullmatch(line.strip())
    if call is None:
        return None
    words = shlex.split(call["arguments"] or "", comments=True)
    return words[: min((words.index(one) for one in _ENDS if one in words), default=len(words))]


def _in_blocks(page: Path) -> Iterator[list[str]]:
    for block in blocks(page, ""):
        for line in block.replace("\\\n", " ").splitlines():
            if (arguments := _arguments(line)) is not None:
                yield arguments


def _in_prose(page: Path) -> Iterator[list[str]]:
    for found in _INLINE.finditer(prose(page)):
        line = " ".join(found["code"].replace(r"\|", "/").split())
        if (arguments := _arguments(line)) is not None:
            yield arguments


def _parse(arguments: list[str]) -> None:
    """Parse as the command would; whatever its parser raises is raised."""
    command: Any = typer.main.get_command(app)
    name, rest, context = "sam3i", list(arguments), None
    while rest:
        context = command.make_context(name, rest, parent=context)
        left = [*context._protected_args, *context.args]
        if not left:
            return
        name, command, rest = command.resolve_command(context, left)


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda page: page.name)
def test_command_lines_are_taken(page: Path):
    for arguments in _in_blocks(page):
        with suppress(typer.Exit):  # of --help and --version
            _parse(arguments)


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda page: page.name)
def test_commands_named_in_prose_exist(page: Path):
    for arguments in _in_prose(page):
        # Of a name alone, arguments are missing; FILE stands for any. Command and options are read.
        with suppress(typer.Exit, typer.BadParameter):
            _parse(arguments)


@pytest.mark.parametrize(
    "line",
    ["sam3i segmnt a.png star", "$ sam3i segment a.png star --rout agent", "X=1 sam3i bench mpc"],
)
def test_a_line_that_is_not_taken_is_found(line: str):
    arguments = _arguments(line)
    assert arguments is not None
    with pytest.raises(Exception, match=r"(?i)no such"):
        _parse(arguments)


def test_the_pages_tell_of_every_command():
    lines = [
        " ".join(words) for page in HAND_WRITTEN for words in (*_in_blocks(page), *_in_prose(page))
    ]
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        for inner in getattr(command, "commands", ("",)):
            whole = f"{name} {inner}".strip()
            assert any(line.startswith(whole) for line in lines), whole


def test_what_starts_the_server_in_a_container_is_taken():
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    lists = dict(re.findall(r"^(ENTRYPOINT|CMD) (\[.*\])$", dockerfile, re.MULTILINE))
    _, *serve = json.loads(lists["ENTRYPOINT"])
    _parse([*serve, *json.loads(lists["CMD"])])
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    _parse([*serve, *compose["services"]["sam3i"]["command"]])
