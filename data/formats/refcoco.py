"""The RefCOCO family: COCO JSON with a `caption` per image entry, one entry per expression."""

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.coco import one_text_format

REFCOCO = one_text_format("refcoco", "RefCOCO", "caption", InstructionLevel.SIMPLE)
