"""Taking blocks of thinking off answers."""

import time

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
        ("<think>a <think> b </think> Hills.", "Hills."),
        ("<think>a</think> Hills.\n</think>\n", "Hills."),
        ("a</think> Hills.</think>", "Hills."),
        ("<seed:think>a</seed:think>Hills.", "Hills."),
        ("<|begin_of_thought|>a<|end_of_thought|>Hills.", "Hills."),
        ("<|START_THINKING|>a<|END_THINKING|>Hills.", "Hills."),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>Hills.",
            "Hills.",
        ),
        ("analysisWe should say hills.assistantfinalHills.", "Hills."),
        ("<think>Well, I have not come to", ""),
        ("One.<think>a</think> Two.<think>b", "One. Two."),
        ("<think>a</think>", ""),
    ],
)
def test_what_is_left(text, left):
    assert without_thinking(text) == left
    assert has_thinking(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " Hills. \n",
        "I think: <hills>",
        "a < think > b",
        "<thinker>x</thinker>",
        "analysis of hills",
        "an assistantfinal",
    ],
)
def test_a_text_without_blocks_stays_as_it_is(text):
    assert without_thinking(text) == text
    assert not has_thinking(text)


def test_a_model_that_opens_blocks_without_end_takes_no_time():
    started = time.monotonic()
    assert without_thinking("<think>" * 100_000) == ""
    assert without_thinking("</think>" * 100_000 + "Hills.") == "Hills."
    assert time.monotonic() - started < 20
