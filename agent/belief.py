"""How far each candidate mask is believed to be part of the answer.

Evidence is weighed, nothing vetoes. For candidate i with t_i = 1 where it is part of the answer:

    prior      logit P(t_i = 1 | r) = h_i + (2r - 1) p_i
               h_i: what the segmenter's score and the instruction head say (`head_logit`)
               p_i: whether the noun phrases found it; they are the language side's word too
    votes      P(vote = t_i) = r, the share of masks about which the side is right: unknown
    belief     b_i = Σ_r P(r | all votes) P(t_i = 1 | votes on i, r)
               P(r | all votes) ∝ P(r) Π_i Σ_t P(t_i = t | r) Π_k P(vote_ik | t, r)

So a language side that contradicts itself, or what everything else says, has a low r, and what it
says counts less. The numbers were fitted on scenes of series 771001 and are reported on others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

_MIN_SCORE, _MAX_SCORE = 0.01, 0.99


@dataclass(frozen=True)
class Trust:
    """How often a language side is right about a mask, before it has said anything."""

    rates: tuple[float, ...]
    """That are thought possible, 0.5 (a coin) to below 1."""
    weights: tuple[float, ...]
    """Probability of each; they add up to 1."""


CERTAIN = Trust((1 - 1e-9,), (1.0,))
"""For rules, whose word is final."""
MODEL = Trust((0.95, 0.9, 0.8, 0.7, 0.6, 0.5), (0.3, 0.2, 0.15, 0.1, 0.1, 0.15))
"""For language models."""


class Head(StrEnum):
    """What the instruction head says of a candidate: which of its two levels has it."""

    NOT_ASKED = "not asked"
    BOTH = "both"
    OWN = "own"
    """The level that the words are read at."""
    OTHER = "other"
    NEITHER = "neither"


class Planned(StrEnum):
    """What geometry makes of a candidate, by a plan that was given in words."""

    NOT_ASKED = "not asked"
    """There is no plan, or nothing satisfies it."""
    TAKEN = "taken"
    LEFT = "left"


class Phrases(StrEnum):
    """What noun phrases say of a candidate."""

    NOT_ASKED = "not asked"
    FOUND = "found"
    MISSED = "missed"


@dataclass(frozen=True)
class Evidence:
    """What is known of a candidate before anybody judges it."""

    score: float
    """That the segmenter gave it, 0..1."""
    head: Head
    phrases: Phrases
    rivals: int = 1
    """Candidates that the same phrase found, itself included: of many, few are meant."""
    planned: Planned = Planned.NOT_ASKED

    @property
    def by_head(self) -> bool:
        """Whether the head has it too, at the level that the words are read at."""
        return self.head in (Head.BOTH, Head.OWN)


HEAD_LOGIT: Mapping[Head, float] = {
    Head.NOT_ASKED: -1.8,
    Head.BOTH: -0.3,
    Head.OWN: 0.0,
    Head.OTHER: -2.4,
    Head.NEITHER: -1.3,
}
SCORE_WEIGHT_OF_HEAD, SCORE_WEIGHT = 1.2, 0.7
"""Of the logit of the score, where the head's own level has the candidate, and elsewhere."""
PHRASES_LOGIT: Mapping[Phrases, float] = {
    Phrases.NOT_ASKED: 0.0,
    Phrases.FOUND: 2.3,
    Phrases.MISSED: -2.8,
}
"""Of a language side that names the right things; the noun phrases of a coin say nothing."""


PLANNED_LOGIT: Mapping[Planned, float] = {
    Planned.NOT_ASKED: 0.0,
    Planned.TAKEN: 2.0,
    Planned.LEFT: -3.5,
}
"""Of a language side that plans right."""
RIVALS_WEIGHT = -0.8
"""Of the logarithm of the rivals, in what a phrase says."""


def phrase_logit(evidence: Evidence) -> float:
    """Return what phrases and plan say of a candidate, if they are the right ones: log-odds."""
    logit = PHRASES_LOGIT[evidence.phrases] + PLANNED_LOGIT[evidence.planned]
    if evidence.phrases is Phrases.FOUND:
        logit += RIVALS_WEIGHT * math.log(evidence.rivals)
    return logit


def head_logit(evidence: Evidence) -> float:
    """Return what segmenter and head say of a candidate: log-odds that it is meant."""
    score = float(np.clip(evidence.score, _MIN_SCORE, _MAX_SCORE))
    weight = SCORE_WEIGHT_OF_HEAD if evidence.by_head else SCORE_WEIGHT
    return HEAD_LOGIT[evidence.head] + weight * float(np.log(score / (1 - score)))


ABSENT_WEIGHT = 0.5
"""Of a vote that follows from saying that nothing fits, about one candidate alone."""
LAST_WORD_WEIGHT = 1.5
"""The same where nothing else will be asked, about each candidate."""


def absent_votes(candidates: Sequence[int], *, last_word: bool = False) -> list["Vote"]:
    """Return the votes of one statement, that nothing fits, on all candidates."""
    weight = min(ABSENT_WEIGHT, 1 / max(1, len(candidates)))
    if last_word:
        weight = LAST_WORD_WEIGHT
    return [Vote(candidate=one, accepts=False, weight=weight) for one in candidates]


@dataclass(frozen=True)
class Vote:
    """One judgement of one candidate."""

    candidate: int
    """Position among the candidates."""
    accepts: bool
    weight: float = 1.0
    """Below 1 where one statement, such as "it is not there", was about several candidates."""


@dataclass(frozen=True)
class Beliefs:
    """What all evidence together says."""

    candidates: NDArray[np.float64]
    """(N,): how far each is believed to be part of the answer, 0..1."""
    rate: float
    """Share of masks about which the language side is likely right, 0.5..1."""


def weigh_evidence(evidence: Sequence[Evidence], votes: Sequence[Vote], trust: Trust) -> Beliefs:
    """Weigh what is known of candidates.

    Args:
        evidence: of N candidates.
        votes: on them, of one language side, which also named the phrases.
        trust: in that side.
    """
    rates = np.array(trust.rates)  # (R,)
    known = np.array([head_logit(one) for one in evidence])  # (N,)
    phrased = np.array([phrase_logit(one) for one in evidence])
    logits = known[None] + (2 * rates[:, None] - 1) * phrased[None]  # (R, N)
    log_true, log_false = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    right, wrong = np.log(rates), np.log1p(-rates)
    for vote in votes:
        log_true[:, vote.candidate] += vote.weight * (right if vote.accepts else wrong)
        log_false[:, vote.candidate] += vote.weight * (wrong if vote.accepts else right)
    both = np.logaddexp(log_true, log_false)  # (R, N)
    log_rates = np.log(trust.weights) + both.sum(axis=1)
    shares = np.exp(log_rates - np.logaddexp.reduce(log_rates))  # (R,)
    return Beliefs(shares @ np.exp(log_true - both), float(shares @ rates))
