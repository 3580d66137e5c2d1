"""`sam3i segment --server`: a running server answers, and the model is not needed here."""

import sys
from collections.abc import Mapping
from pathlib import Path

from sam3i_agent.agent.requests import make_request
from sam3i_agent.core.contracts import LevelChoice, RouteChoice, SegmentationResult
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.photo import read_photo
from sam3i_agent.tools.results.export import check_writable, write_result
from sam3i_agent.tools.serving.client import ServerClient


def segment_on_server(
    url: str,
    image: Path | None,
    instruction: str | None,
    route: RouteChoice,
    level: LevelChoice,
    out: Path | None,
    *,
    here_alone: Mapping[str, bool],
    show_steps: bool,
) -> SegmentationResult:
    """Ask a server, and write its answer as if it had been found here.

    Args:
        url: of a `sam3i serve --http`.
        image: a file on this machine.
        instruction: what to find.
        route: which pipeline.
        level: how the direct route reads the words.
        out: folder for the result; None writes none.
        here_alone: whether each option was given that only a model in this process can follow.
        show_steps: print the trace on standard error.

    Raises:
        InputError: the image, the instruction or an option cannot be used, or no server answers.
        ModelError: the server fails.
        StorageError: the folder cannot be written.
    """
    if given := [flag for flag, was_given in here_alone.items() if was_given]:
        raise InputError(
            f"{given[0]} does not go with a server that answers",
            "leave it out; or leave out --server (or give an empty one), to answer here",
        )
    if image is None or instruction is None:
        raise InputError("an image and an instruction are needed", "see sam3i segment --help")
    client = ServerClient(url)
    photo = read_photo(image)
    request = make_request(photo, instruction, route=route, level=level)
    if out is not None:
        check_writable(out)
    result = client.segment(image, request)
    if show_steps:
        sys.stderr.write("".join(f"{line}\n" for line in result.trace))
    if out is not None:
        write_result(result, photo, out)
    return result
