"""The graph's state (small, typed, serialisable) and what its nodes work with.

Pixels, features and masks never enter the state: they live in the `Workspace`, and the state names
candidates by their position there.
"""

import asyncio
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Protocol, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from PIL.Image import Image

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.side import LanguageSide, ProposedPhrase, TriedPhrase, Verdict
from sam3i_agent.agent.planner.plan import Plan
from sam3i_agent.agent.telemetry import tracer
from sam3i_agent.agent.weighing.belief import Statement, Vote
from sam3i_agent.core.contracts import Budgets, Route, RunStatus, SegmentRequest
from sam3i_agent.core.drawing import draw_marks
from sam3i_agent.core.instances import Instances
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo
from sam3i_agent.core.prompt import Prompt
from sam3i_agent.core.stopping import run_in_thread
from sam3i_agent.segmodel.segmenter import EncodedImage, Segmenter


class RunRecord(Protocol):
    """Where a run outlives its process; see `agent.recording.runs.RecordedRun`."""

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

    async def ask(self, prompts: Sequence[Prompt]) -> tuple[list[Instances], int]:
        """Ask the model about the photo, which the first node that asks encodes.

        Returns:
            The answers, and the passes through the encoder that they took.
        """
        encoded = self.encoded
        before = 0 if encoded is None else encoded.encodings
        if encoded is None:
            with tracer.start_as_current_span("sam3i.encode"):
                encoded = await run_in_thread(self.segmenter.encode, self.photo)
            self.encoded = encoded
        with tracer.start_as_current_span("sam3i.segment", attributes={"prompts": len(prompts)}):
            answers = await run_in_thread(encoded.segment, prompts)
        return answers, encoded.encodings - before

    async def keep_picture(self, name: str, positions: Sequence[int]) -> None:
        """Record the photo with the candidates at `positions`, where the run is recorded."""
        if self.record is not None:
            masks = [self.candidates[position].mask for position in positions]
            picture = await asyncio.to_thread(draw_marks, self.photo.pixels, masks)
            self.record.save_picture(name, picture)


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
    statements: Annotated[list[Statement], operator.add]
    """Of the language side, on whether what is asked for is there."""
    looked_at: list[int]
    """Positions that the next verdicts are about."""
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


@dataclass(frozen=True)
class Agent:
    """A LangGraph graph that answers requests; see `agent.run`."""

    graph: Callable[[], StateGraph[Any, Workspace, InputState, Any]]
    """Over `State`, or one with more keys; returned as it is before it is compiled."""
    most_steps: Callable[[Budgets], int]
    """Steps of the graph that are enough within budgets."""

    def compile(
        self, checkpointer: BaseCheckpointSaver[str] | None = None
    ) -> CompiledStateGraph[Any, Workspace, InputState, Any]:
        """Return the compiled graph; it holds no run.

        Args:
            checkpointer: keeps each finished step, so that a killed run can go on; None keeps
                nothing.
        """
        if checkpointer is None:
            return _compiled(self)
        return self.graph().compile(checkpointer=checkpointer)


@lru_cache(maxsize=16)
def _compiled(agent: Agent) -> CompiledStateGraph[Any, Workspace, InputState, Any]:
    """Compile once for all runs that keep nothing: it takes longer than the nodes of most."""
    return agent.graph().compile()
