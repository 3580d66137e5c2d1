"""What every format writes: a result, with what each instance is called."""

from collections.abc import Sequence
from dataclasses import dataclass

from sam3i_agent.core.contracts import SegmentationResult

_ID_CHARACTERS = 16
_UNNAMED = "object"


@dataclass(frozen=True)
class Export:
    """A result as other tools want it."""

    result: SegmentationResult
    labels: Sequence[str] = ()
    """What each instance is; none means the instruction."""
    picture: str = ""
    """Of the picture's file among many; empty takes its own name."""
    all_categories: Sequence[str] = ()
    """Names that a set of pictures knows; none takes those of this one."""

    @property
    def file_name(self) -> str:
        """Of the picture; one after its hash where it came without a name."""
        image = self.result.image
        return self.picture or image.name or f"{image.sha256[:_ID_CHARACTERS]}.png"

    @property
    def names(self) -> list[str]:
        """What each instance is; what was only pointed out is an object."""
        names = self.labels or [self.result.instruction] * len(self.result.instances)
        return [name or _UNNAMED for name in names]

    @property
    def categories(self) -> list[str]:
        """The different names, in their order; one at least."""
        if self.all_categories:
            return list(self.all_categories)
        return list(dict.fromkeys(self.names)) or [self.result.instruction or _UNNAMED]
