"""Evidence is weighed: one word moves a belief, a side that contradicts itself moves none."""

import numpy as np
import pytest

from sam3i_agent.agent.candidates import HEAD_KEYS, Candidate
from sam3i_agent.agent.language.side import Role
from sam3i_agent.agent.weighing.belief import (
    CERTAIN,
    MODEL,
    Evidence,
    Existence,
    Head,
    Phrases,
    Planned,
    Statement,
    Vote,
    weigh_evidence,
)
from sam3i_agent.agent.weighing.evidence import evidence_of, same_things
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from tests.conftest import block

FOUND = Evidence(0.9, Head.NOT_ASKED, Phrases.FOUND)
AGREED = Evidence(0.9, Head.OWN, Phrases.FOUND)
HEAD_ALONE = Evidence(0.9, Head.OWN, Phrases.NOT_ASKED)


(HEAD_BELIEF,) = weigh_evidence([HEAD_ALONE], [], MODEL).candidates


def _beliefs(evidence, *votes, trust=MODEL):
    return weigh_evidence(evidence, [Vote(i, accepts) for i, accepts in votes], trust).candidates


def test_votes_move_beliefs_and_never_to_the_end():
    (before,) = _beliefs([FOUND])
    (accepted,) = _beliefs([FOUND], (0, True))
    (rejected,) = _beliefs([FOUND], (0, False))
    assert 0.02 < rejected < 0.5 < before < accepted < 0.99


def test_one_wrong_verdict_is_no_veto():
    (belief,) = _beliefs([AGREED], (0, True), (0, False))
    assert belief > 0.5


def test_votes_that_agree_turn_even_what_the_head_is_sure_of():
    (belief,) = _beliefs([HEAD_ALONE], *[(0, False)] * 4)
    assert belief < 0.3


def test_the_head_and_its_levels_count():
    order = [Head.OTHER, Head.NEITHER, Head.OWN]
    found = [_beliefs([Evidence(0.9, head, Phrases.FOUND)])[0] for head in order]
    assert found == sorted(found) and found[-1] > found[0] + 0.2


def test_of_many_that_a_phrase_found_few_are_meant():
    alone, crowd = (
        _beliefs([Evidence(0.9, Head.NOT_ASKED, Phrases.FOUND, rivals)])[0] for rivals in (1, 9)
    )
    assert crowd < alone - 0.15


def test_a_side_that_contradicts_itself_is_trusted_less():
    several = [HEAD_ALONE] * 4
    steady = [Vote(i, True) for i in range(4)] * 2
    torn = [Vote(i, True) for i in range(4)] + [Vote(i, False) for i in range(4)]
    assert weigh_evidence(several, steady, MODEL).rate > 0.85
    assert weigh_evidence(several, torn, MODEL).rate < 0.68


def test_the_word_of_rules_is_final():
    found = _beliefs([HEAD_ALONE, FOUND], (0, False), (1, True), trust=CERTAIN)
    assert found == pytest.approx([0, 1], abs=1e-6)


def _with(evidence, *statements, presence=None, votes=()):
    said = [Statement(there=there, weight=weight) for there, weight in statements]
    existence = Existence(range(len(evidence)), said, presence)
    return weigh_evidence(evidence, votes, MODEL, existence)


def test_who_names_a_thing_says_that_it_is_there():
    weak = [Evidence(0.4, Head.NEITHER, Phrases.FOUND)]
    named, unsaid = _with(weak, (True, 1)).candidates, _with(weak).candidates
    assert named[0] > unsaid[0] + 0.2
    among_sure = [*weak, AGREED]
    assert _with(among_sure, (True, 1)).candidates[0] == pytest.approx(
        _with(among_sure).candidates[0], abs=0.05
    )  # something is there anyway


def test_saying_that_nothing_fits_is_one_statement_however_many_masks_there_are():
    one, many = (_with([HEAD_ALONE] * n, (False, 1)).candidates for n in (1, 5))
    assert many[0] > one[0]
    assert _with([HEAD_ALONE], (False, 3)).candidates[0] < one[0] < HEAD_BELIEF


def test_a_side_that_says_both_is_trusted_less():
    assert _with([FOUND], (True, 1), (False, 1)).rate < _with([FOUND], (True, 1)).rate - 0.05


def test_the_presence_that_the_head_gives_counts():
    beliefs = [_with([FOUND], presence=one).candidates[0] for one in (0.0, 0.5, 1.0)]
    assert beliefs == sorted(beliefs) and beliefs[0] < beliefs[1] - 0.2
    assert beliefs[1] == pytest.approx(_with([FOUND]).candidates[0], abs=0.05)


def test_evidence_is_read_off_candidates():
    def candidate(key, mask, score=0.9):
        return Candidate(key, Masks.encode([mask], (100, 100)), (0, 0, 1, 1), score)

    left, right = block(10, 10, 30, 30), block(60, 10, 90, 40)
    simple, other = HEAD_KEYS[InstructionLevel.SIMPLE], HEAD_KEYS[InstructionLevel.COMPLEX]
    found = [
        candidate("star", left), candidate("star", right),
        candidate(simple, left), candidate(other, block(11, 10, 30, 30)),
    ]  # fmt: skip
    presences = {"star": 0.9, simple: 0.8, other: 0.7}
    evidence = evidence_of(found, InstructionLevel.SIMPLE, presences)
    assert [one.head for one in evidence] == [Head.BOTH, Head.NEITHER, Head.BOTH, Head.BOTH]
    assert [one.phrases for one in evidence] == [Phrases.FOUND] * 4
    assert [one.rivals for one in evidence] == [2, 2, 1, 1]
    alone = evidence_of(found[2:], InstructionLevel.SIMPLE, {simple: 0.8, other: 0.7})
    assert {one.phrases for one in alone} == {Phrases.NOT_ASKED}
    without = evidence_of(found[:2], InstructionLevel.SIMPLE, {"star": 0.9})
    assert {one.head for one in without} == {Head.NOT_ASKED}
    assert np.isfinite(_beliefs(evidence)).all()


def test_a_pool_says_less_than_what_is_asked_for():
    def candidate(key, mask):
        return Candidate(key, Masks.encode([mask], (100, 100)), (0, 0, 1, 1), 0.9)

    left, right = block(10, 10, 30, 30), block(60, 10, 90, 40)
    found = [candidate("red star", left), candidate("star", right), candidate("box", right)]
    roles = {"red star": Role.TARGET, "star": Role.POOL, "box": Role.HELPER}
    presences = dict.fromkeys(roles, 0.9)
    concept = InstructionLevel.CONCEPT
    evidence = evidence_of(found, concept, presences, [1], roles)
    assert [one.phrases for one in evidence] == [Phrases.FOUND, Phrases.POOLED, Phrases.POOLED]
    assert [one.planned for one in evidence] == [Planned.LEFT, Planned.TAKEN, Planned.TAKEN]
    alone = evidence_of(found[1:], concept, presences, (), roles)
    assert {one.phrases for one in alone} == {Phrases.FOUND}  # nothing else was found
    assert same_things(found).tolist() == [
        [True, False, False], [False, True, True], [False, True, True],
    ]  # fmt: skip
