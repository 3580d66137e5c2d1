"""What the segmenter and the instruction head say of candidates, before anybody judges them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sam3i_agent.agent.candidates import HEAD_KEYS, Candidate
from sam3i_agent.agent.language.side import Role
from sam3i_agent.agent.weighing.belief import Evidence, Head, Phrases, Planned
from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.core.masks import Masks, mask_ious

SAME_THING_IOU = 0.5
"""Masks that overlap more are of the same thing."""
NO_ROLES: Mapping[str, Role] = {}
_HEAD_LEVELS = (InstructionLevel.SIMPLE, InstructionLevel.COMPLEX)


def evidence_of(
    candidates: Sequence[Candidate],
    level: InstructionLevel,
    presences: Mapping[str, float],
    planned: Sequence[int] = (),
    roles: Mapping[str, Role] = NO_ROLES,
) -> list[Evidence]:
    """Return what is known of each candidate.

    Args:
        candidates: of phrases and of the head, about one photo.
        level: at which the head was asked, if it was.
        presences: by key of what was asked; with that of the head, where one was asked.
        planned: positions of those that geometry chose by a plan; none where there is no plan.
        roles: of phrases by key; those that are not there are for what is asked for.
    """
    if not candidates:
        return []
    own = HEAD_KEYS[level]
    asked = level in _HEAD_LEVELS and own in presences
    other = next(HEAD_KEYS[one] for one in _HEAD_LEVELS if one is not level)
    first = _found_too(candidates, [one for one in candidates if one.key == own])
    second = _found_too(candidates, [one for one in candidates if one.key == other])
    by_phrases = [one for one in candidates if not one.by_head]
    named = [one for one in by_phrases if roles.get(one.key, Role.TARGET) is Role.TARGET]
    pooled = [one for one in by_phrases if roles.get(one.key, Role.TARGET) is Role.POOL]
    if not named:
        named, pooled = pooled, []
    phrased, in_pool = _found_too(candidates, named), _found_too(candidates, pooled)
    chosen = _found_too(candidates, [candidates[one] for one in planned])
    rivals = Counter(one.key for one in candidates)
    if any(key not in HEAD_KEYS.values() for key in presences):
        of_phrases = [
            Phrases.FOUND if named_it else Phrases.POOLED if pooled_it else Phrases.MISSED
            for named_it, pooled_it in zip(phrased, in_pool, strict=True)
        ]
    else:
        of_phrases = [Phrases.NOT_ASKED] * len(candidates)
    return [
        Evidence(
            score=one.score,
            head=_HEAD[bool(first[i]), bool(second[i])] if asked else Head.NOT_ASKED,
            phrases=of_phrases[i],
            rivals=rivals[one.key],
            planned=_PLANNED[bool(chosen[i])] if planned else Planned.NOT_ASKED,
        )
        for i, one in enumerate(candidates)
    ]


_HEAD = {
    (True, True): Head.BOTH,
    (True, False): Head.OWN,
    (False, True): Head.OTHER,
    (False, False): Head.NEITHER,
}
_PLANNED = {True: Planned.TAKEN, False: Planned.LEFT}


def same_things(candidates: Sequence[Candidate]) -> NDArray[np.bool_]:
    """Return (N, N): which candidates cover the same thing, well or badly."""
    if not candidates:
        return np.zeros((0, 0), dtype=bool)
    masks = Masks(candidates[0].masks.size_hw, (one.counts for one in candidates))
    return mask_ious(masks, masks) >= SAME_THING_IOU


def _found_too(candidates: Sequence[Candidate], found: Sequence[Candidate]) -> NDArray[np.bool_]:
    """Return (N,): whether a mask among `found` is of the same thing."""
    if not found:
        return np.zeros(len(candidates), dtype=bool)
    size = candidates[0].masks.size_hw
    ious = mask_ious(
        Masks(size, (one.counts for one in candidates)), Masks(size, (one.counts for one in found))
    )
    return ious.max(axis=1) >= SAME_THING_IOU
