"""Taking blocks of thinking off answers."""

import pytest

from biddable.judges.thinking import has_thinking, without_thinking


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>\nWell, hm.\n</think>\n\nHills.\n", "Hills."),
        ("<thinking>a</thinking>Hills.", "Hills."),
        ("<reasoning>a</reasoning> Hills.", "Hills."),
        ("<THINK>a</THINK>Hills.", "Hills."),
        ("[THINK]a[/THINK]Hills.", "Hills."),
        ("Well, hm.\n</think>\n\nHills.", "Hills."),
        ("<think>a</think>One.<think>b</think> Two.", "One. Two."),
        ("<think>\n\n</think>\n\nHills.", "Hills."),
        ("<think>a <think> b </think> c </think> Hills.", "Hills."),
        ("<think>Well, I have not come to", ""),
        ("<think>a</think>", ""),
    ],
)
def test_what_is_left(text, left):
    assert without_thinking(text) == left
    assert has_thinking(text)


@pytest.mark.parametrize(
    "text", ["", " Hills. \n", "I think: <hills>", "a < think > b", "<thinker>x</thinker>"]
)
def test_a_text_without_blocks_stays_as_it_is(text):
    assert without_thinking(text) == text
    assert not has_thinking(text)
