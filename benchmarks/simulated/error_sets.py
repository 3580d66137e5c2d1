"""Sets of error rates: named ones, which the documentation's tables have, and a user's own."""

import json
from collections.abc import Mapping

from pydantic import ValidationError

from sam3i_agent.benchmarks.simulated.error_rates import ErrorRates
from sam3i_agent.core.errors import InputError

NO_ERRORS = "none"
ERROR_SETS: Mapping[str, ErrorRates] = {
    NO_ERRORS: ErrorRates(),
    "verify": ErrorRates.parse({"verify": 0.2}),
    "verify+select": ErrorRates.parse({"verify": 0.2, "select": 0.2}),
    "mixed": ErrorRates.parse(
        {"verify": 0.1, "select": 0.1, "propose": 0.2, "absent": 0.2, "false_absent": 0.05}
    ),
    "heavy": ErrorRates.parse(
        {"verify": 0.3, "select": 0.2, "propose": 0.4, "absent": 0.4, "false_absent": 0.1}
    ),
    "coin": ErrorRates.parse(
        dict.fromkeys(("verify", "select", "propose", "absent", "false_absent"), 0.5)
    ),
}
"""From no errors to a model that throws coins."""
SWEEP = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Values that a swept rate takes; `all` scales by twice these, so that 0.5 is the set as given."""
ALL = "all"


def named_sets(names: str) -> dict[str, ErrorRates]:
    """Return sets of error rates by their names.

    Args:
        names: of `ERROR_SETS`, separated by commas; `all` for all of them.

    Raises:
        InputError: there is no set of that name.
    """
    if names == ALL:
        return dict(ERROR_SETS)
    chosen = [one.strip() for one in names.split(",")]
    for one in chosen:
        if one not in ERROR_SETS:
            raise InputError(
                f"--errors-set: {one!r} is no set of error rates",
                f"known: {', '.join(ERROR_SETS)}, or {ALL}",
            )
    return {one: ERROR_SETS[one] for one in chosen}


def rates_to_measure(errors: str, sweep: str | None) -> dict[str, ErrorRates]:
    """Return sets of error rates by what they say.

    Args:
        errors: JSON, an object of rates or a list of them.
        sweep: a rate to vary over `SWEEP` beside the first set; `all` scales that set instead.

    Raises:
        InputError: it is no JSON, a rate is unknown or not 0 to 1, or there is none to scale.
    """
    try:
        values = json.loads(errors)
        sets = values if isinstance(values, list) else [values]
        if not sets or not all(isinstance(one, dict) for one in sets):
            raise TypeError("no object")
        if sweep is None:
            rates = [ErrorRates.parse(one) for one in sets]
        elif sweep == ALL:
            rates = [ErrorRates.parse(sets[0]).scaled(2 * one) for one in SWEEP]
        else:
            rates = [ErrorRates.parse({**sets[0], sweep: one}) for one in SWEEP]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        known = ", ".join(["verify", "select", *ErrorRates.model_fields])
        raise InputError(f"--errors: {name}: {first['msg']}", f"known: {known}") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"--errors takes a JSON object of rates, not {errors!r}") from error
    named = {_said(one): one for one in rates}
    if sweep is not None and len(named) < len(SWEEP):
        raise InputError("--sweep all scales the rates of --errors, which gives none")
    return named


def _said(rates: ErrorRates) -> str:
    known = {name: value for name, value in rates.model_dump().items() if value}
    return ", ".join(f"{name} {value:g}" for name, value in known.items()) or NO_ERRORS
