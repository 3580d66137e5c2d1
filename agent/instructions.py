"""Checks and a first reading of an instruction's text."""

import re
import unicodedata

from sam3i_agent.agent.planner.parsing import plan_instruction
from sam3i_agent.agent.planner.plan import (
    Excluding,
    HasRelation,
    InRegion,
    Plan,
    RankByPosition,
    RankBySize,
)
from sam3i_agent.core.contracts import MAX_INSTRUCTION_CHARACTERS, TextKind
from sam3i_agent.core.errors import InputError, LanguageError
from sam3i_agent.core.levels import InstructionLevel

_MAX_FOREIGN_SHARE = 0.3
"""Share of letters outside the English alphabet from which a text is not English."""
_FOREIGN_WORDS = frozenset(
    "der das dem den und mit für ein eine einen le les une des du avec el los las una con para "
    "gli della il het een och är ett att".split()
)
"""Frequent words of other languages in Latin script that are no English words."""
_DEFINITE = ("the", "this", "that", "my", "your", "his", "her", "their")


def check_instruction(text: str) -> str:
    """Return `text` trimmed.

    Raises:
        InputError: it is empty, longer than `MAX_INSTRUCTION_CHARACTERS`, has no letters or is
            not English, which is all that SAM 3's text encoder and the planner read.
    """
    trimmed = re.sub(r"\s+", " ", text).strip()
    if not trimmed:
        raise InputError("the instruction is empty", "say what to segment, e.g. 'red circle'")
    if len(trimmed) > MAX_INSTRUCTION_CHARACTERS:
        raise InputError(
            f"the instruction has {len(trimmed)} characters, at most {MAX_INSTRUCTION_CHARACTERS} "
            "are read",
            "shorten it; the model itself reads about 20 words",
        )
    letters = [character for character in trimmed.lower() if character.isalpha()]
    if not letters:
        raise InputError(f"the instruction {trimmed!r} has no words", "say what to segment")
    foreign = sum(not "a" <= _base_letter(letter) <= "z" for letter in letters) / len(letters)
    words = re.findall(r"[^\W\d_]+", trimmed.lower())
    if foreign > _MAX_FOREIGN_SHARE or _FOREIGN_WORDS & set(words):
        raise InputError(
            "the instruction does not look like English, the only language these models read",
            "translate it, or ask your assistant to",
        )
    return trimmed


def _base_letter(letter: str) -> str:
    """Return the letter without its accent."""
    return unicodedata.normalize("NFKD", letter)[0]


def classify_level(instruction: str) -> InstructionLevel:
    """Return the level of `instruction` from its words alone, in microseconds.

    A bare noun phrase is a concept; whatever else the planner's rules read is simple (it has
    attributes, positions or relations); what is beyond them is complex.
    """
    plan = try_plan(instruction)
    if plan is None:
        return InstructionLevel.COMPLEX
    return InstructionLevel.CONCEPT if plan.is_plain_concept else InstructionLevel.SIMPLE


def kind_of(instruction: str) -> TextKind:
    """Return what tells the target apart; of several things, what is applied last."""
    plan = try_plan(instruction)
    if plan is None:
        return TextKind.REASONING
    constraints = [one for target in plan.targets for one in target.constraints]
    return _KINDS[type(constraints[-1])] if constraints else TextKind.NAME


_KINDS: dict[type, TextKind] = {
    RankByPosition: TextKind.ORDER,
    RankBySize: TextKind.SIZE,
    HasRelation: TextKind.RELATION,
    InRegion: TextKind.POSITION,
    Excluding: TextKind.EXCEPTION,
}


def noun_phrase_of(instruction: str) -> str:
    """Return the one noun phrase that the instruction is about; empty where it names none."""
    plan = try_plan(instruction)
    if plan is None or len(plan.targets) != 1:
        return ""
    return plan.targets[0].phrase.text


def speaks_of_one(instruction: str) -> bool:
    """Whether the words mean exactly one thing: `the cup`, not `cup`, `cups` or `a cup`."""
    plan = try_plan(instruction)
    if plan is None or not plan.singular:
        return False
    return not plan.is_plain_concept or instruction.split()[0].lower() in _DEFINITE


def try_plan(instruction: str) -> Plan | None:
    """Return the offline planner's plan, or None where it refuses."""
    try:
        return plan_instruction(instruction)
    except LanguageError:
        return None
