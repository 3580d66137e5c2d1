"""The meter that stops a run where a budget is used up."""

import time

from sam3i_agent.agent.language.ledger import Ledger
from sam3i_agent.core.contracts import Budgets
from sam3i_agent.core.errors import BudgetError


class Meter:
    """Counts what a run spends; the ledger remembers it across a kill.

    Args:
        budgets: the limits.
        ledger: the run's finished and begun requests.
    """

    def __init__(self, budgets: Budgets, ledger: Ledger) -> None:
        self.budgets = budgets
        self.ledger = ledger
        self._started = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """Wall time that is left, never negative."""
        return max(0.0, self.budgets.max_seconds - (time.monotonic() - self._started))

    def check_time(self) -> None:
        """Raise a `BudgetError` where the time is used up."""
        if self.seconds_left <= 0:
            raise self.out_of_time()

    def out_of_time(self) -> BudgetError:
        """Return the error that says that the time is used up."""
        return BudgetError(
            f"the budget of {self.budgets.max_seconds:g} seconds is used up",
            "raise --max-seconds",
        )

    def begin_call(self, pictures: int) -> None:
        """Count a request that is about to be sent; see `check_call`."""
        self.check_call(pictures)
        self.ledger.begin(pictures)

    def check_call(self, pictures: int) -> None:
        """Raise a `BudgetError` where another request would go beyond a limit.

        Args:
            pictures: that go with it.
        """
        self.check_time()
        budgets = self.budgets
        if self.ledger.calls >= budgets.max_mllm_calls:
            raise BudgetError(
                f"the budget of {budgets.max_mllm_calls} model calls is used up",
                "raise --max-mllm-calls",
            )
        if self.ledger.tokens >= budgets.max_tokens:
            raise BudgetError(
                f"the budget of {budgets.max_tokens} tokens is used up", "raise --max-tokens"
            )
        most = budgets.max_pictures
        if most is not None and self.ledger.pictures + pictures > most:
            raise BudgetError(f"the budget of {most} pictures is used up", "raise --max-pictures")
