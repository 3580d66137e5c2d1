"""`sam3i segment`: a picture, an instruction, masks."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.cli.language import with_language
from sam3i_agent.cli.options import (
    FAILURE,
    DeviceOption,
    JobStoreOption,
    ModelOption,
    ServerOption,
    TilingOption,
    VerboseOption,
    log_to_stderr,
    read_budgets,
)
from sam3i_agent.core.contracts import (
    DEFAULT_BUDGETS,
    LevelChoice,
    RouteChoice,
    RunStatus,
    SegmentationResult,
)
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.model_choice import ModelChoice, Tiling
from sam3i_agent.tools.importing import quick_imports


class AgentChoice(StrEnum):
    """The agents that a caller can choose between."""

    GRAPH = "graph"
    TOOLS = "tools"


EXAMPLES = """Examples:

* `sam3i segment photo.jpg "the mug left of the laptop"`

* `sam3i segment photo.jpg "all chairs except the broken one" --route agent`

* `sam3i segment photo.jpg "red circle" --json > answer.json`

* `sam3i segment photo.jpg --box 104,198,155,248`

* `sam3i segment --resume RUN_ID`

* `sam3i segment photos/ "the person with the umbrella"`

* `sam3i segment photos/ --instructions table.csv`
"""


@with_language
def segment(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PICTURE... [INSTRUCTION]",
            help="A picture, or several, folders and patterns; then what to find, in English.",
        ),
    ] = None,
    instructions: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="A text of its own for each picture, instead of INSTRUCTION: CSV with the columns "
            "file_name, instruction and, if you like, level; or a dataset's JSON.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Many pictures: on so many Ray workers, here or on a cluster.", min=1),
    ] = None,
    store: JobStoreOption = None,
    route: Annotated[RouteChoice, typer.Option(help="Which pipeline answers.")] = RouteChoice.AUTO,
    agent: Annotated[
        AgentChoice,
        typer.Option(
            help="Which agent: graph asks typed questions and weighs the evidence; tools is one "
            "conversation in which a language model calls the segmenter (--route agent-tools)."
        ),
    ] = AgentChoice.GRAPH,
    level: Annotated[
        LevelChoice, typer.Option(help="How the direct route reads the words.")
    ] = LevelChoice.AUTO,
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X0,Y0,X1,Y1", help="An example, in pixels; may be repeated."),
    ] = None,
    not_box: Annotated[
        list[str] | None, typer.Option(metavar="X0,Y0,X1,Y1", help="A counterexample.")
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="A click on an instance, in pixels; may be repeated."),
    ] = None,
    not_point: Annotated[
        list[str] | None, typer.Option(metavar="X,Y", help="A click on what does not belong to it.")
    ] = None,
    server: ServerOption = None,
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    tiling: TilingOption = Tiling.AUTO,
    language: LanguageChoice | None = None,
    max_rounds: Annotated[
        int, typer.Option(help="Rounds of the agent.")
    ] = DEFAULT_BUDGETS.max_rounds,
    max_mllm_calls: Annotated[
        int, typer.Option(help="Requests to the language model, retries included.")
    ] = DEFAULT_BUDGETS.max_mllm_calls,
    max_tokens: Annotated[
        int, typer.Option(help="Tokens of the language model.")
    ] = DEFAULT_BUDGETS.max_tokens,
    max_pictures: Annotated[
        int | None, typer.Option(help="Pictures sent to the language model.")
    ] = DEFAULT_BUDGETS.max_pictures,
    max_seconds: Annotated[
        float, typer.Option(help="Wall time of the run.")
    ] = DEFAULT_BUDGETS.max_seconds,
    concurrency: Annotated[
        int, typer.Option(help="Requests to the language model at one time.")
    ] = DEFAULT_BUDGETS.concurrency,
    no_head: Annotated[
        bool,
        typer.Option("--no-head", help="Keep the direct answer out of the agent's candidates."),
    ] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN_ID", help="Go on with a run that was killed.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the result; outputs/NAME, or for one picture with --json none."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Segment PICTURE by INSTRUCTION: writes result.json, overlay.png and masks/.

    With --box or --point it goes without an instruction. Of many pictures it writes results.jsonl,
    overlays/, coco.json, yolo/, label-studio.json and contact-sheet.html; run again after an
    interruption, it goes on behind the last picture.
    """
    log_to_stderr(verbose)
    route = _route_of(agent, route)
    from sam3i_agent.cli.segment_words import names_many, split_words

    chosen = ModelChoice(model, device, tiling)
    budgets = read_budgets(
        max_rounds=max_rounds,
        max_mllm_calls=max_mllm_calls,
        max_tokens=max_tokens,
        max_pictures=max_pictures,
        max_seconds=max_seconds,
        concurrency=concurrency,
    )
    if server and resume is None:
        with quick_imports():
            from sam3i_agent.cli.remote_run import segment_on_server

        pictures, instruction = split_words(words or (), instructions)
        here_alone = {
            "more than one picture": names_many(pictures) or bool(instructions or workers),
            "--box": bool(box or not_box),
            "--point": bool(point or not_point),
            "--model, --device or --tiling": chosen != ModelChoice(),
            "--mllm-url": language is not None,
            "a limit of the agent": budgets != DEFAULT_BUDGETS,
            "--no-head": no_head,
        }
        image = Path(pictures[0]) if pictures else None
        if out is None and not as_json and image is not None:
            out = Path("outputs") / image.stem
        result = segment_on_server(
            server,
            image,
            instruction,
            route,
            level,
            out,
            here_alone=here_alone,
            show_steps=verbose,
        )
        _say(result, out, as_json=as_json)
        return
    with quick_imports():
        from sam3i_agent.cli.segment_run import SegmentCommand

    if resume is not None:
        if words or box or not_box:
            raise InputError("--resume takes image and instruction from the run's record")
        command = SegmentCommand.resumed(resume)
    else:
        pictures, instruction = split_words(words or (), instructions)
        corrected = box or not_box or point or not_point
        if not pictures or (instruction is None and instructions is None and not corrected):
            raise InputError("an image and an instruction are needed", "see sam3i segment --help")
        if names_many(pictures) or instructions is not None:
            if corrected:
                raise InputError("boxes and points are about one picture", "name one alone")
            from sam3i_agent.cli.folder_run import FolderCommand

            many = FolderCommand(
                pictures, instruction, instructions, out, route, level, not no_head, budgets,
                chosen, language, workers, store,
            )  # fmt: skip
            many.run_and_say(as_json)
            return
        for option, value in (("--workers", workers), ("--store", store)):
            if value is not None:
                raise InputError(
                    f"{option} is for many pictures", "name a folder, or several pictures"
                )
        command = SegmentCommand.new(
            Path(pictures[0]),
            instruction,
            boxes=box or (),
            not_boxes=not_box or (),
            route=route,
            level=level,
            use_head=not no_head,
            budgets=budgets,
            model=chosen,
            language=language,
        )
    command = command.with_clicks(point or (), not_point or ())
    if out is None and not as_json:
        out = Path("outputs") / command.image.stem
    result = command.run(out, show_steps=verbose)
    _say(result, out, as_json=as_json)


def _say(result: SegmentationResult, out: Path | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(result.model_dump_json())
    else:
        from sam3i_agent.tools.results.wording import summarise

        typer.echo(summarise(result))
        typer.echo(f"written to {out}")
    if result.status is RunStatus.FAILED:
        raise typer.Exit(FAILURE)


def _route_of(agent: AgentChoice, route: RouteChoice) -> RouteChoice:
    """Return the route by which the chosen agent answers.

    Raises:
        InputError: the agent is chosen, and a route on which it has no say.
    """
    if agent is AgentChoice.GRAPH:
        return route
    if route in (RouteChoice.AUTO, RouteChoice.AGENT, RouteChoice.AGENT_TOOLS):
        return RouteChoice.AGENT_TOOLS
    raise InputError(f"--agent {agent} answers no --route {route}", "leave one of them out")
