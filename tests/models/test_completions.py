"""Chat completions in the forms in which servers send them."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biddable.models.completions import identifying, parse_completion
from biddable.types import Response
from tests.models.served import completion


def read(message, finish="stop", **choice):
    whole = {"choices": [{"message": message, "finish_reason": finish, **choice}]}
    return parse_completion(json.dumps(whole).encode())


def test_finish_reasons_and_logprobs_are_mapped():
    logprobs = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -2}]}
    body = json.dumps(completion("ab", "length", logprobs=logprobs)).encode()
    assert parse_completion(body) == Response("ab", (), (-0.5, -2.0), "length")
    for finish, expected in {
        "stop": "stop",
        "content_filter": "error",
        None: "error",
        "other": "error",
    }.items():
        assert parse_completion(json.dumps(completion(finish=finish)).encode()).finish_reason == expected


def test_content_that_is_null_is_empty_and_half_a_character_is_replaced():
    assert parse_completion(json.dumps(completion(None)).encode()).text == ""
    assert parse_completion(json.dumps(completion("a\ud83d")).encode()).text == "a\ufffd"
    assert parse_completion(json.dumps(completion("a\U0001f600")).encode()).text == "a\U0001f600"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "logprobs", "logprob"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, derandomize=True)
@given(value=json_values)
def test_no_answer_whatever_breaks_the_parser(value):
    for candidate in (
        value,
        {"choices": [value]},
        {"choices": [{"message": {"content": "x"}, "logprobs": value}]},
    ):
        try:
            response = parse_completion(json.dumps(candidate).encode())
        except ValueError:
            continue
        response.text.encode()
        assert all(logprob == logprob for logprob in response.logprobs)


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("eos_token", "stop"), ("STOP", "stop"), ("end_turn", "stop"), ("MAX_TOKENS", "length"), (7, "error")],
)
def test_finish_reasons_in_other_words(finish, expected):
    assert read({"content": "x"}, finish).finish_reason == expected


@pytest.mark.parametrize(
    "content",
    [
        ["fi", "ne"],
        [{"type": "text", "text": "fi"}, {"type": "text", "text": "ne"}],
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "text", "text": "fine"},
        ],
        [{"type": "output_text", "text": "fine"}],
        [{"text": "fine"}],
        [{"type": "text", "text": {"value": "fine"}}],
    ],
)
def test_the_text_parts_of_a_list_are_the_text(content):
    assert read({"content": content}) == Response("fine")


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I will not."},
        {"refusal": "I will not."},
        {"content": "", "refusal": "I will not."},
        {"content": [{"type": "refusal", "refusal": "I will not."}]},
    ],
)
def test_a_refusal_is_what_was_said(message):
    assert read(message) == Response("I will not.")


@pytest.mark.parametrize(
    ("message", "finish", "expected", "said"),
    [
        (
            {"content": None, "reasoning_content": "so"},
            "length",
            "length",
            "only reasoned, cut off at the limit",
        ),
        ({"content": "", "reasoning": "so"}, "length", "length", "only reasoned, cut off at the limit"),
        ({"content": "", "reasoning_content": "so"}, "stop", "error", "only reasoned"),
        ({"content": [{"type": "thinking", "thinking": "so"}]}, "stop", "error", "only reasoned"),
        ({"content": None, "tool_calls": [{"id": "t"}]}, "tool_calls", "error", "called tools"),
        ({"content": None, "function_call": {"name": "f"}}, "function_call", "error", "called tools"),
        ({"content": None}, "content_filter", "error", "filtered"),
        (
            {"content": [{"type": "image_url", "image_url": {}}]},
            "stop",
            "error",
            "no part .* text .image_url",
        ),
    ],
)
def test_a_message_without_text_says_why(message, finish, expected, said):
    found = read(message, finish)
    assert (found.text, found.finish_reason) == ("", expected)
    assert re.search(said, found.error)


def test_text_beside_reasoning_or_calls_is_the_answer():
    assert read({"content": "fine", "reasoning_content": "so", "tool_calls": [{}]}, "tool_calls") == Response(
        "fine"
    )


@pytest.mark.parametrize("odd", [None, "low", float("nan"), float("-inf"), [], 10**400])
def test_an_odd_logprob_never_costs_the_text(odd):
    tokens = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": odd}]
    assert read({"content": "fine"}, logprobs={"content": tokens}) == Response("fine")
    assert read({"content": "fine"}, logprobs={"content": odd}) == Response("fine")
    assert read({"content": "fine"}, logprobs=odd) == Response("fine")


def events(*deltas, finish="stop", done=True):
    chunks = [
        {"model": "m-2", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    lines = [f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks] + ["data: [DONE]\n\n"] * done
    return "".join(lines).encode()


def test_events_are_put_together():
    body = events(
        {"role": "assistant", "content": ""}, {"content": "fi"}, {"content": "ne"}, {"content": None}
    )
    assert parse_completion(body) == Response("fine")
    assert parse_completion(b": comment\n\nevent: x\n" + body) == Response("fine")
    assert parse_completion(b"retry: 100\n" + body) == Response("fine")
    assert identifying(body) == ("m-2", "None", "fine")
    assert parse_completion(events({"reasoning_content": "so"}, finish="length")).error


def test_only_line_feeds_and_returns_end_a_line_of_events():
    text = "a\u2028b\x85c\x0bd"
    body = json.dumps(
        {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}, ensure_ascii=False
    )
    assert parse_completion(f"data: {body}\r\n\r\ndata: [DONE]".encode()).text == text
    assert parse_completion(f"data: {body}\r\rdata: [DONE]".encode()).text == text


def test_events_that_break_off_or_tell_an_error_are_no_answer():
    with pytest.raises(ValueError, match="break off"):
        parse_completion(events({"content": "fi"}, finish=None, done=False))
    with pytest.raises(ValueError, match="error among"):
        parse_completion(b'data: {"error": {"message": "broken"}}\n\n' + events({"content": "fi"}))


def test_json_before_done_and_a_byte_order_mark():
    body = json.dumps(completion()).encode()
    assert parse_completion(body + b"\n\ndata: [DONE]\n\n") == Response("fine")
    assert parse_completion(b"data: " + body + b"\n\ndata: [DONE]\n\n") == Response("fine")
    assert parse_completion(b"\xef\xbb\xbf" + body) == Response("fine")
    with pytest.raises(ValueError, match="more than one"):
        parse_completion(body + body)
