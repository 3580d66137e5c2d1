"""The options that name a language model and say how it is asked."""

import inspect
import json
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from pydantic import ValidationError

from sam3i_agent.agent.language.choice import AskBy, LanguageChoice, PromptsVersion
from sam3i_agent.cli.options import out_of_range
from sam3i_agent.core.errors import InputError

_PANEL = "Language model"
_PARAMETER = "language"
_FLAGS = {"timeout_s": "--mllm-timeout", "prompts": "--prompts"}
"""Of the fields that are not named as their flags are."""


def _usual(field: str) -> str:
    return f"{LanguageChoice.model_fields[field].default:g} by default"


def language_choice(
    mllm_url: Annotated[
        str | None,
        typer.Option(
            help="Base URL of an OpenAI-compatible server, whose model plans and judges for the "
            "agent; its key comes from SAM3I_MLLM_API_KEY or OPENAI_API_KEY.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    mllm_model: Annotated[
        str | None, typer.Option(help="The model's name there.", rich_help_panel=_PANEL)
    ] = None,
    mllm_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="The longest silence before a request is tried again; a reply whose tokens keep "
            f"coming may take longer. {_usual('timeout_s')}.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    mllm_temperature: Annotated[
        float | None,
        typer.Option(help="0 to 2; the server's own by default.", rich_help_panel=_PANEL),
    ] = None,
    mllm_max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Of one reply, thoughts included; the server's own by default.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    mllm_reasoning_effort: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="As the server names it, such as low, medium or high.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    mllm_extra: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help="An object whose fields are passed on in each request.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    mllm_image_side: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help=f"Longest side of the pictures it is shown. {_usual('image_side')}.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    mllm_text_only: Annotated[
        bool,
        typer.Option(
            "--mllm-text-only",
            help="It cannot see: it is asked once for a plan in words, without pictures.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    mllm_ask_by: Annotated[
        AskBy | None,
        typer.Option(
            help="The way tried first; simpler ones follow where a server refuses it. "
            f"{LanguageChoice.model_fields['ask_by'].default} by default.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    prompts: Annotated[
        PromptsVersion | None,
        typer.Option(
            help="Which words it reads. "
            f"{LanguageChoice.model_fields['prompts'].default} by default.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
) -> LanguageChoice | None:
    """Return the model that the options name; None where they name none.

    Raises:
        InputError: one option is given without another that it needs, or cannot be used.
    """
    settings = {
        "timeout_s": mllm_timeout,
        "temperature": mllm_temperature,
        "max_tokens": mllm_max_tokens,
        "reasoning_effort": mllm_reasoning_effort,
        "extra": None if mllm_extra is None else _object(mllm_extra),
        "image_side": mllm_image_side,
        "text_only": mllm_text_only or None,
        "ask_by": mllm_ask_by,
        "prompts": prompts,
    }
    given = {name: one for name, one in settings.items() if one is not None}
    if mllm_url is None and mllm_model is None:
        if given:
            raise InputError(f"{_flag(next(iter(given)))} goes with --mllm-url and --mllm-model")
        return None
    if mllm_url is None or mllm_model is None:
        raise InputError("--mllm-url and --mllm-model go together")
    if not _is_address(mllm_url):
        raise InputError(
            f"--mllm-url must begin with http:// or https://, got {mllm_url!r}",
            "such as http://localhost:11434/v1",
        )
    try:
        return LanguageChoice.model_validate({"url": mllm_url, "model": mllm_model, **given})
    except ValidationError as error:
        raise out_of_range(error, _flag) from error


def language_choices(
    mllm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL,MODEL",
            help="A language model to compare, in place of --mllm-url and --mllm-model; repeated, "
            "each is a row. The other settings hold for all.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    **settings: Any,
) -> tuple[LanguageChoice, ...]:
    """Return the models that the options name, those of `language_choice` among them.

    Raises:
        InputError: one is not of this form, is named twice, or an option cannot be used.
    """
    if not mllm:
        one = language_choice(**settings)
        return () if one is None else (one,)
    if settings["mllm_url"] is not None or settings["mllm_model"] is not None:
        raise InputError("--mllm stands in place of --mllm-url and --mllm-model", "leave them out")
    choices: list[LanguageChoice] = []
    for text in mllm:
        url, comma, model = text.partition(",")
        if not comma or not model:
            raise InputError(
                f"--mllm takes URL,MODEL, not {text!r}",
                "such as http://localhost:11434/v1,qwen3-vl",
            )
        choice = language_choice(**{**settings, "mllm_url": url, "mllm_model": model})
        if choice is None or choice in choices:
            raise InputError(f"--mllm {text!r} is given twice")
        choices.append(choice)
    return tuple(choices)


def choices_of(mllm: Sequence[str], prompts: PromptsVersion) -> tuple[LanguageChoice, ...]:
    """Return the models of `--mllm` options, all else as usual; see `language_choices`."""
    settings: dict[str, Any] = dict.fromkeys(inspect.signature(language_choice).parameters)
    return language_choices(list(mllm), **{**settings, "prompts": prompts}) if mllm else ()


_MANY = "languages"


def with_language(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `language_choice`, or of `language_choices`.

    Args:
        command: takes `language`, a `LanguageChoice` or None, or `languages`, a tuple; on the
            command line the options stand in its place.
    """
    options = dict(inspect.signature(language_choice).parameters)
    taken = inspect.signature(command)
    parameter = _MANY if _MANY in taken.parameters else _PARAMETER
    read: Callable[..., object] = language_choice
    if parameter == _MANY:
        options = {"mllm": inspect.signature(language_choices).parameters["mllm"], **options}
        read = language_choices
    shown: list[inspect.Parameter] = []
    for name, one in taken.parameters.items():
        shown += options.values() if name == parameter else [one]

    @wraps(command)
    def run(**values: Any) -> None:
        chosen = {name: values.pop(name) for name in options}
        command(**values, **{parameter: read(**chosen)})

    vars(run)["__signature__"] = taken.replace(parameters=shown)  # which the parser reads
    return run


def _flag(field: str) -> str:
    return _FLAGS.get(field, f"--mllm-{field}".replace("_", "-"))


def _object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"--mllm-extra is no JSON: {error}", _EXAMPLE) from error
    if not isinstance(value, dict):
        raise InputError(f"--mllm-extra must be a JSON object, got {text}", _EXAMPLE)
    return value


_EXAMPLE = """such as '{"top_p": 0.9}'"""


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
