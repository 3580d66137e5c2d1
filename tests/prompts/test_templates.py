"""Templates declare exactly the variables they use."""

from importlib.resources import files

import pytest

from sam3i_agent.prompts import templates
from sam3i_agent.prompts.templates import VERSION, load_prompt

NAMES = [
    path.name.removesuffix(".j2")
    for path in files("sam3i_agent.prompts").joinpath(VERSION).iterdir()
    if path.name.endswith(".j2")
]


def test_every_template_loads():
    assert {"system", "propose", "verify", "select", "correct"} <= set(NAMES)
    for name in NAMES:
        assert load_prompt(name).version == VERSION


def test_variables_are_exact():
    prompt = load_prompt("verify")
    text = prompt.render(instruction="the <b>", found_by="cup", number_of_images=3)
    assert "the <b>" in text  # plain text, nothing escaped
    for values in ({}, {"instruction": "x"}, {**dict.fromkeys(prompt.variables, 1), "more": 1}):
        with pytest.raises(TypeError, match="takes"):
            prompt.render(**values)


@pytest.mark.parametrize(
    ("source", "message"),
    [("no head", "does not begin"), ("{# variables: a #}\n{{ b }}", "but uses")],
)
def test_wrong_declarations_are_refused(tmp_path, monkeypatch, source, message):
    (tmp_path / VERSION).mkdir()
    (tmp_path / VERSION / "bad.j2").write_text(source)
    monkeypatch.setattr(templates, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=message):
        load_prompt.__wrapped__("bad")
