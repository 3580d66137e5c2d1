"""Tokens as the official tokenizer makes them."""

import pytest

from sam3i_agent.segmodel.tokenization import (
    CONTEXT_LENGTH,
    InstructionTokenizer,
    clean_text,
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  A  Red\tCIRCLE\n", "a red circle"),
        ("salt &amp; pepper", "salt & pepper"),
        ("&amp;lt;b&amp;gt;", "<b>"),  # unescaped twice
        ("the child\u2019s \u201chat\u201d", 'the child\'s "hat"'),
        ("\uff32\uff25\uff24", "red"),  # full-width letters
        ("of\ufb01ce", "office"),  # a ligature
    ],
)
def test_cleaning(raw, clean):
    assert clean_text(raw) == clean


def test_padding_is_zero_to_32_and_masked():
    batch = InstructionTokenizer()(["red circle", "cat"])
    assert batch.input_ids.shape == batch.attention_mask.shape == (2, CONTEXT_LENGTH)
    assert batch.input_ids[0, :4].tolist() == [49406, 736, 7117, 49407]
    assert batch.input_ids[0, 4:].sum() == 0
    assert batch.attention_mask.sum(1).tolist() == [4, 3]


def test_too_long_texts_end_with_the_end_marker_and_say_how_long_they_are():
    text = "cat " * 40
    batch = InstructionTokenizer()([text])
    assert batch.lengths == (42,) and InstructionTokenizer().count_tokens(text) == 42
    assert batch.input_ids[0, -1] == 49407


def test_a_smaller_vocabulary_encodes_anything():
    small = InstructionTokenizer(600)
    batch = small(["zebra crossing \u2603"])
    assert int(batch.input_ids.max()) == 599
    assert small.count_tokens("zebra") > InstructionTokenizer().count_tokens("zebra")


@pytest.mark.parametrize("size", [513, 49_409])
def test_impossible_vocabularies(size):
    with pytest.raises(ValueError, match=r"514\.\.49408"):
        InstructionTokenizer(size)
