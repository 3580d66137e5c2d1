"""The graph's state (small, typed, serialisable) and what its nodes work with.

Pixels, features and masks never enter the state: they live in the `Workspace`, and the state names
candidates by their position there.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol, TypedDict

from PIL.Image import Image

from sam3i_agent.agent.belief import Vote
from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.side import LanguageSide, ProposedPhrase, TriedPhrase, Verdict
from sam3i_agent.agent.planner.plan import Plan
from sam3i_agent.core.contracts import Route, RunStatus, SegmentRequest
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.segmodel.segmenter import EncodedImage, Segmenter


class RunRecord(Protocol):
    """Where a run outlives its process; see `agent.runs.RecordedRun`."""

    def save_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Keep all candidates of the run."""
        ...

    def save_picture(self, name: str, picture: Image) -> None:
        """Keep a picture of a step."""
        ...


@dataclass
class Workspace:
    """The tools of one run and the pixels they produced."""

    segmenter: Segmenter
    photo: Photo
    language: LanguageSide
    meter: Meter
    record: RunRecord | None = None
    encoded: EncodedImage | None = None
    """Filled by the first node that needs it; one encoding per run."""
    candidates: list[Candidate] = field(default_factory=list)
    """Of all rounds, by position, which is their name in the state."""

    def add_candidates(self, known: int, found: Sequence[Candidate]) -> range:
        """Append candidates and return their positions.

        Args:
            known: candidates that the state knows of; what a killed node left beyond is dropped.
            found: the new ones.
        """
        del self.candidates[known:]
        self.candidates.extend(found)
        if self.record is not None:
            self.record.save_candidates(self.candidates)
        return range(known, len(self.candidates))


class InputState(TypedDict):
    """What a run starts from."""

    request: SegmentRequest


class State(InputState, total=False):
    """What the nodes pass on."""

    route: Route
    level: InstructionLevel
    joint: bool
    """Ask at all levels and keep the surest answer."""
    round: int
    """Of proposals, from 1."""
    phrases: list[ProposedPhrase]
    """Of this round."""
    plan: Plan | None
    """The last one that a language model gave in words."""
    planned: list[int]
    """Positions that geometry chooses by it, best first."""
    tried: Annotated[list[TriedPhrase], operator.add]
    """What the model has answered; never asked again."""
    presences: Annotated[dict[str, float], operator.or_]
    """By key of a phrase: the presence that its last wording got."""
    candidate_count: int
    """Candidates that finished nodes have found."""
    verdicts: Annotated[dict[str, Verdict], operator.or_]
    """By the candidate's position, as text: the last one."""
    hidden: Annotated[list[int], operator.add]
    """Positions that are not shown: doubles, and what a certain side has rejected."""
    votes: Annotated[list[Vote], operator.add]
    """Of the language side, on candidates."""
    looks: int
    """Verdicts asked for in this round."""
    selected_from: int
    """Candidates that there were at the last selection."""
    said_absent: bool
    """Whether the last selection said that nothing fits."""
    missing: str
    """What the last selection said has no good mask."""
    chosen: list[int]
    """Positions of the best answer so far, best first."""
    status: RunStatus
    presence: float
    image_encodings: Annotated[int, operator.add]
    prompts: Annotated[int, operator.add]
    trace: Annotated[list[str], operator.add]
    warnings: Annotated[list[str], operator.add]
