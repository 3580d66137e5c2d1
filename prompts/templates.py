"""Every word that a language model reads: templates with declared variables, checked when loaded.

A version is a folder: `NAME.j2` are questions, `complaints.toml` says what is wrong with a reply,
`functions.toml` describes the functions that a model is to call and their fields.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template, meta

VERSIONS = ("v1", "v2")
"""Folders of templates; a change of wording that matters gets a new one."""
VERSION = VERSIONS[-1]
"""In use where nobody chooses."""
_HEAD = "{# variables:"


@dataclass(frozen=True)
class PromptTemplate:
    """One template."""

    name: str
    version: str
    variables: frozenset[str]
    """Exactly what `render` takes."""
    template: Template

    def render(self, **values: object) -> str:
        """Fill in the template.

        Raises:
            TypeError: the values are not exactly the declared variables.
        """
        if values.keys() != self.variables:
            raise TypeError(
                f"prompt {self.name!r} takes {sorted(self.variables)}, got {sorted(values)}"
            )
        return self.template.render(**values).strip()

    def render_from(self, values: Mapping[str, object]) -> str:
        """Fill in the template with those of `values` that it takes: versions differ in them.

        Raises:
            KeyError: it takes one that is not there.
        """
        return self.render(**{name: values[name] for name in self.variables})


@dataclass(frozen=True)
class FunctionWords:
    """What a model reads about a function that it is to call."""

    description: str
    order: Sequence[str]
    """Of its fields, all that are asked for."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Descriptions by field; a field without one has only its name."""


@lru_cache
def load_prompt(name: str, version: str = VERSION) -> PromptTemplate:
    """Load a question of this package.

    Raises:
        ValueError: its first line does not declare the variables it uses.
    """
    source = _read(version, f"{name}.j2")
    first = source.splitlines()[0]
    if not first.startswith(_HEAD) or not first.endswith("#}"):
        raise ValueError(f"prompt {name!r} does not begin with '{_HEAD} a, b #}}'")
    declared = {part.strip() for part in first[len(_HEAD) : -2].split(",") if part.strip()}
    template = _template(name, version, source)
    if template.variables != declared:
        raise ValueError(
            f"prompt {name!r} declares {sorted(declared)} but uses {sorted(template.variables)}"
        )
    return template


def complaint(name: str, version: str = VERSION, **values: object) -> str:
    """Say what is wrong with a reply.

    Raises:
        KeyError: there is no complaint of this name.
        TypeError: the values are not exactly its variables.
    """
    return _complaints(version)[name].render(**values)


@lru_cache
def load_function(name: str, version: str = VERSION) -> FunctionWords:
    """Return what is said about a function.

    Raises:
        KeyError: nothing is.
    """
    return FunctionWords(**tomllib.loads(_read(version, "functions.toml"))[name])


def has_prompt(name: str, version: str) -> bool:
    """Whether a version has this question."""
    return files("sam3i_agent.prompts").joinpath(version, f"{name}.j2").is_file()


@lru_cache
def _complaints(version: str) -> dict[str, PromptTemplate]:
    sources = tomllib.loads(_read(version, "complaints.toml"))
    return {name: _template(name, version, source) for name, source in sources.items()}


def _template(name: str, version: str, source: str) -> PromptTemplate:
    # Prompts are plain text for a model, not HTML.
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    used = meta.find_undeclared_variables(environment.parse(source))
    return PromptTemplate(name, version, frozenset(used), environment.from_string(source))


def _read(version: str, name: str) -> str:
    return files("sam3i_agent.prompts").joinpath(version, name).read_text("utf-8")
