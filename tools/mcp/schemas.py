"""JSON schemas that every provider of models takes, and short: a host sends them with each call."""

from typing import Any

_DROPPED = ("title", "$defs")


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without references, titles and alternatives to null.

    Several providers know no `$ref`, no `prefixItems` and no `anyOf`; an optional value is one that
    is left out.

    Args:
        schema: as pydantic makes it.
    """
    return _plain(schema, schema.get("$defs", {}))


def _plain(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_plain(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        # What stands beside a reference says more than the definition's own docstring.
        known = {key: value for key, value in definitions[name].items() if key != "description"}
        return _plain({**known, **rest}, definitions)
    if "anyOf" in schema:
        real = [one for one in schema["anyOf"] if one.get("type") != "null"]
        if len(real) == 1:
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            return _plain({**real[0], **rest}, definitions)
    plain = {
        key: _properties(value, definitions) if key == "properties" else _plain(value, definitions)
        for key, value in schema.items()
        if key not in _DROPPED and not (key == "default" and value in (None, []))
    }
    return plain


def _properties(properties: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return them under their names, one of which may be `title`."""
    return {name: _plain(value, definitions) for name, value in properties.items()}


def outline(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of an answer that names what is always there, two levels deep, no more.

    Answers explain themselves; what stands here is paid for before the first.
    """
    return {
        "type": "object",
        "properties": {name: _type(schema["properties"][name]) for name in schema["required"]},
    }


def _type(schema: dict[str, Any]) -> dict[str, Any]:
    kind = {"type": schema["type"]}
    return kind | {"items": {"type": schema["items"]["type"]}} if "items" in schema else kind
