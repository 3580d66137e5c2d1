"""Fields found in whatever a model sends back."""

import pytest

from sam3i_agent.agent.language.replies import ProposeReply, SelectReply, read_arguments, read_text
from sam3i_agent.core.errors import LanguageReplyError


@pytest.mark.parametrize(
    "text",
    [
        '{"masks": [2, 1]}',
        '```json\n{"masks": [2, 1]}\n```',
        'The answer is {"masks": [2, 1], "reason": "both {are} fine"} I think',
        '{"name": "select_masks", "arguments": {"masks": [2, 1]}}',
        '<think>maybe {"masks": [9]}?</think>\n{"masks": [2, 1]}',
        'maybe {"masks": [9]}?</think>\n{"masks": [2, 1]}',  # opened by the server's template
        '{"masks": [2, 1]} <think>or {"masks": [9]}</think>',
        'First {"x": 1, then {"masks": [2, 1]}',
        '{"masks": [2, 1], "surplus": true}',
    ],
)
def test_the_fields_are_found(text):
    assert read_text(text, SelectReply).masks == [2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("<think>hm</think>", "empty"),
        ('<think>perhaps {"masks": [1]}', "empty"),  # cut off before the answer
        ("[1, 2]", "no JSON object"),
        ("masks 1 and 2", "no JSON object"),
        ('{"masks": "1"}', "fields are wrong: masks"),
        ("I cannot help with that", "refused"),
    ],
)
def test_what_is_missing_is_named(text, message):
    with pytest.raises(LanguageReplyError, match=message):
        read_text(text, SelectReply)


def test_phrases_are_bounded():
    with pytest.raises(LanguageReplyError, match="targets"):
        read_arguments('{"targets": ["%s"]}' % ("x" * 81), "f", "f", ProposeReply)
    with pytest.raises(LanguageReplyError, match="targets"):
        read_arguments('{"targets": [""]}', "f", "f", ProposeReply)
