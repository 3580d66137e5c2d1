"""What a state and its workspace amount to: roles of phrases, open candidates, a model's view."""

from collections.abc import Sequence

from sam3i_agent.agent.language.side import Decision, View
from sam3i_agent.agent.state import DIRECT_KEY, State, Workspace


def open_positions(state: State, workspace: Workspace) -> list[int]:
    """Return the agent's candidates that nobody has rejected."""
    verdicts = state.get("verdicts", {})
    return [
        position
        for position, one in enumerate(workspace.candidates)
        if one.key != DIRECT_KEY
        and (
            str(position) not in verdicts or verdicts[str(position)].decision is not Decision.REJECT
        )
    ]


def view_of(
    state: State, workspace: Workspace, number: int, positions: Sequence[int] | None = None
) -> View:
    """Return what a language model sees: the candidates at `positions`, or all open ones."""
    if positions is None:
        positions = open_positions(state, workspace)
    return View(
        photo=workspace.photo,
        instruction=state["request"].instruction,
        round=number,
        tried=tuple(state.get("tried", ())),
        candidates=tuple(workspace.candidates[position] for position in positions),
    )
