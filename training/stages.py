"""The stages of a training run: which texts it reads and which weights it moves."""

from enum import StrEnum

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.segmodel.network.instruction_sam3 import is_instruction_head_key

GEOMETRY_PREFIX = "geometry_encoder."


class Stage(StrEnum):
    """A stage of SAM3-I's recipe, or the base model's own training before it."""

    CONCEPT = "concept"
    """The whole model on noun phrases; no instruction head."""
    EXEMPLARS = "exemplars"
    """The geometry encoder alone; its token of a prompt without boxes is held where it was."""
    SIMPLE = "simple"
    """Stage 1: simple instructions through the simple adapters."""
    COMPLEX = "complex"
    """Stage 2: complex instructions through the complex adapters."""
    ALIGN = "align"
    """Stage 3: each target asked for by its simple and its complex instruction, held together."""
    JOINT = "joint"
    """Base and head together; batch after batch takes its turn with the texts of another stage.

    SAM 3's base is trained before, on far more; a small one learns in this time to see what
    instructions speak of. Noun phrases still pass the head by."""

    @property
    def asked_levels(self) -> tuple[InstructionLevel, ...]:
        """The levels whose detections are trained."""
        if self is Stage.ALIGN:
            return (InstructionLevel.SIMPLE, InstructionLevel.COMPLEX)
        if self is Stage.JOINT:
            return tuple(InstructionLevel)
        if self is Stage.EXEMPLARS:
            return (InstructionLevel.CONCEPT,)
        return (InstructionLevel(self.value),)

    @property
    def trains_head(self) -> bool:
        """Whether only an instruction head is trained, on a frozen base."""
        return self not in (Stage.CONCEPT, Stage.EXEMPLARS, Stage.JOINT)

    @property
    def has_head(self) -> bool:
        """Whether the model of this stage has an instruction head."""
        return self.trains_head or self is Stage.JOINT

    @property
    def trains_base(self) -> bool:
        """Whether the image side learns."""
        return self in (Stage.CONCEPT, Stage.JOINT)

    def trains(self, key: str) -> bool:
        """Whether the weight `key` of the model is moved."""
        match self:
            case Stage.CONCEPT | Stage.JOINT:
                return True
            case Stage.EXEMPLARS:
                return key.startswith(GEOMETRY_PREFIX)
            case Stage.SIMPLE:
                parts = (".simple.",)
            case Stage.COMPLEX:
                parts = (".complex_in.", ".complex_out.", ".complex.")
            case Stage.ALIGN:
                parts = ("",)
        return is_instruction_head_key(key) and any(part in key for part in parts)
