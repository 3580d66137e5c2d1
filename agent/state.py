"""The graph's state (small, typed, serialisable) and what its nodes work with.

Pixels, features and masks never enter the state: they live in the `Workspace`, and the state names
noun phrases and candidate positions.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol, TypedDict

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.contracts import Route, RunStatus, SegmentRequest
from sam3i_agent.agent.plan import Plan
from sam3i_agent.segmodel.instances import Instances
from sam3i_agent.segmodel.levels import InstructionLevel
from sam3i_agent.segmodel.photo import Photo
from sam3i_agent.segmodel.prompt import Prompt


class EncodedImageLike(Protocol):
    """Features of one photo that answer prompts; see `segmodel.segmenter.EncodedImage`."""

    def segment(self, prompts: Sequence[Prompt]) -> list[Instances]:
        """Return the instances of each prompt."""
        ...


class SegmenterLike(Protocol):
    """What the graph needs of a model; see `segmodel.segmenter.Segmenter`."""

    @property
    def levels(self) -> tuple[InstructionLevel, ...]:
        """Levels that it can answer."""
        ...

    def count_tokens(self, text: str) -> int:
        """Ids that `text` needs."""
        ...

    def encode(self, photo: Photo) -> EncodedImageLike:
        """Compute the photo's features."""
        ...


@dataclass
class Workspace:
    """The tools of one run and the pixels they produced."""

    segmenter: SegmenterLike
    photo: Photo
    encoded: EncodedImageLike | None = None
    """Filled by the first node that needs it; one encoding per run."""
    candidates: dict[str, list[Candidate]] = field(default_factory=dict)
    """By noun phrase of the plan, or `DIRECT_KEY`."""
    presences: dict[str, float] = field(default_factory=dict)
    """By noun phrase: the highest presence that any prompt for it got."""
    chosen: list[Candidate] = field(default_factory=list)


DIRECT_KEY = "<instruction>"
"""Stands for the whole instruction among the noun phrases."""


class Query(TypedDict):
    """A text for the model and the noun phrase of the plan it stands for."""

    phrase: str
    text: str


class InputState(TypedDict):
    """What a run starts from."""

    request: SegmentRequest


class State(InputState, total=False):
    """What the nodes pass on."""

    route: Route
    level: InstructionLevel
    joint: bool
    """Ask at all levels and keep the surest answer."""
    plan: Plan
    round: int
    """Of proposals, from 1."""
    queries: list[Query]
    """Of this round."""
    tried: Annotated[list[str], operator.add]
    """Texts that the model has answered; never asked again."""
    status: RunStatus
    presence: float
    image_encodings: Annotated[int, operator.add]
    prompts: Annotated[int, operator.add]
    trace: Annotated[list[str], operator.add]
    warnings: Annotated[list[str], operator.add]
