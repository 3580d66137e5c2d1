"""The offline planner as a language side: rules, geometry and colours, no requests."""

from collections.abc import Sequence
from dataclasses import replace

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.instructions import try_plan
from sam3i_agent.agent.language.side import (
    Decision,
    Proposal,
    ProposedPhrase,
    Role,
    Selection,
    Verdict,
    View,
)
from sam3i_agent.agent.planner.parsing import plan_instruction
from sam3i_agent.agent.planner.selection import MIN_COLOUR_SHARE, colour_share, select
from sam3i_agent.agent.planner.wordings import wordings
from sam3i_agent.agent.weighing.belief import CERTAIN
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.prompt import SCORE_THRESHOLD


class OfflinePlanner:
    """Answers from the words of the instruction alone."""

    name = "the offline planner"
    max_candidates = None
    min_score = SCORE_THRESHOLD
    trust = CERTAIN
    judges = True

    def may_help(self, instruction: str, level: InstructionLevel) -> bool:
        """Whether the rules cover the instruction, and would ask for more than its very words."""
        return level is not InstructionLevel.CONCEPT and try_plan(instruction) is not None

    def out_of_proposals(self, view: View) -> str | None:
        """Say so where each noun phrase has candidates or no other wording."""
        return None if self._untried(view) else "no other wording is left"

    def doubles(self, candidates: Sequence[Candidate]) -> frozenset[int]:
        """None: rules tell phrases apart, and need each one's masks."""
        return frozenset()

    def keeps_unselected(self) -> bool:
        """No: what the rules did not select contradicts the instruction."""
        return False

    async def propose(self, view: View) -> Proposal:
        """Word each noun phrase that has no candidates yet in a way not tried before.

        Raises:
            LanguageError: the instruction is beyond the rules.
        """
        phrases = self._untried(view)
        plan = plan_instruction(view.instruction)
        return Proposal(
            phrases=phrases, reason=plan.describe() if phrases else "no other wording is left"
        )

    def _untried(self, view: View) -> tuple[ProposedPhrase, ...]:
        plan = plan_instruction(view.instruction)
        targets = {target.phrase.text for target in plan.targets}
        found = {candidate.key for candidate in view.candidates}
        tried = set(view.tried_texts)
        phrases: list[ProposedPhrase] = []
        for phrase in plan.phrases:
            if phrase.text in found:
                continue
            untried = [text for text in wordings(phrase) if text not in tried]
            if untried:
                role = Role.TARGET if phrase.text in targets else Role.HELPER
                phrases.append(ProposedPhrase(text=untried[0], role=role, stands_for=phrase.text))
                tried.add(untried[0])
        return tuple(phrases)

    async def verify(self, view: View, look: int = 1) -> tuple[Verdict, ...]:
        """Measure colours, and leave the rest unjudged."""
        unjudged = Verdict(decision=Decision.UNJUDGED, reason="rules judge no more than colours")
        return tuple(
            self.inspect(replace(view, candidates=(one,))) or unjudged for one in view.candidates
        )

    def inspect(self, view: View) -> Verdict | None:
        """Reject a candidate whose pixels contradict the colour that its phrase names."""
        colour = self._colour(view)
        if colour is None:
            return None
        share = colour_share(view.photo.pixels, view.candidates[0].mask, colour)
        if share < MIN_COLOUR_SHARE:
            return Verdict(decision=Decision.REJECT, reason=f"not {colour}")
        return Verdict(decision=Decision.ACCEPT, reason=colour)

    def _colour(self, view: View) -> str | None:
        plan = plan_instruction(view.instruction)
        key = view.candidates[0].key
        return next((phrase.colour for phrase in plan.phrases if phrase.text == key), None)

    async def select(self, view: View) -> Selection:
        """Keep what satisfies the plan's positions, sizes and relations."""
        plan = plan_instruction(view.instruction)
        found: dict[str, list[Candidate]] = {}
        for candidate in view.candidates:
            found.setdefault(candidate.key, []).append(candidate)
        chosen = select(plan, found, view.photo.pixels)
        numbers = tuple(
            next(i for i, one in enumerate(view.candidates, start=1) if one is candidate)
            for candidate in chosen
        )
        warnings: list[str] = []
        if chosen and plan.count is not None and len(chosen) != plan.count:
            warnings.append(f"the instruction speaks of {plan.count}, {len(chosen)} were found")
        elif plan.singular and not plan.is_plain_concept and len(chosen) > 1:
            warnings.append(f"the instruction speaks of one, {len(chosen)} fit it")
        return Selection(
            numbers=numbers,
            missing="" if chosen else "what satisfies the plan",
            reason=f"{len(chosen)} instances satisfy the plan",
            warnings=tuple(warnings),
        )

    async def is_exhaustive(self, view: View) -> Verdict:
        """Rules cannot see what was not segmented."""
        return Verdict(decision=Decision.UNJUDGED, reason="rules see no more than the masks")

    async def close(self) -> None:
        """Nothing is held."""
