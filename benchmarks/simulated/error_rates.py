"""How often a simulated language model errs, by kind of answer."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from sam3i_agent.core.contracts import Frozen

Rate = Annotated[float, Field(ge=0, le=1)]


class ErrorRates(Frozen):
    """How often a simulated model errs, 0..1 each."""

    propose: Rate = 0.0
    """Each phrase names something else: a wrong attribute, a broader word, or a misspelling."""
    plan: Rate = 0.0
    """A plan has a wrong relation, side, order or number."""
    false_accept: Rate = 0.0
    """A verdict accepts a wrong mask."""
    false_reject: Rate = 0.0
    """A verdict rejects a right mask."""
    missed: Rate = 0.0
    """A selection leaves out a right mask."""
    extra: Rate = 0.0
    """A selection takes a wrong mask."""
    absent: Rate = 0.0
    """Where nothing fits, it takes something for it."""
    false_absent: Rate = 0.0
    """It says that nothing fits where something does."""
    malformed: Rate = 0.0
    """A reply holds no usable JSON."""
    latency_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds that each reply takes."""
    repeated: bool = False
    """The same question gets the same answer, as at temperature 0; else each is drawn anew."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "ErrorRates":
        """Read rates by name; `verify` and `select` stand for both of their kinds.

        A plan errs as a proposal does, where nothing else is said.

        Raises:
            pydantic.ValidationError: a name is unknown, or a rate is not 0 to 1.
        """
        both = {"verify": ("false_accept", "false_reject"), "select": ("missed", "extra")}
        rates = {name: value for name, value in values.items() if name not in both}
        for name, kinds in both.items():
            if name in values:
                rates = {**dict.fromkeys(kinds, values[name]), **rates}
        if "propose" in values:
            rates.setdefault("plan", values["propose"])
        return cls.model_validate(rates)

    def scaled(self, factor: float) -> "ErrorRates":
        """Return all rates times `factor`, at most 1."""
        rates = {
            name: min(1.0, factor * value)
            for name, value in self.model_dump().items()
            if name not in ("latency_s", "repeated")
        }
        return ErrorRates(**rates, latency_s=self.latency_s, repeated=self.repeated)
