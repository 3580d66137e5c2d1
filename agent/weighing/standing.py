"""How the candidates of a state stand: which are shown, believed, and open to another look."""

from collections.abc import Sequence
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.agent.candidates import HEAD_KEYS
from sam3i_agent.agent.language.side import Role, roles_of
from sam3i_agent.agent.planning import asks_once
from sam3i_agent.agent.state import State, Workspace
from sam3i_agent.agent.weighing.belief import (
    Beliefs,
    Evidence,
    Existence,
    Vote,
    weigh_evidence,
)
from sam3i_agent.agent.weighing.evidence import evidence_of, same_things

BELIEVED = 0.5
"""A candidate that is believed more than this is part of the answer."""
BELIEVED_UNASKED = 0.35
"""The same where phrases are all that a model says: nobody is asked, and nothing is measured."""
DOUBTED, SURE = 0.2, 0.85
"""Beliefs between these are open: another look may change what the answer is."""
STRONG = 0.75
"""Belief in a mask of the head, before anybody judged, that is not given up lightly."""
AGREEING, AGREEING_AGAINST = 2, 4
"""Votes in a row that settle a candidate, and one whose belief they contradict."""
HEAD_SEES = 0.5
"""Presence below which a head that found nothing is taken at its word."""
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
    return _weigh(state, workspace, state.get("votes", ())).candidates


def evidence_in(state: State, workspace: Workspace) -> list[Evidence]:
    """Return what is known of each of all candidates before anybody judges it."""
    return evidence_of(
        workspace.candidates,
        state["level"],
        state.get("presences", {}),
        state.get("planned", ()),
        roles_of(state.get("tried", ())),
    )


def _weigh(state: State, workspace: Workspace, votes: Sequence[Vote]) -> Beliefs:
    existence = None
    if workspace.language.keeps_unselected():  # the word of rules is final
        existence = Existence(
            target_positions(state, workspace),
            state.get("statements", ()),
            state.get("presences", {}).get(HEAD_KEYS[state["level"]]),
        )
    return weigh_evidence(evidence_in(state, workspace), votes, workspace.language.trust, existence)


def open_positions(state: State, workspace: Workspace) -> list[int]:
    """Return the targets that another look may decide otherwise.

    Open is a belief between `DOUBTED` and `SURE`, one that the last vote contradicts, and a strong
    one in a mask of the head that the votes have turned, unless votes in a row agree: `AGREEING`
    of them, `AGREEING_AGAINST` where they contradict it or turned it.
    """
    if not workspace.language.keeps_unselected():
        return []
    evidence, cast = evidence_in(state, workspace), state.get("votes", ())
    found = _weigh(state, workspace, cast).candidates
    before = _weigh(state, workspace, ()).candidates
    positions: list[int] = []
    for one in target_positions(state, workspace):
        votes = [vote.accepts for vote in cast if vote.candidate == one]
        is_in = bool(found[one] > BELIEVED)
        turned = evidence[one].by_head and before[one] > STRONG and not is_in
        hard = turned or (votes and votes[-1] is not is_in)
        settled = _in_a_row(votes) >= (AGREEING_AGAINST if hard else AGREEING)
        if not settled and (hard or DOUBTED < found[one] < SURE):
            positions.append(one)
    return positions


def _in_a_row(votes: Sequence[bool]) -> int:
    """Return how many of the last votes agree with the very last."""
    return sum(1 for _ in takewhile(lambda vote: vote is votes[-1], reversed(votes)))


def believed(state: State, workspace: Workspace) -> list[int]:
    """Return the positions that are believed to be the answer, the most believed first.

    Of masks of the same thing only one is. Where the language side is not to be followed, the
    direct answer is what is believed, if a head gave one.
    """
    weighed = _weigh(state, workspace, state.get("votes", ()))
    if _head_answered(state) and weighed.rate < DISTRUSTED:
        return direct_answer(state, workspace)
    found, targets = weighed.candidates, target_positions(state, workspace)
    if not workspace.language.keeps_unselected():
        judged = {one.candidate for one in state.get("votes", ())}
        accepted = [one for one in targets if one in judged and found[one] > BELIEVED]
        return sorted(accepted, key=lambda one: -found[one])
    measured = state.get("planned") or not asks_once(state, workspace)
    least = BELIEVED if measured else BELIEVED_UNASKED
    same, kept = same_things(workspace.candidates), []
    for one in sorted(targets, key=lambda one: -found[one]):
        if found[one] > least and not same[one, kept].any():
            kept.append(one)
    return kept


def best_doubted(state: State, workspace: Workspace) -> list[int]:
    """Return what is nearest to an answer where nothing is believed: the direct one, or a mask.

    A head that sees nothing of it has a direct answer too: nothing.
    """
    targets = target_positions(state, workspace)
    if not targets or not workspace.language.keeps_unselected():
        return []
    direct = direct_answer(state, workspace)
    presence = state.get("presences", {}).get(HEAD_KEYS[state["level"]])
    if direct or (presence is not None and presence < HEAD_SEES):
        return direct
    found = beliefs_of(state, workspace)
    return [max(targets, key=lambda one: found[one])]


def _head_answered(state: State) -> bool:
    return HEAD_KEYS[state["level"]] in state.get("presences", {})


def direct_answer(state: State, workspace: Workspace) -> list[int]:
    """Return the positions of what the head found at the level that the words are read at."""
    own = HEAD_KEYS[state["level"]]
    return [i for i, one in enumerate(workspace.candidates) if one.key == own]
