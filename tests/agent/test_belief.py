"""Evidence is weighed: one word moves a belief, a side that contradicts itself moves none."""

import numpy as np
import pytest

from sam3i_agent.agent.belief import (
    CERTAIN,
    MODEL,
    Evidence,
    Head,
    Phrases,
    Vote,
    absent_votes,
    weigh_evidence,
)
from sam3i_agent.agent.candidates import HEAD_KEYS, Candidate
from sam3i_agent.agent.evidence import evidence_of
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from tests.conftest import block

FOUND = Evidence(0.9, Head.NOT_ASKED, Phrases.FOUND)
AGREED = Evidence(0.9, Head.OWN, Phrases.FOUND)
HEAD_ALONE = Evidence(0.9, Head.OWN, Phrases.NOT_ASKED)


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
    assert crowd < alone - 0.2


def test_a_side_that_contradicts_itself_is_trusted_less():
    several = [HEAD_ALONE] * 4
    steady = [Vote(i, True) for i in range(4)] * 2
    torn = [Vote(i, True) for i in range(4)] + [Vote(i, False) for i in range(4)]
    assert weigh_evidence(several, steady, MODEL).rate > 0.85
    assert weigh_evidence(several, torn, MODEL).rate < 0.68


def test_the_word_of_rules_is_final():
    found = _beliefs([HEAD_ALONE, FOUND], (0, False), (1, True), trust=CERTAIN)
    assert found == pytest.approx([0, 1], abs=1e-6)


def test_saying_that_nothing_fits_is_one_statement_however_many_masks_there_are():
    votes = absent_votes(range(5))
    assert sum(one.weight for one in votes) == pytest.approx(1)
    one, many = (weigh_evidence([HEAD_ALONE] * n, absent_votes(range(n)), MODEL) for n in (1, 5))
    assert many.candidates[0] > one.candidates[0]


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
