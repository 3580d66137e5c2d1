"""What a state and its workspace show a language side."""

from collections.abc import Sequence

from sam3i_agent.agent.language.side import Decision, Known, View
from sam3i_agent.agent.state import State, Workspace
from sam3i_agent.agent.weighing.belief import Planned
from sam3i_agent.agent.weighing.standing import (
    BELIEVED,
    beliefs_of,
    evidence_in,
    shown_positions,
)


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
