"""The options of a language model: the same on every command, and one value behind them."""

import inspect
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from sam3i_agent.agent.language.choice import LanguageChoice, PromptsVersion
from sam3i_agent.agent.language.factory import named_choices
from sam3i_agent.cli.app import app
from sam3i_agent.cli.language import language_choice, language_choices, with_language
from sam3i_agent.core.errors import InputError

SERVER = {"mllm_url": "http://localhost:1/v1", "mllm_model": "m"}


def test_a_command_gets_one_value_in_place_of_its_options():
    got: list[Any] = []
    small = typer.Typer()

    @small.command()
    @with_language
    def run(
        name: str,
        language: LanguageChoice | None = None,
        loud: Annotated[bool, typer.Option("--loud")] = False,
    ) -> None:
        got.append((name, language, loud))

    given = [
        "x", "--mllm-url", "https://h/v1", "--mllm-model", "m", "--mllm-timeout", "7.5",
        "--mllm-temperature", "0", "--mllm-max-tokens", "9", "--mllm-reasoning-effort", "low",
        "--mllm-extra", '{"top_k": 3}', "--mllm-image-side", "512", "--prompts", "v2", "--loud",
    ]  # fmt: skip
    for arguments in (given, ["x"]):
        outcome = CliRunner().invoke(small, arguments)
        assert outcome.exit_code == 0, outcome.output
    wanted = LanguageChoice(
        url="https://h/v1", model="m", timeout_s=7.5, temperature=0, max_tokens=9,
        reasoning_effort="low", extra={"top_k": 3}, image_side=512, prompts=PromptsVersion.V2,
    )  # fmt: skip
    assert got == [("x", wanted, True), ("x", None, False)]


@pytest.mark.parametrize("command", ["segment", "serve", "compare", "dataset verify"])
def test_every_command_with_a_model_takes_all_its_settings(command):
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"}).output
    for flag in ("url", "model", "timeout", "temperature", "max-tokens", "extra", "image-side"):
        assert f"--mllm-{flag}" in shown
    assert "--prompts" in shown and "--language" not in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mllm_url": "http://h"}, "go together"),
        ({"mllm_model": "m"}, "go together"),
        ({"mllm_timeout": 3.0}, "--mllm-timeout goes with --mllm-url"),
        ({"prompts": PromptsVersion.V1}, "--prompts goes with"),
        ({"mllm_url": "localhost:11434", "mllm_model": "m"}, "http:// or https://"),
        ({"mllm_url": "http://", "mllm_model": "m"}, "http:// or https://"),
        ({**SERVER, "mllm_timeout": 0.0}, "--mllm-timeout: input should be greater than 0"),
        ({**SERVER, "mllm_timeout": float("nan")}, "--mllm-timeout: "),
        ({**SERVER, "mllm_timeout": float("inf")}, "--mllm-timeout: "),
        ({**SERVER, "mllm_temperature": 2.5}, "--mllm-temperature: "),
        ({**SERVER, "mllm_max_tokens": 0}, "--mllm-max-tokens: "),
        ({**SERVER, "mllm_reasoning_effort": "very much"}, "--mllm-reasoning-effort: "),
        ({**SERVER, "mllm_image_side": 10}, "--mllm-image-side: "),
        ({**SERVER, "mllm_extra": "{"}, "--mllm-extra is no JSON"),
        ({**SERVER, "mllm_extra": "[1]"}, "--mllm-extra must be a JSON object"),
        ({**SERVER, "mllm_extra": '{"messages": []}'}, "--mllm-extra: 'messages' cannot be set"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(options, said):
    with pytest.raises(InputError) as caught:
        language_choice(**options)
    assert said in caught.value.message and "\n" not in str(caught.value)


def test_a_model_is_described_by_what_is_not_usual():
    plain = LanguageChoice(url="http://me:key@host:1/v1?token=x", model="m")
    assert str(plain) == "m (prompts v2)"
    assert plain.without_secrets().url == "http://host:1/v1"
    extra = {"top_k": 3, "api_key": "x", "max_completion_tokens": 5, "more": {"Authorization": "x"}}
    odd = plain.model_copy(update={"temperature": 0.0, "extra": extra})
    told = "prompts v2, temperature 0.0, top_k 3, max_completion_tokens 5, more {}"
    assert str(odd) == f"m ({told})"
    kept = {"top_k": 3, "max_completion_tokens": 5, "more": {}}
    assert odd.without_secrets().extra == kept and odd.body["api_key"] == "x"


def _choices(*mllm, **settings):
    """What `language_choices` returns, all other options left out."""
    names = inspect.signature(language_choice).parameters
    return language_choices(list(mllm), **{**dict.fromkeys(names), **settings})


def test_several_models_share_the_other_settings():
    first, second = _choices("http://a/v1,org/one", "http://b/v1,two,2", mllm_temperature=0)
    assert (first.url, first.model, first.temperature) == ("http://a/v1", "org/one", 0)
    assert (second.url, second.model, second.temperature) == ("http://b/v1", "two,2", 0)
    assert list(named_choices([first, second, first])) == ["one", "two-2", "one-2"]
    assert _choices() == () and _choices(**SERVER)[0].model == "m"


@pytest.mark.parametrize(
    ("mllm", "settings", "said"),
    [
        (("http://a/v1",), {}, "takes URL,MODEL"),
        (("http://a/v1,",), {}, "takes URL,MODEL"),
        (("a,m",), {}, "must begin with http"),
        (("http://a/v1,m", "http://a/v1,m"), {}, "given twice"),
        (("http://a/v1,m",), SERVER, "in place of"),
    ],
)
def test_several_models_that_cannot_be_used(mllm, settings, said):
    with pytest.raises(InputError, match=said):
        _choices(*mllm, **settings)
