"""The language side of the agent: what it is asked and what it answers.

Three kinds implement `LanguageSide`: the offline planner, any OpenAI-compatible server, and the
model of an MCP client.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.planner.plan import Plan
from sam3i_agent.agent.weighing.belief import Trust
from sam3i_agent.core.contracts import Frozen
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.photo import Photo


class Role(StrEnum):
    """What a noun phrase is for."""

    TARGET = "target"
    """Its instances may be the answer."""
    POOL = "pool"
    """A plan chooses among its instances; the others are not the answer."""
    HELPER = "helper"
    """Its instances only help to find it: an anchor, something to leave out."""


class ProposedPhrase(Frozen):
    """A concept prompt."""

    text: str
    role: Role = Role.TARGET
    stands_for: str = ""
    """What it words, where one thing may be worded in several ways; empty means itself."""

    @property
    def key(self) -> str:
        """The name under which its candidates are kept."""
        return self.stands_for or self.text


class Proposal(Frozen):
    """What to segment next."""

    phrases: tuple[ProposedPhrase, ...] = ()
    """Empty where there is nothing left to try."""
    plan: Plan | None = None
    """How the instances of the phrases are told apart, where words say it."""
    absent: bool = False
    """The model is sure that the photo does not show what is asked for."""
    reason: str = ""
    thought: str = ""
    """What a thinking model thought before it answered; for the trace."""


class Decision(StrEnum):
    """About one candidate mask."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNJUDGED = "unjudged"
    """No usable judgement was had; the mask stays in."""


class Verdict(Frozen):
    """A judgement and why."""

    decision: Decision
    reason: str = ""
    thought: str = ""
    """What a thinking model thought before it answered; for the trace."""


class Selection(Frozen):
    """Which candidates answer the instruction."""

    numbers: tuple[int, ...] = ()
    """Positions among the candidates that were shown, from 1, best first."""
    missing: str = ""
    """What is asked for and has no good mask yet; asks for another round of phrases."""
    absent: bool = False
    """The model is sure that the photo does not show what is asked for."""
    reason: str = ""
    warnings: tuple[str, ...] = ()
    thought: str = ""
    """What a thinking model thought before it answered; for the trace."""


class TriedPhrase(Frozen):
    """A phrase that the segmentation model has answered."""

    phrase: ProposedPhrase
    found: int
    """Instances."""


def roles_of(tried: Sequence[TriedPhrase]) -> dict[str, Role]:
    """Return the role of each phrase by its key; a target anywhere is a target."""
    roles: dict[str, Role] = {}
    for role in reversed(Role):
        roles |= {one.phrase.key: role for one in tried if one.phrase.role is role}
    return roles


@dataclass(frozen=True)
class Known:
    """What is known of a candidate when it is shown."""

    belief: float
    """Probability 0..1 that it is part of the answer."""
    doubt: str = ""
    """Why it is doubted; empty where it is not."""
    planned: bool = False
    """Whether geometry chose it, by the plan that the model gave in words."""


@dataclass(frozen=True)
class View:
    """What a language side sees of a run."""

    photo: Photo
    instruction: str
    round: int
    """From 1."""
    tried: tuple[TriedPhrase, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    """In the order of their numbers; for verdicts, the ones to be judged."""
    known: tuple[Known, ...] = ()
    """Of each candidate, in the same order; empty where nothing has been asked yet."""
    missing: str = ""
    """What the last selection said has no good mask."""

    @property
    def tried_texts(self) -> frozenset[str]:
        """The texts that need not be asked again, in lower case."""
        return frozenset(one.phrase.text.lower() for one in self.tried)


class LanguageSide(Protocol):
    """Proposes phrases, judges masks and selects among them.

    Every method may raise a `LanguageError` (a `LanguageReplyError` where only this reply is
    unusable) or a `BudgetError`.
    """

    @property
    def name(self) -> str:
        """Who answers, for the trace."""
        ...

    @property
    def max_candidates(self) -> int | None:
        """How many candidates it can be shown; None for any number."""
        ...

    def may_help(self, instruction: str, level: InstructionLevel) -> bool:
        """Whether the agent may do better with it than one direct pass at `level`."""
        ...

    @property
    def judges(self) -> bool:
        """Whether it can be asked about masks; else one proposal is all that it gives."""
        ...

    def out_of_proposals(self, view: View) -> str | None:
        """Return why it has nothing more to propose, where that is known without asking."""
        ...

    @property
    def min_score(self) -> float:
        """Score of the segmenter, 0..1, above which a candidate is worth its while."""
        ...

    @property
    def trust(self) -> Trust:
        """How far its word is believed, before it has contradicted itself."""
        ...

    def inspect(self, view: View) -> Verdict | None:
        """Return what can be said of the one candidate of `view` without a question."""
        ...

    def doubles(self, candidates: Sequence[Candidate]) -> frozenset[int]:
        """Return the positions of candidates that show the same thing as an earlier one.

        Args:
            candidates: of phrases in the same role.
        """
        ...

    def keeps_unselected(self) -> bool:
        """Whether candidates that it has not selected may be the best answer so far."""
        ...

    async def propose(self, view: View) -> Proposal:
        """Name noun phrases not tried before."""
        ...

    async def verify(self, view: View, look: int = 1) -> tuple[Verdict, ...]:
        """Judge each candidate of `view` by itself.

        Args:
            view: with the candidates to judge.
            look: how often these were looked at in this round; a second look is closer.
        """
        ...

    async def select(self, view: View) -> Selection:
        """Choose among the candidates of `view`."""
        ...

    async def is_exhaustive(self, view: View) -> Verdict:
        """Judge whether the candidates of `view` are all that the instruction means."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
