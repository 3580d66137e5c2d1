"""What the benchmarks measure is what they say; how long it takes is not tested."""

import pytest

from sam3i_agent.benchmarks.agent_pattern import measure_agent_pattern
from sam3i_agent.benchmarks.growth import measure_growth
from sam3i_agent.benchmarks.plots import plot_agent_pattern, plot_growth
from sam3i_agent.benchmarks.random_models import full_size_segmenter
from sam3i_agent.core.errors import InputError
from sam3i_agent.segmodel.checkpoints.loading import load_segmenter


def test_the_official_pattern_encodes_for_each_phrase_and_ours_once(tmp_path):
    segmenter = load_segmenter("tiny", device="cpu")
    steps: list[int] = []
    counted: list[tuple[int, int]] = []

    def advance() -> None:
        steps.append(1)
        counted.append((segmenter.encoder.jobs, segmenter.decoder.jobs))

    measured = measure_agent_pattern(segmenter, [1, 4], [1, 3], 0.01, 1, advance)
    assert [one.phrases for one in measured.phrases] == [1, 4] and len(steps) == 4
    # Warm-up and both counts: K encodings by the official pattern, one by ours, none when warm.
    assert counted[0][0] == (1 + 1) + (1 + 1) + (4 + 1)
    assert counted[0][1] == (1 + 2) + (1 + 2) + (4 + 2)
    assert [one.masks for one in measured.verdicts] == [1, 3]
    assert all(one.official_s > 0.01 * one.masks for one in measured.verdicts)
    plot_agent_pattern(measured, tmp_path / "agent.png")
    assert (tmp_path / "agent.png").stat().st_size > 5000


def test_growth_compares_with_the_plain_path(tmp_path):
    segmenter = load_segmenter("tiny", device="cpu")
    encoder = segmenter.encoder
    measured = measure_growth(segmenter, [1, 3], [0.1, 0.3], [1, 2], 0.2, lambda: None)
    assert [one.equals_plain for one in measured.instances] == [True, True]
    assert [one.megapixels for one in measured.photos] == [0.1, 0.3]
    assert all(one.together > 0 and one.one_by_one > 0 for one in measured.clients)
    assert segmenter.encoder is encoder  # as it was before
    plot_growth(measured, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 5000


def test_sides_that_the_published_encoder_cannot_have_are_refused():
    with pytest.raises(InputError, match="no multiple of 336"):
        full_size_segmenter(500, "cpu")
