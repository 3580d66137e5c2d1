"""Prompt templates: text files with declared variables, checked when they are loaded."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template, meta

VERSION = "v1"
"""Folder of the templates in use; a change of wording that matters gets a new one."""
_HEAD = "{# variables:"


@dataclass(frozen=True)
class Prompt:
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


@lru_cache
def load_prompt(name: str, version: str = VERSION) -> Prompt:
    """Load a template of this package.

    Raises:
        ValueError: its first line does not declare the variables it uses.
    """
    source = files("sam3i_agent.prompts").joinpath(version, f"{name}.j2").read_text("utf-8")
    first = source.splitlines()[0]
    if not first.startswith(_HEAD) or not first.endswith("#}"):
        raise ValueError(f"prompt {name!r} does not begin with '{_HEAD} a, b #}}'")
    declared = {part.strip() for part in first[len(_HEAD) : -2].split(",") if part.strip()}
    # Prompts are plain text for a model, not HTML.
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    used = meta.find_undeclared_variables(environment.parse(source))
    if used != declared:
        raise ValueError(f"prompt {name!r} declares {sorted(declared)} but uses {sorted(used)}")
    return Prompt(name, version, frozenset(declared), environment.from_string(source))
