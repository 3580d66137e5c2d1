"""Where the caller of a model is looked for: before its layers."""

from typing import Any

from torch import nn

from sam3i_agent.core.stopping import check_stop


def stop_hook(module: nn.Module, inputs: Any) -> None:
    """Stop where the caller has gone away; a forward pre-hook."""
    check_stop()
