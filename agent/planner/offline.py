"""The offline planner as a language model: rules, geometry and colours, no requests."""

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


class OfflinePlanner:
    """Answers from the words of the instruction alone."""

    name = "the offline planner"
    is_model = False

    def can_read(self, instruction: str) -> bool:
        """Whether the rules cover the instruction."""
        return try_plan(instruction) is not None

    async def propose(self, view: View) -> Proposal:
        """Word each noun phrase that has no candidates yet in a way not tried before.

        Raises:
            LanguageError: the instruction is beyond the rules.
        """
        plan = plan_instruction(view.instruction)
        targets = {target.phrase.text for target in plan.targets}
        found = {candidate.phrase for candidate in view.candidates}
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
        return Proposal(
            phrases=tuple(phrases),
            reason=plan.describe() if phrases else "no other wording is left",
        )

    async def verify(self, view: View) -> Verdict:
        """Reject a candidate whose pixels contradict the colour that its phrase names."""
        (candidate,) = view.candidates
        plan = plan_instruction(view.instruction)
        colour = next(
            (phrase.colour for phrase in plan.phrases if phrase.text == candidate.phrase), None
        )
        if colour is None:
            return Verdict(decision=Decision.ACCEPT)
        share = colour_share(view.photo.pixels, candidate.mask, colour)
        if share < MIN_COLOUR_SHARE:
            return Verdict(decision=Decision.REJECT, reason=f"not {colour}")
        return Verdict(decision=Decision.ACCEPT)

    async def select(self, view: View) -> Selection:
        """Keep what satisfies the plan's positions, sizes and relations."""
        plan = plan_instruction(view.instruction)
        found: dict[str, list[Candidate]] = {}
        for candidate in view.candidates:
            found.setdefault(candidate.phrase, []).append(candidate)
        chosen = select(plan, found, view.photo.size_hw)
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
            finished=bool(chosen),
            reason=f"{len(chosen)} instances satisfy the plan",
            warnings=tuple(warnings),
        )

    async def is_exhaustive(self, view: View) -> Verdict:
        """Rules cannot see what was not segmented."""
        return Verdict(decision=Decision.UNJUDGED, reason="rules see no more than the masks")

    async def close(self) -> None:
        """Nothing is held."""
