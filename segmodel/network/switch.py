"""The switch that tells every adapted layer which rows have which level."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from sam3i_agent.core.levels import InstructionLevel


class LevelSwitch:
    """The level of each row of the batch that is in the model now.

    The model's stock code passes no such argument down to its layers, so all adapted layers of one
    model share one switch. It makes a forward pass not re-entrant: one thread at a time.
    """

    def __init__(self) -> None:
        self._levels: tuple[InstructionLevel, ...] = ()

    @contextmanager
    def set(self, levels: Sequence[InstructionLevel]) -> Iterator[None]:
        """Use `levels`, one per row, for the forward passes inside the `with` block."""
        before, self._levels = self._levels, tuple(levels)
        try:
            yield
        finally:
            self._levels = before

    def route(
        self,
        rows: Tensor,
        *,
        concept: Callable[[Tensor], Tensor] | None = None,
        simple: Callable[[Tensor], Tensor],
        complex_: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Send each row of (N, ...) down its level's path, which keeps the row's shape.

        Without a `concept` path, concept rows stay as they are. Where all rows have one level, its
        path gets `rows` itself, so a concept batch is the stock computation to the bit.
        """
        paths = {
            InstructionLevel.CONCEPT: concept or (lambda unchanged: unchanged),
            InstructionLevel.SIMPLE: simple,
            InstructionLevel.COMPLEX: complex_,
        }
        present = set(self._levels) or {InstructionLevel.CONCEPT}
        if len(present) == 1:
            return paths[present.pop()](rows)
        if len(rows) != len(self._levels):
            raise ValueError(f"{len(self._levels)} levels are set for a batch of {len(rows)} rows")
        result = torch.empty_like(rows)
        for level in present:
            chosen = [row for row, its_level in enumerate(self._levels) if its_level is level]
            index = torch.tensor(chosen, device=rows.device)
            result[index] = paths[level](rows[index]).to(result.dtype)
        return result
