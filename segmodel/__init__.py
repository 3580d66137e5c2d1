"""SAM 3 with an instruction head: the model and its images.

The public names below are imported when first used, so that importing the package (which the
command line and the graph do for their types) does not load torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sam3i_agent.segmodel.configuration import InstructionSam3Config
    from sam3i_agent.segmodel.instances import Instances
    from sam3i_agent.segmodel.instruction_sam3 import InstructionSam3
    from sam3i_agent.segmodel.levels import InstructionLevel
    from sam3i_agent.segmodel.loading import load_segmenter
    from sam3i_agent.segmodel.photo import Photo
    from sam3i_agent.segmodel.postprocessing import to_instances
    from sam3i_agent.segmodel.prompt import Prompt
    from sam3i_agent.segmodel.segmenter import EncodedImage, Segmenter
    from sam3i_agent.segmodel.tokenization import InstructionTokenizer, count_tokens

# Operations that Apple's GPUs lack run on the CPU; torch reads this when it is first imported.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

_HOMES = {
    "EncodedImage": "segmenter",
    "Instances": "instances",
    "InstructionLevel": "levels",
    "InstructionSam3": "instruction_sam3",
    "InstructionSam3Config": "configuration",
    "InstructionTokenizer": "tokenization",
    "Photo": "photo",
    "Prompt": "prompt",
    "Segmenter": "segmenter",
    "count_tokens": "tokenization",
    "load_segmenter": "loading",
    "to_instances": "postprocessing",
}

__all__ = [
    "EncodedImage",
    "Instances",
    "InstructionLevel",
    "InstructionSam3",
    "InstructionSam3Config",
    "InstructionTokenizer",
    "Photo",
    "Prompt",
    "Segmenter",
    "count_tokens",
    "load_segmenter",
    "to_instances",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
