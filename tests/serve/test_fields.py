"""What a request may say; what it may not is named."""

from __future__ import annotations

import pytest

from biddable.errors import InputError
from biddable.serve.fields import read_body, read_request
from biddable.types import Message

SAID = [{"role": "user", "content": "a"}]


def chat(**fields):
    return read_request({"messages": SAID} | fields, chat=True)


def test_what_is_not_said_is_as_openai_has_it() -> None:
    asked = chat()
    assert asked.prompts == ((Message("user", "a"),),)
    assert (asked.n, asked.max_tokens, asked.seed, asked.stream, asked.logprobs) == (
        1,
        None,
        None,
        False,
        False,
    )
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.sampling.top_k) == (1.0, 1.0, 0)
    assert read_request({"prompt": "a"}, chat=False).max_tokens == 16


def test_everything_is_read() -> None:
    asked = chat(
        model="m",
        n=3,
        stop="x",
        seed=7,
        temperature=0,
        top_p=0.5,
        top_k=4,
        max_completion_tokens=9,
        logprobs=True,
        top_logprobs=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    how = asked.sampling
    assert (how.temperature, how.top_p, how.top_k, how.stop) == (0, 0.5, 4, ("x",))
    assert (asked.model, asked.n, asked.max_tokens, asked.seed) == ("m", 3, 9, 7)
    assert (asked.logprobs, asked.top, asked.stream, asked.usage) == (True, 2, True, True)


def test_fields_that_change_nothing_are_taken() -> None:
    neutral = {"presence_penalty": 0.0, "logit_bias": {}, "tools": [], "response_format": {"type": "text"}}
    assert chat(**neutral, min_p=0, user="me", metadata={"a": "b"}, functions=None, echo=False) == chat()


def test_parts_of_text_are_joined_and_the_developer_is_the_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    said = [
        {"role": "developer", "content": "be brief"},
        {"role": "assistant", "content": "hi", "refusal": None, "tool_calls": []},
        {"role": "user", "content": parts},
    ]
    [prompt] = read_request({"messages": said}, chat=True).prompts
    assert [(turn.role, turn.content) for turn in prompt] == [
        ("system", "be brief"),
        ("assistant", "hi"),
        ("user", "ab"),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function"}]),
        ("response_format", {"type": "json_schema", "json_schema": {}}),
        ("logit_bias", {"5": 1}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("min_p", 0.1),
        ("best_of", 2),
        ("echo", True),
        ("reasoning_effort", "high"),
        ("guided_json", {}),
        ("n", 0),
        ("n", 129),
        ("n", True),
        ("n", "2"),
        ("temperature", -0.1),
        ("temperature", "hot"),
        ("top_p", 0),
        ("top_p", 1.1),
        ("top_k", -2),
        ("max_tokens", 0),
        ("max_tokens", 2.5),
        ("seed", 2**64),
        ("seed", 1.5),
        ("stop", 5),
        ("stop[1]", ["a", ""]),
        ("stop", ["a"] * 17),
        ("stream", "yes"),
        ("logprobs", 2),
        ("top_logprobs", 21),
        ("top_logprobs", 2),
        ("stream_options", {"include_usage": True}),
        ("messages", []),
        ("messages", "hi"),
        ("messages[0]", ["hi"]),
        ("messages[0].role", [{"role": "tool", "content": "a"}]),
        ("messages[0].content", [{"role": "user", "content": 5}]),
        ("messages[0].content", [{"role": "user", "content": "\ud800"}]),
        ("messages[0].content[0]", [{"role": "user", "content": [{"type": "image_url"}]}]),
        ("messages[0].tool_calls", [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]),
        ("messages[0].name", [{"role": "user", "content": "a", "name": "Ann"}]),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(field, value) -> None:
    with pytest.raises(InputError) as caught:
        chat(**{field.partition("[")[0]: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("prompt", {}),
        ("prompt", {"prompt": ""}),
        ("prompt", {"prompt": []}),
        ("prompt[1]", {"prompt": ["a", ""]}),
        ("prompt[0]", {"prompt": [5, 6]}),
        ("n", {"prompt": ["a", "b"], "n": 65}),
        ("logprobs", {"prompt": "a", "logprobs": True}),
        ("suffix", {"prompt": "a", "suffix": "z"}),
        ("messages", {"prompt": "a", "messages": SAID}),
    ],
)
def test_so_it_is_of_raw_text(field, fields) -> None:
    with pytest.raises(InputError) as caught:
        read_request(fields, chat=False)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"5",
        b'{"n": 1, "n": 2}',
        b'{"temperature": NaN}',
        b"\xff",
        b"[" * 99_999,
        b'{"seed": 1e999}x',
    ],
)
def test_a_body_is_one_object(body) -> None:
    with pytest.raises(InputError, match="the body"):
        read_body(body)
