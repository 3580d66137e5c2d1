"""Which way is best for which kind of text: the measurements behind `RoutingPolicy.agent_kinds`."""

from collections.abc import Callable, Sequence

import numpy as np

from sam3i_agent.agent.instructions import kind_of
from sam3i_agent.agent.language.choice import PromptsVersion
from sam3i_agent.benchmarks.simulated.answering import Answerer
from sam3i_agent.benchmarks.simulated.error_sets import ERROR_SETS
from sam3i_agent.benchmarks.simulated.model import simulated_language
from sam3i_agent.benchmarks.simulated.questions import Question
from sam3i_agent.core.contracts import Frozen, RouteChoice, TextKind
from sam3i_agent.core.masks import union_iou
from sam3i_agent.segmodel.segmenter import Segmenter

ROUTES = (RouteChoice.DIRECT, RouteChoice.AGENT, RouteChoice.AGENT_PLAN)
SETS = ("none", "mixed", "heavy")
"""Of `error_sets.ERROR_SETS`."""
MIN_TEXTS = 10
"""Of a kind; from fewer nothing follows."""


class KindRow(Frozen):
    """One kind of text."""

    kind: TextKind
    texts: int
    giou: dict[RouteChoice, list[float]]
    """By route, percent: one value for each set of error rates."""


class RoutingBench(Frozen):
    """The table, and what follows."""

    series: int
    rows: list[KindRow]
    agent_kinds: list[TextKind]
    """Of which the agent's mean over the sets is above the direct route's."""


def measure_routing(
    segmenter: Segmenter,
    questions: Sequence[Question],
    series: int,
    advance: Callable[[], None] = lambda: None,
) -> RoutingBench:
    """Answer questions each way with a simulated language model, and sort them by kind.

    Args:
        segmenter: a loaded model.
        questions: see `benchmarks.simulated.questions.read_questions`.
        series: that they are of.
        advance: called after each answer.
    """
    kinds = [kind_of(one.text) for one in questions]
    ious: dict[RouteChoice, list[list[float]]] = {route: [] for route in ROUTES}
    with Answerer(segmenter) as answerer:
        for route in ROUTES:
            for rates in (ERROR_SETS[name] for name in SETS):
                if route is RouteChoice.DIRECT and ious[route]:
                    ious[route].append(ious[route][0])  # it asks nobody
                    continue
                values: list[float] = []
                for one in questions:
                    side = simulated_language(
                        one.truth, rates, series + one.number, PromptsVersion.V2
                    )
                    result, _ = answerer.answer(one, route, side)
                    values.append(union_iou(result.masks(), one.wanted))
                    advance()
                ious[route].append(values)
    rows: list[KindRow] = []
    for kind in TextKind:
        some = [i for i, one in enumerate(kinds) if one is kind]
        if some:
            means = {
                route: [100 * float(np.mean([values[i] for i in some])) for values in ious[route]]
                for route in ROUTES
            }
            rows.append(KindRow(kind=kind, texts=len(some), giou=means))
    return RoutingBench(
        series=series,
        rows=rows,
        agent_kinds=[
            one.kind
            for one in rows
            if one.texts >= MIN_TEXTS
            and np.mean(one.giou[RouteChoice.AGENT]) > np.mean(one.giou[RouteChoice.DIRECT])
        ],
    )


def routing_table(bench: RoutingBench) -> str:
    """Return the rows as lines of text."""
    lines = [f"series {bench.series}; gIoU by set of errors: {', '.join(SETS)}"]
    for row in bench.rows:
        ways = "  ".join(
            f"{route} " + " ".join(f"{one:.1f}" for one in row.giou[route]) for route in ROUTES
        )
        lines.append(f"{row.kind:10} {row.texts:4}  {ways}")
    return "\n".join([*lines, f"agent_kinds: {', '.join(bench.agent_kinds)}"])
