"""The offline planner: English instructions to a `Plan`, by rules, the same every time.

Covered:
- noun phrases of up to five words ("striped red circle", "cup of coffee"), several joined by
  "and" or commas, also "red and blue circles";
- number: "the two …", "both …", "all …", "every …";
- size ranks: "largest", "smaller", "second smallest";
- position ranks: "leftmost", "second from the right", "the top circle";
- regions: "on the left side", "in the top right corner", "in the middle";
- relations, nested too: left of, right of, above, below, inside, nearest to, farthest from,
  next to, touching;
- exclusion: "all … except …", "… that are not striped", "… other than the red ones".

Not covered, and refused with a `LanguageError` that says why: questions of function or intent
("what would roll"), verbs and clauses about the target ("wearing", "who", "used for"), comparison
with an amount ("twice as large"), other languages.
"""

import re
from dataclasses import dataclass

from sam3i_agent.agent.planner.plan import (
    Axis,
    Constraint,
    Excluding,
    HasRelation,
    InRegion,
    NounPhrase,
    Plan,
    RankByPosition,
    RankBySize,
    Relation,
    Target,
)
from sam3i_agent.core.errors import LanguageError

COLOUR_WORDS = frozenset(
    {"red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black"}
    | {"brown", "grey", "gray"}
)
MAX_PHRASE_WORDS = 5
MAX_NESTING = 3

_POLITE = re.compile(
    r"^(?:(?:please|kindly|can you|could you|i want|i need|let us|now)\s+)*"
    r"(?:(?:segment|find|show(?: me)?|select|mark|highlight|pick(?: out)?|locate|outline|mask"
    r"|cut out|give me|get|detect|identify|point (?:to|at)|where (?:is|are))(?: out)?\s+)?"
)
_TRAILER = re.compile(
    r"\s+(?:in|of|from|on) (?:the|this) (?:image|picture|photo|scene)$|\s+please$"
)
_NUMBERS = {
    word: value
    for value, word in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=1
    )
}
_ORDINALS = {
    word: value
    for value, word in enumerate(
        ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"), start=1
    )
}
_LARGE = frozenset({"largest", "biggest", "larger", "bigger"})
_SMALL = frozenset({"smallest", "tiniest", "smaller"})
_ENDS = {
    "leftmost": Axis.LEFT, "left": Axis.LEFT,
    "rightmost": Axis.RIGHT, "right": Axis.RIGHT,
    "topmost": Axis.TOP, "uppermost": Axis.TOP, "highest": Axis.TOP, "top": Axis.TOP,
    "upper": Axis.TOP, "bottommost": Axis.BOTTOM, "lowest": Axis.BOTTOM,
    "bottom": Axis.BOTTOM, "lower": Axis.BOTTOM,
}  # fmt: skip
_BLOCKED = frozenset(
    "would could should can will may might must what which who whose whom why how when if because "
    "that is are was were be being been has have had do does with without wearing holding using "
    "whatever odd used for to from as than not no nor or nothing something anything everything "
    "someone it they "
    "the a an all both every each "
    "them this these those at by in on i you he she we his her its their my your me".split()
)
"""Words that no noun phrase here has; a phrase with one is beyond the rules."""
_NUMBERED = "|".join(_ORDINALS)
_BETWEEN = r"(?:directly |just |immediately )?"
_RELATIONS: tuple[tuple[str, Relation], ...] = (
    (r"(?:to |on |at )?(?:the )?left (?:side )?of", Relation.LEFT_OF),
    (r"(?:to |on |at )?(?:the )?right (?:side )?of", Relation.RIGHT_OF),
    (r"above|over|higher than", Relation.ABOVE),
    (r"below|under|underneath|beneath|lower than", Relation.BELOW),
    (r"inside(?: of)?|within|enclosed by", Relation.INSIDE),
    (r"(?:nearest|closest)(?: to)?", Relation.NEAREST),
    (r"(?:farthest|furthest)(?: away)?(?: from)?", Relation.FARTHEST),
    (r"next to|beside|near(?: to)?|close to|adjacent to", Relation.NEXT_TO),
    (r"touching|overlapping(?: with)?|on top of", Relation.TOUCHING),
)
_LINK = (
    r"(?:(?:that|which|who) (?:is|are) |that (?:lies|lie|sits|sit) "
    r"|located |placed |lying |sitting )?"
)
_RELATION = re.compile(
    rf"\s{_LINK}{_BETWEEN}(?:"
    + "|".join(f"(?P<r{i}>{pattern})" for i, (pattern, _) in enumerate(_RELATIONS))
    + r")\s"
)
_SIDE = r"left|right|top|bottom|upper|lower"
_REGION = re.compile(
    rf"\s{_LINK}(?:on|at|in|to|towards?) the (?:far |very )?"
    rf"(?:(?P<sides>(?:{_SIDE})(?:[ -](?:{_SIDE}))?)(?:[ -]hand)?"
    rf"(?: (?:side|half|part|corner|edge|area))?|(?P<middle>middle|cent(?:er|re)))$"
)
_RANKED_FROM = re.compile(
    rf"\b(?P<rank>{_NUMBERED}) (?P<what>.+?)(?: counting)? from (?:the )?(?P<end>{_SIDE})$"
    rf"|\s{_LINK}(?:the )?(?P<rank2>{_NUMBERED}) (?:one )?from (?:the )?(?P<end2>{_SIDE})$"
)
_EXCEPT = re.compile(r",?\s(?:except(?: for)?|but not|but|other than|apart from|excluding)\s")
_NOT = re.compile(r"\s(?:that|which) (?:is|are) not\s|\s(?:that|which) (?:isn't|aren't)\s")
_TWO_COLOURS = re.compile(
    rf"\b({'|'.join(sorted(COLOUR_WORDS))}) (?:and|or) ({'|'.join(sorted(COLOUR_WORDS))}) (.+)"
)
_JOIN = re.compile(r"(?:,\s*and\s+|\s+and\s+|,\s*)(?=(?:the|all|every|each|both|an?)\b)")
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse",
    "feet": "foot", "teeth": "tooth", "geese": "goose", "knives": "knife", "leaves": "leaf",
    "shelves": "shelf", "loaves": "loaf", "glasses": "glasses", "scissors": "scissors",
}  # fmt: skip


def plan_instruction(instruction: str) -> Plan:
    """Return the plan of an English instruction.

    Raises:
        LanguageError: the instruction is beyond the rules (see the module's text).
    """
    text = re.sub(r"\s+", " ", instruction.lower().replace("’", "'")).strip(" .!?;:")
    text = _POLITE.sub("", text, count=1)
    text = _TRAILER.sub("", text)
    if not text:
        raise LanguageError("the instruction names nothing", "say what to segment: the red circle")
    parts = [_Part.of(piece) for piece in _split_targets(text)]
    return Plan(
        targets=tuple(part.target for part in parts),
        count=parts[0].count if len(parts) == 1 else None,
        singular=len(parts) == 1 and parts[0].singular,
    )


def concept_text(instruction: str) -> str:
    """Return `instruction` without politeness and leading determiners, for the concept level."""
    text = re.sub(r"\s+", " ", instruction).strip(" .!?;:")
    lowered = _POLITE.sub("", text.lower(), count=1)
    bare = re.sub(r"^(?:(?:all|every|each|any|both|the|an?|of)\s+)+", "", lowered)
    return bare or text


def relation_of(words: str) -> Relation | None:
    """Return the relation that words such as "to the left of" name; None where they name none."""
    text = words.lower().strip()
    for pattern, relation in _RELATIONS:
        if text == relation or re.fullmatch(pattern, text):
            return relation
    return None


def singular_of(noun: str) -> str:
    """Return the singular of an English noun by rule."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if re.search(r"(?:ch|sh|x|ss)es$", noun):
        return noun[:-2]
    if re.search(r"[^aeiou]ies$", noun):
        return noun[:-3] + "y"
    if re.search(r"[^sui]s$", noun):
        return noun[:-1]
    return noun


def _split_targets(text: str) -> list[str]:
    # What follows "except" stays with its target: "all but the red and the blue one".
    if _EXCEPT.search(text) is None:
        pieces = _JOIN.split(text)
        if len(pieces) > 1 and _RELATION.search(pieces[0] + " "):
            raise LanguageError(
                "it is unclear what 'and' joins after a relation",
                "ask for the objects one at a time",
            )
    else:
        pieces = [text]
    found: list[str] = []
    for piece in pieces:
        two = _TWO_COLOURS.search(piece)
        if two:
            before = piece[: two.start()]
            found += [f"{before}{two[1]} {two[3]}", f"{before}{two[2]} {two[3]}"]
        else:
            found.append(piece)
    return found


@dataclass(frozen=True)
class _Part:
    """One target while it is read."""

    target: Target
    count: int | None
    singular: bool

    @classmethod
    def of(cls, text: str, nesting: int = 0) -> "_Part":
        if nesting > MAX_NESTING:
            raise LanguageError("the instruction nests too many relations", "say it more simply")
        excluded: str | None = None
        for pattern in (_EXCEPT, _NOT):
            pieces = pattern.split(text, maxsplit=1)
            if len(pieces) == 2:
                text, excluded = pieces
                break
        narrowing: list[Constraint] = []
        ranks: list[Constraint] = []
        relation = _RELATION.search(f" {text} ")
        if relation:
            kind = next(
                kind for i, (_, kind) in enumerate(_RELATIONS) if relation[f"r{i}"] is not None
            )
            anchor = cls.of(f" {text} "[relation.end() :].strip(), nesting + 1).target
            text = f" {text} "[: relation.start()].strip()
            constraint = HasRelation(relation=kind, anchor=anchor)
            ranked = kind in (Relation.NEAREST, Relation.FARTHEST)
            (ranks if ranked else narrowing).append(constraint)
        text = _take_region(text, narrowing)
        text = _take_rank_from(text, ranks)
        count, singular, text = _take_number(text)
        phrase, singular_noun = _take_phrase(text, ranks)
        if excluded is not None:
            narrowing += [Excluding(phrase=_excluded_phrase(excluded, phrase))]
        target = Target(phrase=phrase, constraints=tuple(narrowing + ranks))
        return cls(target, count, singular and singular_noun)


def _take_region(text: str, narrowing: list[Constraint]) -> str:
    region = _REGION.search(f" {text}")
    if not region:
        return text
    sides = tuple(_ENDS[word] for word in re.findall(_SIDE, region["sides"] or ""))
    narrowing.append(InRegion(sides=sides))
    return f" {text}"[: region.start()].strip()


def _take_rank_from(text: str, ranks: list[Constraint]) -> str:
    ranked = _RANKED_FROM.search(f" {text}")
    if not ranked:
        return text
    rank, end = ranked["rank"] or ranked["rank2"], ranked["end"] or ranked["end2"]
    ranks.append(RankByPosition(end=_ENDS[end], rank=_ORDINALS[rank]))
    return f"{f' {text}'[: ranked.start()]} {ranked['what'] or ''}".strip()


def _take_number(text: str) -> tuple[int | None, bool, str]:
    """Strip determiners; return the stated count and whether the wording is singular."""
    singular = True
    count: int | None = None
    words = text.split()
    while len(words) > 1:
        word = words[0]
        if word in ("all", "both"):
            singular = False
            count = 2 if word == "both" else count
        elif word in ("every", "each", "any"):
            singular = False
        elif word in _NUMBERS and word != "one":
            singular, count = False, _NUMBERS[word]
        elif word not in ("the", "a", "an", "of", "one", "single", "only"):
            break
        words.pop(0)
    return count, singular, " ".join(words)


def _take_phrase(text: str, ranks: list[Constraint]) -> tuple[NounPhrase, bool]:
    """Read ranks before the noun, then the noun phrase; return it and whether it is singular."""
    words = re.sub(r"\b(top|bottom|upper|lower)[ -](left|right)\b", r"\1-\2", text).split()
    rank = 1
    while len(words) > 1:
        word = words[0]
        if word in _ORDINALS:
            rank = _ORDINALS[word]
        elif word in _LARGE or word in _SMALL:
            ranks.append(RankBySize(largest_first=word in _LARGE, rank=rank))
        elif "-" in word and set(word.split("-")) <= _ENDS.keys():
            ranks.append(InRegion(sides=tuple(_ENDS[side] for side in word.split("-"))))
        elif word in _ENDS:
            ranks.append(RankByPosition(end=_ENDS[word], rank=rank))
        else:
            break
        words.pop(0)
    if rank > 1 and not ranks:
        raise LanguageError(
            "the instruction counts objects without saying from where",
            "say for example: the second circle from the left",
        )
    phrase = _noun_phrase(words)
    return phrase, words[-1] == singular_of(words[-1])


def _noun_phrase(words: list[str]) -> NounPhrase:
    beyond = [word for word in words if word in _BLOCKED or not re.fullmatch(r"[a-z'-]+", word)]
    if not words or beyond or len(words) > MAX_PHRASE_WORDS:
        said = " ".join(words)
        raise LanguageError(
            f"the offline planner cannot read {said!r}"
            + (f" (because of {beyond[0]!r})" if beyond else ""),
            "it knows noun phrases with number, size, position, relations and exceptions; a model "
            "with an instruction head or a language model reads more",
        )
    head_index = words.index("of") - 1 if "of" in words[1:] else len(words) - 1
    words = list(words)
    words[head_index] = singular_of(words[head_index])
    colours = [word for word in words if word in COLOUR_WORDS]
    return NounPhrase(
        text=" ".join(words), head=words[head_index], colour=colours[0] if colours else None
    )


def _excluded_phrase(text: str, target: NounPhrase) -> NounPhrase:
    """Read what to leave out; "the red ones" and a bare "striped" borrow the target's noun."""
    _, _, bare = _take_number(text.strip())
    words = bare.split()
    if words and words[-1] in ("one", "ones"):
        words[-1] = target.head
    elif len(words) == 1 and (words[0] in COLOUR_WORDS or re.search(r"(?:ed|y)$", words[0])):
        words.append(target.head)
    return _noun_phrase(words)
