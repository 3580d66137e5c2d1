"""SA-Co: COCO JSON whose image entries have a noun phrase, `text_input`."""

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.formats.coco import one_text_format

SACO = one_text_format("saco", "SA-Co", "text_input", InstructionLevel.CONCEPT)
