"""Raw text at a served model: its route, and scores of given text held against what was sent."""

from __future__ import annotations

import json

import pytest

from biddable.errors import EndpointError
from biddable.models.base import NoScoresError, Sampling
from biddable.models.echo import parse_echo
from biddable.models.openai import OpenAIModel
from biddable.types import user
from tests.models.served import Server, answer, completion, count_files, model, texts

SHORT = Sampling(max_tokens=4)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def echoed(tokens, logprobs):
    """The answer of a server that repeats a text as ``tokens``."""
    told = {"tokens": tokens, "token_logprobs": logprobs}
    return {"choices": [{"text": "".join(tokens), "finish_reason": "length", "logprobs": told}]}


def by_words(handler, body):
    """Repeats the text word by word, as a server that honours ``echo``; then one word more."""
    words = body["prompt"].replace(" ", "| ").split("|")
    logprobs = [None, *(-float(len(word)) for word in words[1:])]
    answer(200, echoed([*words, " more"], [*logprobs, -9.0]))(handler, body)


def continued(handler, body):
    """Answers raw text with a word more."""
    told = {"tokens": [" more"], "token_logprobs": [-0.5]}
    choice = {"text": f"{body['prompt']} more", "finish_reason": "length", "logprobs": told}
    answer(200, {"choices": [choice]})(handler, body)


def test_raw_text_and_chats_go_each_to_their_own_route(server) -> None:
    server.behaviours = [
        lambda handler, body: (continued if "prompt" in body else answer(200, completion("said")))(
            handler, body
        )
    ]
    rows = model(server, concurrency=1).generate(["Once", user("Hi")], sampling=SHORT)
    assert texts(rows) == [["Once more"], ["said"]]
    assert rows[0][0].logprobs == (-0.5,)
    assert [path for path, _ in server.requests] == ["/v1/completions", "/v1/chat/completions"]
    sent = server.requests[0][1]
    assert (sent["prompt"], sent["logprobs"], "messages" in sent) == ("Once", 1, False)


def test_answers_to_raw_text_are_kept_under_the_model_that_gave_them(server, tmp_path) -> None:
    server.behaviours, server.canary = [continued], continued
    for _ in range(2):
        [[response]] = model(server, cache=tmp_path).generate(["Once"], sampling=SHORT)
        assert response.text == "Once more"
    assert (len(server.requests), count_files(tmp_path)) == (1, 1)
    server.canary = answer(200, {"choices": [{"text": "other weights", "finish_reason": "stop"}]})
    model(server, cache=tmp_path).generate(["Once"], sampling=SHORT)
    assert len(server.requests) == 2


def test_a_server_without_the_route_is_named_with_it(server) -> None:
    server.behaviours = [answer(404, {"error": "Not Found"})]
    with pytest.raises(
        EndpointError, match=r"404 Not Found: Not Found \(raw text was posted to /completions\)$"
    ):
        model(server).generate(["Once"], sampling=SHORT)


def test_scores_are_those_of_the_continuation(server) -> None:
    server.behaviours = [by_words]
    scores = model(server).score(["one two", "one two "], [" three four", "three"], end=False)
    assert [row.logprobs for row in scores] == [(-6.0, -5.0), (-6.0,)]
    assert all(not row.token_ids for row in scores)
    sent = [body for _, body in server.requests]
    assert {body["prompt"] for body in sent} == {"one two three four", "one two three"}
    assert all(body["echo"] and path == "/v1/completions" for path, body in server.requests)


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (200, echoed([" Paris"], [-0.2])),  # llama.cpp: echo is ignored
        (200, echoed(["a", " c"], [None, -1.0])),  # the scores of another text
        (200, echoed(["a"], [None])),  # cut short
        (200, echoed(["a", " b"], [None, None])),
        (200, echoed(["a", " b"], [None, float("-inf")])),
        (200, {"choices": [{"text": "a b", "logprobs": None}]}),  # repeated without numbers
        (404, {"error": "Not Found"}),
        (400, {"error": {"message": "echo is not supported"}}),
    ],
)
def test_what_is_not_the_score_of_the_text_that_was_sent_is_no_score(server, status, reply) -> None:
    server.behaviours = [answer(status, reply)]
    with pytest.raises(NoScoresError, match=r"http://127\.0\.0\.1"):
        model(server).score(["a"] * 5, [" b"] * 5, end=False)
    assert len(server.requests) == 1


def test_tokens_of_parts_of_characters_and_a_beginning_token_are_read() -> None:
    pieces = ["<s>", "a", " ", "bytes:\\xc3", "bytes:\\xa9", "!"]
    body = json.dumps(echoed(pieces, [None, -1.0, -2.0, -3.0, -4.0, -5.0])).encode()
    assert parse_echo(body, "a ", "é!").logprobs == (-2.0, -3.0, -4.0, -5.0)
    assert parse_echo(body, "a é", "!").logprobs == (-5.0,)


def test_a_token_across_the_border_belongs_to_the_continuation() -> None:
    body = json.dumps(echoed(["un", "like", "ly"], [None, -1.0, -2.0])).encode()
    assert parse_echo(body, "unlik", "ely").logprobs == (-1.0, -2.0)


def test_nothing_to_score_asks_nothing() -> None:
    assert OpenAIModel("m", "http://127.0.0.1:1").score([], []) == []
