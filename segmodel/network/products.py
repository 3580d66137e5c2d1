"""Linear layers of a CPU by oneDNN, which comes with torch and makes the same products sooner.

torch has MKL make products in fp32. On processors of other makers than Intel, MKL leaves half of
AVX-512 unused: 100 GFLOP/s on a core of an EPYC, where oneDNN makes 225, and 105 against 115 where
it is held to AVX2. Results differ by rounding alone. Training keeps to torch's own.
"""

import platform

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

_WORTH = 1 << 20
"""Products of two numbers from which on it is the faster: each call costs 10 us more."""
_IS_HERE = (
    platform.machine().lower() in ("x86_64", "amd64")
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)


def linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `torch.nn.functional.linear(values, weight, bias)`, the faster of two ways.

    Args:
        values: (..., in).
        weight: (out, in).
        bias: (out,).
    """
    worth = values.numel() * weight.shape[0] >= _WORTH
    # Weights that lie across take oneDNN's slowest way, a hundred times slower.
    if not worth or not weight.is_contiguous() or not takes(values, weight):
        return functional.linear(values, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(values, weight, bias, "none", [], "")


def takes(values: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN makes products of these: in fp32 on a CPU, where nothing learns."""
    return (
        _IS_HERE
        and values.device.type == "cpu"
        and values.dtype is torch.float32
        and weight.dtype is torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class FastLinear(nn.Linear):
    """`nn.Linear` by `linear`."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        """Return the layer's output for (..., in)."""
        return linear(input, self.weight, self.bias)


def hasten(model: nn.Module) -> None:
    """Have all linear layers of a model work by `linear`; names and weights stay."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = FastLinear
