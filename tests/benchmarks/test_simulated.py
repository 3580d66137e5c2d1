"""A simulated model errs as often as it is told, and the agent lives with it."""

import asyncio

import numpy as np
import pytest
from pydantic import ValidationError

from sam3i_agent.agent.candidates import Candidate
from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.agent.language.side import Decision, ProposedPhrase, TriedPhrase, View
from sam3i_agent.agent.planner.worded import PlanPart, read_parts
from sam3i_agent.benchmarks.simulated.error_rates import ErrorRates
from sam3i_agent.benchmarks.simulated.error_sets import (
    ERROR_SETS,
    NO_ERRORS,
    named_sets,
    rates_to_measure,
)
from sam3i_agent.benchmarks.simulated.language import measure_language
from sam3i_agent.benchmarks.simulated.model import SimulatedModel, simulated_language
from sam3i_agent.benchmarks.simulated.questions import read_questions
from sam3i_agent.benchmarks.simulated.routing import measure_routing, routing_table
from sam3i_agent.benchmarks.simulated.rows import stops_paying_at
from sam3i_agent.benchmarks.simulated.scene_plans import parts_of
from sam3i_agent.benchmarks.simulated.truth import KnownObject, Truth
from sam3i_agent.core.contracts import Budgets, RouteChoice
from sam3i_agent.core.errors import InputError
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks
from sam3i_agent.core.rle import encode_mask
from tests.conftest import block

LEFT, RIGHT = block(10, 10, 30, 30), block(60, 10, 90, 40)
TRUTH = Truth(
    (
        KnownObject(("red star", "star"), encode_mask(LEFT)["counts"]),
        KnownObject(("blue ring", "ring"), encode_mask(RIGHT)["counts"]),
    ),
    (0,),
    ("red star", "green cross", "blue ring"),
)
NOBODY = Truth(TRUTH.objects, (), TRUTH.vocabulary)


def _candidate(mask):
    return Candidate("star", Masks.encode([mask], (100, 100)), (0, 0, 9, 9), 0.9)


def _ask(photo, question, times=200, truth=TRUTH, **rates):
    """Ask one question many times; return the answers."""

    async def run():
        meter = Meter(Budgets(max_mllm_calls=10_000, max_tokens=10**9), MemoryLedger())
        answers = []
        for seed in range(times):
            side = simulated_language(truth, ErrorRates.parse(rates), seed, "v2")(meter)
            phrase = TriedPhrase(phrase=ProposedPhrase(text="star"), found=2)
            view = View(
                photo, f"the star {seed}", 1, (phrase,), (_candidate(LEFT), _candidate(RIGHT))
            )
            answers.append(await question(side, view))
        return answers

    return asyncio.run(run())


def _share(flags):
    return float(np.mean(list(flags)))


def test_without_errors_it_is_right(grey_photo):
    for selection in _ask(grey_photo, lambda side, view: side.select(view), 20):
        assert selection.numbers == (1,) and not selection.missing
    for verdicts in _ask(grey_photo, lambda side, view: side.verify(view), 20):
        assert [one.decision for one in verdicts] == [Decision.ACCEPT, Decision.REJECT]
    for proposal in _ask(grey_photo, lambda side, view: side.propose(view), 20, NOBODY):
        assert proposal.absent


@pytest.mark.parametrize(
    ("rates", "wrong"),
    [
        ({"false_reject": 0.3}, lambda one: one[0].decision is Decision.REJECT),
        ({"false_accept": 0.3}, lambda one: one[1].decision is Decision.ACCEPT),
        ({"verify": 0.3}, lambda one: one[1].decision is Decision.ACCEPT),
    ],
)
def test_verdicts_err_at_the_given_rate(grey_photo, rates, wrong):
    verdicts = _ask(grey_photo, lambda side, view: side.verify(view), **rates)
    assert _share(map(wrong, verdicts)) == pytest.approx(0.3, abs=0.1)


def test_selections_and_presence_err_at_the_given_rate(grey_photo):
    missed = _ask(grey_photo, lambda side, view: side.select(view), missed=0.3)
    assert _share(1 not in one.numbers for one in missed) == pytest.approx(0.3, abs=0.1)
    extra = _ask(grey_photo, lambda side, view: side.select(view), extra=0.3)
    assert _share(2 in one.numbers for one in extra) == pytest.approx(0.3, abs=0.1)
    denied = _ask(grey_photo, lambda side, view: side.propose(view), false_absent=0.3)
    assert _share(one.absent for one in denied) == pytest.approx(0.3, abs=0.1)
    invented = _ask(grey_photo, lambda side, view: side.select(view), truth=NOBODY, absent=0.3)
    assert _share(bool(one.numbers) for one in invented) == pytest.approx(0.3, abs=0.1)


def test_repeated_errors_repeat(grey_photo):
    async def run(repeated):
        meter = Meter(Budgets(), MemoryLedger())
        said = set()
        for _ in range(12):
            rates = ErrorRates.parse({"verify": 0.5, "repeated": repeated})
            side = simulated_language(TRUTH, rates, 3, "v2")(Meter(Budgets(), MemoryLedger()))
            view = View(grey_photo, "the star", 1, candidates=(_candidate(LEFT),))
            said |= {(await side.verify(view, look))[0].decision for look in (1, 2)}
        return len(said), meter

    assert asyncio.run(run(True))[0] == 1


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ("{", "takes a JSON object"),
        ("7", "takes a JSON object"),
        ('{"verify": 2}', "less than or equal to 1"),
        ('{"spelling": 0.1}', "spelling"),
    ],
)
def test_rates_that_make_no_sense(errors, said):
    with pytest.raises(InputError, match=said):
        rates_to_measure(errors, None)


def test_sweeps():
    rates = rates_to_measure('{"select": 0.1}', "verify").values()
    assert [one.false_reject for one in rates] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert {one.missed for one in rates} == {0.1}
    scaled = rates_to_measure('{"select": 0.2}', "all")
    assert [one.missed for one in scaled.values()][-1] == 0.2
    assert [*scaled][:2] == [NO_ERRORS, "missed 0.04, extra 0.04"]
    with pytest.raises(InputError, match="gives none"):
        rates_to_measure("{}", "all")
    with pytest.raises(ValidationError):
        ErrorRates(propose=1.5)


def test_sets_of_rates_have_names():
    assert named_sets("all") == ERROR_SETS
    assert [*named_sets("coin,none")] == ["coin", "none"]
    assert ERROR_SETS["heavy"].plan == ERROR_SETS["heavy"].propose == 0.4
    with pytest.raises(InputError, match="'light' is no set"):
        named_sets("none,light")


def test_the_agent_gains_with_a_good_model_and_is_not_ruined_by_a_coin(tiny):
    """On a few scenes; the table in the documentation has the figures of many."""
    questions = read_questions(6, 990_001)
    bench = measure_language(
        tiny,
        questions,
        990_001,
        (RouteChoice.DIRECT, RouteChoice.AGENT),
        named_sets("none, coin"),
        prompts="v2",
    )
    direct, good, torn = ((one.simple.giou + one.complex.giou) / 2 for one in bench.rows)
    best = sum(bench.oracle.values()) / 2
    # Of what the head leaves to be gained, a good model gains most, whatever the weights.
    assert best > direct + 5 and good > direct + 0.7 * (best - direct)
    assert torn > direct - 12 and good < best + 1
    assert bench.rows[1].calls < 3.2 and sum(bench.rows[1].endings.values()) == len(questions)
    assert stops_paying_at(bench, InstructionLevel.SIMPLE) is None  # no sweep, no answer


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("the second red star from the left",
         [{"phrase": "red star", "order": "left", "rank": 2}]),
        ("everything except what would roll down a slope",
         [{"phrase": "thing", "without": ["circle", "ring"]}]),
        ("whatever is nearest to the thing that shows the way",
         [{"phrase": "thing", "relation": "nearest to", "to": "arrow"}]),
        ("of all that matches the sun, the one that is the easiest to overlook",
         [{"phrase": "yellow thing", "size": "smallest"}]),
        ("what has lines all over and stands for love?", [{"phrase": "striped heart"}]),
        ("the odd one out", []),
        ("of all that rolls away when pushed, the one that takes up the most space", []),
    ],
)  # fmt: skip
def test_texts_of_scenes_are_read_without_looking(text, parts):
    assert parts_of(text) == parts


def test_every_text_of_scenes_is_read_or_takes_a_look():
    for one in read_questions(5, 990_002):
        parts = parts_of(one.text)
        assert parts or one.level is InstructionLevel.COMPLEX, one.text
        plan = read_parts(list(map(PlanPart.model_validate, parts)), [])
        assert (plan is None) is all(len(part) == 1 for part in parts), one.text


def test_a_simulated_plan_errs_at_the_given_rate():
    rng = np.random.default_rng(0)
    truth = Truth((), (), (), ({"phrase": "star", "order": "left", "rank": 2},))
    meter = Meter(Budgets(), MemoryLedger())
    rates = ErrorRates.parse({"propose": 0.3})
    assert rates.plan == 0.3 and ErrorRates.parse({"propose": 0.3, "plan": 0}).plan == 0
    model = SimulatedModel(truth, rates, 0, meter, "v2")
    plans = [model._planned(rng) for _ in range(400)]
    wrong = [one for one in plans if one != list(truth.plan)]
    assert len(wrong) / len(plans) == pytest.approx(0.3, abs=0.07)
    for one in wrong:
        PlanPart.model_validate(one[0])


def test_routes_are_measured_by_kind_of_text(tiny):
    bench = measure_routing(tiny, read_questions(1, 990_003), 990_003)
    assert sum(one.texts for one in bench.rows) == len(read_questions(1, 990_003))
    assert bench.agent_kinds == []  # too few of each kind to say anything
    assert "agent_kinds:" in routing_table(bench)
