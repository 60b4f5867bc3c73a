"""Fields that servers refuse, in the words of servers."""

from __future__ import annotations

import json

import pytest

from biddable.models.fields import changes

ASKED = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 9,
    "temperature": 0.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "seed": 3,
    "stop": ["END"],
    "logprobs": True,
    "top_logprobs": 1,
    "stream": False,
}


def adapted(refusal, **asked):
    """The request as it is sent after one refusal, as what differs from the one before."""
    asked = {**ASKED, **asked}
    sent = asked
    for change in changes(
        refusal if isinstance(refusal, bytes) else json.dumps(refusal).encode(), sent, asked
    ).values():
        assert change.fits(asked)
        sent = change.apply(sent)
    gone = {name: None for name in asked if name not in sent}
    return gone | {name: value for name, value in sent.items() if asked.get(name) != value}


def said(message, **more):
    return {"error": {"message": message, **more}}


def extra(*fields):
    details = [
        {
            "type": "extra_forbidden",
            "loc": ["body", name],
            "msg": "Extra inputs are not permitted",
            "input": ASKED,
        }
        for name in fields
    ]
    return {"detail": details}


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (
            said(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                param="max_tokens",
            ),
            {"max_tokens": None, "max_completion_tokens": 9},
        ),
        (extra("max_tokens"), {"max_tokens": None, "max_completion_tokens": 9}),
        (
            said(
                "Unsupported value: 'temperature' does not support 0.0 with this model.", param="temperature"
            ),
            {"temperature": None},
        ),
        ({"error": "Input validation error: `temperature` must be strictly positive"}, {"temperature": 0.01}),
        (
            extra("seed", "top_k", "min_p", "logprobs", "top_logprobs"),
            dict.fromkeys(("seed", "top_k", "min_p", "logprobs", "top_logprobs")),
        ),
        ({"error": "Input validation error: `top_p` must be > 0.0 and < 1.0"}, {"top_p": None}),
        ("top_k must be -1 (disable), or at least 1, got 0.", {"top_k": -1}),
        (said('Unknown name "top_k": Cannot find field.'), {"top_k": None}),
        ([said('Invalid JSON payload received. Unknown name "top_k": Cannot find field.')], {"top_k": None}),
        (
            said("logprobs is not supported. Supported parameters are: seed, top_p, min_p"),
            {"logprobs": None, "top_logprobs": None},
        ),
        ({"errors": {"seed": ["Unknown field."]}}, {"seed": None}),
        ({"message": "property 'min_p' is unsupported"}, {"min_p": None}),
        (b"<p>unexpected keyword argument 'top_logprobs'</p>", {"top_logprobs": None}),
        (said("Unrecognized request argument supplied: stream"), {"stream": None}),
    ],
)
def test_what_makes_no_difference_is_sent_otherwise_or_left_out(refusal, expected):
    assert adapted(refusal) == expected


@pytest.mark.parametrize(
    ("refusal", "asked"),
    [
        (said("top_k is not supported"), {"top_k": 5}),
        (said("top_p is not supported"), {"top_p": 0.5}),
        (
            said("'temperature' does not support 0.7 with this model", param="temperature"),
            {"temperature": 0.7},
        ),
        (said("'temperature' must be above 0.1", param="temperature"), {"temperature": 0.01}),
        (extra("stop"), {}),
        (extra("messages"), {}),
        (said("The model m does not exist"), {}),
        (said("Please reduce the length of the messages or completion."), {}),
        (said("max_tokens is too large: 9. This model supports at most 8 completion tokens."), {}),
        (said("'max_tokens' or 'max_completion_tokens' is too large: the context is 8 tokens"), {}),
        (said("the response was filtered", param="prompt"), {}),
        (said("x" * 9, input={"top_k": 0}), {}),
        (b"", {}),
        (b"[" * 100_000, {}),
    ],
)
def test_what_matters_is_never_left_out(refusal, asked):
    assert adapted(refusal, **asked) == {}


def test_what_is_refused_in_another_form_too_is_left_out():
    minus = {**ASKED, "top_k": -1, "temperature": 0.01}
    found = changes(json.dumps(said("top_k and temperature must be positive")).encode(), minus, ASKED)
    assert {name: change.name for name, change in found.items()} == {"top_k": None, "temperature": None}


@pytest.mark.parametrize("field", ["stream", "max_tokens"])
def test_nothing_is_told_where_nothing_is_lost(field):
    assert [
        change.note() for change in changes(json.dumps(extra(field)).encode(), ASKED, ASKED).values()
    ] == [""]
