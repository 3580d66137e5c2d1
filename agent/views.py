"""What a state and its workspace amount to: shown candidates, beliefs, a language side's view."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.agent.belief import Beliefs, Evidence, Planned, weigh_evidence
from sam3i_agent.agent.candidates import HEAD_KEYS
from sam3i_agent.agent.evidence import evidence_of
from sam3i_agent.agent.language.side import Decision, Known, Role, View, roles_of
from sam3i_agent.agent.planning import asks_once
from sam3i_agent.agent.state import State, Workspace

BELIEVED = 0.5
"""A candidate that is believed more than this is part of the answer."""
BELIEVED_UNASKED = 0.35
"""The same where phrases are all that a model says: nobody is asked, and nothing is measured."""
DOUBTED, SURE = 0.2, 0.85
"""Beliefs between these are open: another look may change what the answer is."""
STRONG = 0.75
"""Belief in a mask of the head, before anybody judged, that is not given up lightly."""
AGREEING, AGREEING_AGAINST = 2, 4
"""Weight of votes in a row that settles a candidate, and one whose strong belief they turn."""
DISTRUSTED = 0.68
"""A language side that is likely right about fewer masks than this is not followed."""


def shown_positions(state: State, workspace: Workspace) -> list[int]:
    """Return the positions of the candidates that a language side is shown."""
    hidden, planned = set(state.get("hidden", ())), set(state.get("planned", ()))
    roles = roles_of(state.get("tried", ()))
    return [
        position
        for position, one in enumerate(workspace.candidates)
        if position not in hidden and (roles.get(one.key) is not Role.POOL or position in planned)
    ]


def target_positions(state: State, workspace: Workspace) -> list[int]:
    """Return the positions of the shown candidates that may be part of the answer."""
    roles = roles_of(state.get("tried", ()))
    return [
        one
        for one in shown_positions(state, workspace)
        if roles.get(workspace.candidates[one].key) is not Role.HELPER
    ]


def beliefs_of(state: State, workspace: Workspace) -> NDArray[np.float64]:
    """Return how far each of all candidates is believed to be part of the answer, 0..1."""
    return _weigh(state, workspace).candidates


def _weigh(state: State, workspace: Workspace) -> Beliefs:
    votes, trust = state.get("votes", ()), workspace.language.trust
    return weigh_evidence(evidence_in(state, workspace), votes, trust)


def evidence_in(state: State, workspace: Workspace) -> list[Evidence]:
    """Return what is known of each of all candidates before anybody judges it."""
    presences, planned = state.get("presences", {}), state.get("planned", ())
    return evidence_of(workspace.candidates, state["level"], presences, planned)


def open_positions(state: State, workspace: Workspace) -> list[int]:
    """Return the targets that another look may decide otherwise.

    Open is a belief between `DOUBTED` and `SURE`, or one that the votes have turned against what
    was known before, unless votes of weight `AGREEING` in a row agree (`AGREEING_AGAINST` where
    they turned it).
    """
    if not workspace.language.keeps_unselected():
        return []  # the word of rules is final
    evidence, trust = evidence_in(state, workspace), workspace.language.trust
    found = weigh_evidence(evidence, state.get("votes", ()), trust).candidates
    before = weigh_evidence(evidence, (), trust).candidates
    positions: list[int] = []
    for one in target_positions(state, workspace):
        votes = [vote for vote in state.get("votes", ()) if vote.candidate == one]
        turned = evidence[one].by_head and before[one] > STRONG and found[one] <= BELIEVED
        agreeing = 0.0
        for vote in reversed(votes):
            if vote.accepts is not votes[-1].accepts:
                break
            agreeing += vote.weight
        settled = agreeing >= (AGREEING_AGAINST if turned else AGREEING)
        if not settled and (turned or DOUBTED < found[one] < SURE):
            positions.append(one)
    return positions


def believed(state: State, workspace: Workspace) -> list[int]:
    """Return the positions that are believed to be the answer, the most believed first.

    Where the language side is not to be followed, that is the direct answer, if a head gave one.
    """
    weighed = _weigh(state, workspace)
    if HEAD_KEYS[state["level"]] in state.get("presences", {}) and weighed.rate < DISTRUSTED:
        return _direct_answer(state, workspace)
    found = weighed.candidates
    measured = state.get("planned") or not asks_once(state, workspace)
    least = BELIEVED if measured else BELIEVED_UNASKED
    positions = [one for one in target_positions(state, workspace) if found[one] > least]
    if not workspace.language.keeps_unselected():
        judged = {one.candidate for one in state.get("votes", ())}
        positions = [one for one in positions if one in judged]
    return sorted(positions, key=lambda one: -found[one])


def best_doubted(state: State, workspace: Workspace) -> list[int]:
    """Return what is nearest to an answer where nothing is believed: the direct one, or a mask."""
    targets = target_positions(state, workspace)
    if not targets or not workspace.language.keeps_unselected():
        return []
    found = beliefs_of(state, workspace)
    return _direct_answer(state, workspace) or [max(targets, key=lambda one: found[one])]


def _direct_answer(state: State, workspace: Workspace) -> list[int]:
    """Return the positions of what the head found at the level that the words are read at."""
    own = HEAD_KEYS[state["level"]]
    return [i for i, one in enumerate(workspace.candidates) if one.key == own]


def view_of(
    state: State, workspace: Workspace, number: int, positions: Sequence[int] | None = None
) -> View:
    """Return what a language side sees: the candidates at `positions`, or all shown ones."""
    if positions is None:
        positions = shown_positions(state, workspace)
    found, evidence = beliefs_of(state, workspace), evidence_in(state, workspace)
    return View(
        photo=workspace.photo,
        instruction=state["request"].instruction,
        round=number,
        tried=tuple(state.get("tried", ())),
        candidates=tuple(workspace.candidates[one] for one in positions),
        known=tuple(
            Known(
                belief=float(found[one]),
                doubt=_doubt(state, one, float(found[one])),
                planned=evidence[one].planned is Planned.TAKEN,
            )
            for one in positions
        ),
        missing=state.get("missing", ""),
    )


def _doubt(state: State, position: int, belief: float) -> str:
    """Return why a candidate is doubted."""
    verdict = state.get("verdicts", {}).get(str(position))
    if verdict is not None and verdict.decision is Decision.REJECT and belief <= BELIEVED:
        return verdict.reason or "an earlier look rejected it"
    judged = [one for one in state.get("votes", ()) if one.candidate == position]
    if judged and belief <= BELIEVED:
        return "an earlier look left it out"
    return ""
