"""How far each candidate mask is believed to be part of the answer.

Evidence is weighed, nothing vetoes. For candidate i with t_i = 1 where it is part of the answer:

    prior       logit P(t_i = 1 | r) = h_i + (2r - 1) p_i
                h_i: what the segmenter's score and the instruction head say (`head_logit`)
                p_i: whether the noun phrases found it, and a plan took it; they are the language
                side's word too
    votes       P(vote = t_i) = r, the share of questions that the side answers right: unknown
    candidate   c_i = P(t_i = 1 | votes on i, r); n = Π_i (1 - c_i), that none is
    statements  e = 1 where the photo shows what is asked for; if e = 0, no t_i is 1, and if e = 1
                still none is in a share m of photos, where the segmenter finds nothing of it
                L(e) = Π P(a statement that it is there, or absent | e) · P(head's presence q | e)
                P(statement | e) = r^w where it is right, (1 - r)^w where not
                P(q | e = 1) ∝ q^k, P(q | e = 0) ∝ (1 - q)^k
                A = L(1), N = (1 - m) L(0) + m L(1)
    belief      b_i = Σ_r P(r | all) c_i A / (A (1 - n) + N n)
                P(r | all) ∝ P(r) (A (1 - n) + N n) Π_i Σ_t P(t_i = t | r) Π_k P(vote_ik | t, r)

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
    """By a phrase for what is asked for."""
    POOLED = "pooled"
    """Only by one that a plan chooses from, though others were said to be what is asked for."""
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
    Phrases.FOUND: 2.6,
    Phrases.POOLED: 0.0,
    Phrases.MISSED: -2.2,
}
"""Of a language side that names the right things; the noun phrases of a coin say nothing."""


PLANNED_LOGIT: Mapping[Planned, float] = {
    Planned.NOT_ASKED: 0.0,
    Planned.TAKEN: 1.2,
    Planned.LEFT: -3.5,
}
"""Of a language side that plans right."""
RIVALS_WEIGHT = -0.8
"""Of the logarithm of the rivals, in what a phrase says."""


def phrase_logit(evidence: Evidence) -> float:
    """Return what phrases and plan say of a candidate, if they are the right ones: log-odds."""
    logit = PHRASES_LOGIT[evidence.phrases] + PLANNED_LOGIT[evidence.planned]
    if evidence.phrases in (Phrases.FOUND, Phrases.POOLED):
        logit += RIVALS_WEIGHT * math.log(evidence.rivals)
    return logit


def head_logit(evidence: Evidence) -> float:
    """Return what segmenter and head say of a candidate: log-odds that it is meant."""
    score = float(np.clip(evidence.score, _MIN_SCORE, _MAX_SCORE))
    weight = SCORE_WEIGHT_OF_HEAD if evidence.by_head else SCORE_WEIGHT
    return HEAD_LOGIT[evidence.head] + weight * float(np.log(score / (1 - score)))


@dataclass(frozen=True)
class Vote:
    """One judgement of one candidate."""

    candidate: int
    """Position among the candidates."""
    accepts: bool


THERE_WEIGHT = 1.0
"""Of a statement that what is asked for is there: to name it is to say so."""
ABSENT_WEIGHT = 0.5
"""Of one that it is not, where masks are looked at afterwards."""
LAST_WORD_WEIGHT = 3.0
"""The same where nothing else will be asked."""


@dataclass(frozen=True)
class Statement:
    """One word on whether the photo shows what is asked for."""

    there: bool
    weight: float


@dataclass(frozen=True)
class Existence:
    """What is known of whether the photo shows what is asked for."""

    among: Sequence[int]
    """Positions of the candidates that may be it."""
    statements: Sequence[Statement] = ()
    """Of the language side."""
    presence: float | None = None
    """That the instruction head gives it, 0..1; None where no head was asked."""


PRESENCE_WEIGHT = 0.5
"""Of the head's presence: what it found counts already, mask by mask."""
_MIN_PRESENCE, _MAX_PRESENCE = 0.02, 0.98
MISSED_SHARE = 0.15
"""Of photos that show what is asked for, those in which no candidate is any of it."""


@dataclass(frozen=True)
class Beliefs:
    """What all evidence together says."""

    candidates: NDArray[np.float64]
    """(N,): how far each is believed to be part of the answer, 0..1."""
    rate: float
    """Share of masks about which the language side is likely right, 0.5..1."""


def weigh_evidence(
    evidence: Sequence[Evidence],
    votes: Sequence[Vote],
    trust: Trust,
    existence: Existence | None = None,
) -> Beliefs:
    """Weigh what is known of candidates.

    Args:
        evidence: of N candidates.
        votes: on them, of one language side, which also named the phrases.
        trust: in that side.
        existence: what is known of all together; None leaves them independent.
    """
    rates = np.array(trust.rates)  # (R,)
    known = np.array([head_logit(one) for one in evidence])  # (N,)
    phrased = np.array([phrase_logit(one) for one in evidence])
    logits = known[None] + (2 * rates[:, None] - 1) * phrased[None]  # (R, N)
    log_true, log_false = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    right, wrong = np.log(rates), np.log1p(-rates)
    for vote in votes:
        log_true[:, vote.candidate] += right if vote.accepts else wrong
        log_false[:, vote.candidate] += wrong if vote.accepts else right
    both = np.logaddexp(log_true, log_false)  # (R, N)
    log_rates = np.log(trust.weights) + both.sum(axis=1)
    found = np.exp(log_true - both)  # (R, N)
    if existence is not None:
        among = list(existence.among)
        none = np.exp((log_false - both)[:, among].sum(axis=1))  # (R,)
        if_any, if_none = _existence_likelihoods(existence, rates)
        total = if_any * (1 - none) + if_none * none
        log_rates = log_rates + np.log(total)
        found[:, among] *= (if_any / total)[:, None]
    shares = np.exp(log_rates - np.logaddexp.reduce(log_rates))  # (R,)
    return Beliefs(shares @ found, float(shares @ rates))


def _existence_likelihoods(
    existence: Existence, rates: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (R,) likelihoods of all that was said, where any candidate is meant and where none."""
    there, absent = np.ones_like(rates), np.ones_like(rates)
    for one in existence.statements:
        there *= (rates if one.there else 1 - rates) ** one.weight
        absent *= (1 - rates if one.there else rates) ** one.weight
    if existence.presence is not None:
        presence = float(np.clip(existence.presence, _MIN_PRESENCE, _MAX_PRESENCE))
        there *= presence**PRESENCE_WEIGHT
        absent *= (1 - presence) ** PRESENCE_WEIGHT
    return there, (1 - MISSED_SHARE) * absent + MISSED_SHARE * there
