"""The routes over HTTP, with a random model: answers, limits, errors, clients that go."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from biddable.errors import EndpointError
from biddable.models.base import Sampling, TokenScores
from biddable.models.choices import rank_choices
from biddable.serve.app import MAX_BODY, Limits, Service
from biddable.serve.backends import Alone
from biddable.tasks.templates import PromptTemplate
from biddable.types import Response, user
from tests.serve.running import ask, listening, service_of, until
from tests.train.tiny import local


@pytest.fixture(scope="module")
def url():
    with service_of(rows=4, queue=8) as (_, address):
        yield address


def said(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [choice["message"]["content"] for choice in answer.json()["choices"]]


def events_of(lines) -> list:
    found = [line.removeprefix("data: ") for line in lines if line]
    assert found[-1] == "[DONE]"
    return [json.loads(line) for line in found[:-1]]


def health(url: str) -> dict:
    return httpx.get(f"{url}/health", trust_env=False).json()


def test_an_answer_is_that_of_generate_alone_and_among_others(tiny_model) -> None:
    bodies = [
        {
            "text": f"w{i} w{i + 1}",
            "seed": 10 + i,
            "temperature": i % 3 / 2,
            "max_tokens": 5 + i,
            "n": 1 + i % 2,
        }
        for i in range(12)
    ]
    with service_of(rows=4, queue=20) as (_, url):
        with ThreadPoolExecutor(12) as pool:
            together = [said(answer) for answer in pool.map(lambda body: ask(url, **body), bodies)]
        facts = health(url)
        alone = [said(ask(url, **body)) for body in bodies[:3]]
    assert facts["most"] > 1, "requests joined, or nothing was tested"
    assert together[:3] == alone
    for body, texts in zip(bodies, together, strict=True):
        how = Sampling(max_tokens=body["max_tokens"], temperature=body["temperature"])
        [row] = tiny_model.generate([user(body["text"])], n=body["n"], sampling=how, seeds=[body["seed"]])
        assert texts == [response.text for response in row]


def test_a_stream_is_the_answer_in_pieces(url) -> None:
    body = {"seed": 3, "max_tokens": 12, "n": 2, "logprobs": True, "top_logprobs": 1}
    whole = ask(url, **body).json()
    options = {"stream": True, "stream_options": {"include_usage": True}}
    answer = ask(url, **body, **options)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.iter_lines())
    assert events[-1]["usage"] == whole["usage"]
    assert events[-1]["choices"] == []
    for index, choice in enumerate(whole["choices"]):
        mine = [each for event in events for each in event["choices"] if each["index"] == index]
        assert "".join(each["delta"].get("content", "") for each in mine) == choice["message"]["content"]
        assert [each["finish_reason"] for each in mine if each["finish_reason"]] == [choice["finish_reason"]]
        tokens = [token for each in mine for token in (each["logprobs"] or {}).get("content", ())]
        assert [each["token"] for each in tokens] == [each["token"] for each in choice["logprobs"]["content"]]


def test_raw_text_of_several_prompts(url, tiny_model) -> None:
    body = {"prompt": ["w1 w2", "w3"], "n": 2, "seed": 5, "max_tokens": 4, "logprobs": 2}
    answer = httpx.post(f"{url}/v1/completions", json=body, trust_env=False).json()
    texts = [choice["text"] for choice in answer["choices"]]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    first = tiny_model.generate(["w1 w2"], n=2, sampling=Sampling(max_tokens=4), seeds=[5])[0]
    assert texts[:2] == [response.text for response in first]
    told = answer["choices"][0]["logprobs"]
    assert told["token_logprobs"] == pytest.approx(first[0].logprobs, abs=1e-5)
    assert len(told["top_logprobs"][0]) == 2
    assert len(texts[0].split(" ")) > 1
    for place, token in zip(told["text_offset"], told["tokens"], strict=True):
        assert texts[0][place:].startswith(token) or place == len(texts[0])


def test_one_prompt_of_raw_text_streams(url) -> None:
    body = {"prompt": "w1 w2", "seed": 5, "max_tokens": 6}
    whole = httpx.post(f"{url}/v1/completions", json=body, trust_env=False).json()["choices"][0]["text"]
    answer = httpx.post(f"{url}/v1/completions", json=body | {"stream": True}, trust_env=False)
    assert "".join(event["choices"][0]["text"] for event in events_of(answer.iter_lines())) == whole


def test_a_stop_string_is_never_sent(url) -> None:
    [free] = said(ask(url, seed=1, max_tokens=20))
    words = free.split(" ")
    stop = " ".join(words[5:7])
    cut = free[: free.index(stop)]
    answer = ask(url, seed=1, max_tokens=20, stop=["never", stop])
    assert said(answer) == [cut]
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    events = events_of(ask(url, seed=1, max_tokens=20, stop=stop, stream=True).iter_lines())
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == cut


def test_a_model_is_listed_and_another_is_not_found(url) -> None:
    listed = httpx.get(f"{url}/v1/models", trust_env=False).json()
    assert [entry["id"] for entry in listed["data"]] == ["tiny"]
    assert httpx.get(f"{url}/v1/models/tiny", trust_env=False).json()["max_model_len"] == 64
    for answer in (httpx.get(f"{url}/v1/models/gpt", trust_env=False), ask(url, model="gpt")):
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"n": 0}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"text": "w1 " * 80, "max_tokens": 4}, "messages"),
        ({"text": "w1 " * 80}, "messages"),
        ({"max_tokens": 64}, "max_tokens"),
    ],
)
def test_what_is_refused_names_its_field(url, body, field) -> None:
    answer = ask(url, **body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == field
    assert error["type"] == "invalid_request_error"
    if field == "messages":
        assert error["code"] == "context_length_exceeded"
        assert " tokens, expected at most 6" in error["message"]
        assert "context is 64" in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"\\ud800": 1, "messages": []}',
        b'{"messages": [{"role": "user", "content": "w1", "\\ud800": 1}]}',
    ],
)
def test_a_field_named_by_half_a_character_is_400(url, body) -> None:
    answer = httpx.post(f"{url}/v1/chat/completions", content=body, trust_env=False)
    assert answer.status_code == 400
    assert "\\ud800" in answer.json()["error"]["param"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"messages": NaN}'])
def test_a_malformed_body_is_400_and_the_next_is_answered(url, body) -> None:
    answer = httpx.post(f"{url}/v1/chat/completions", content=body, trust_env=False)
    assert answer.status_code == 400
    assert "the body" in answer.json()["error"]["message"]
    assert said(ask(url, max_tokens=2))


@pytest.mark.parametrize(
    "raw", [b"nonsense\r\n\r\n", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_no_http_hurts_nobody(url, raw) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(raw)
        assert b"400" in connection.recv(1000)
    assert said(ask(url, max_tokens=2))


def test_unknown_routes_are_errors_of_the_same_form(url) -> None:
    for answer, status in (
        (httpx.get(f"{url}/v1/nothing", trust_env=False), 404),
        (httpx.get(f"{url}/v1/chat/completions", trust_env=False), 405),
    ):
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_body_that_is_too_large_is_413(url) -> None:
    answer = ask(url, "x" * MAX_BODY)
    assert answer.status_code == 413
    assert str(MAX_BODY) in answer.json()["error"]["message"]


def test_a_key_is_asked_for_where_there_is_one() -> None:
    with service_of(api_key="secret") as (_, url):
        for given in ("", "Bearer wrong", "Bearer secre", "secret", "Basic secret", "Bearer"):
            answer = ask(url, headers={"Authorization": given} if given else {})
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "invalid_api_key"
        for scheme in ("Bearer", "bearer"):
            assert said(ask(url, headers={"Authorization": f"{scheme} secret"}, max_tokens=2))
        assert httpx.get(f"{url}/v1/models", trust_env=False).status_code == 401
        assert health(url) == {"status": "ok"}, "whoever has no key learns no more"
        shown = httpx.get(f"{url}/health", trust_env=False, headers={"Authorization": "Bearer secret"}).json()
        assert shown["requests"] == 2


@pytest.fixture
def slow(monkeypatch):
    """A service that waits at every step until it is let go on."""
    with service_of(rows=2, queue=1, seconds=30) as (service, url):
        gate = threading.Event()
        compute = service.backend.stream.step_logits
        monkeypatch.setattr(
            service.backend.stream, "step_logits", lambda layers: gate.wait(20) and compute(layers)
        )
        yield service, url, gate
        gate.set()


def test_a_full_queue_is_429_and_says_when_to_come_back(slow) -> None:
    service, url, gate = slow
    with ThreadPoolExecutor(3) as pool:
        first = [pool.submit(ask, url, max_tokens=3, seed=i) for i in range(3)]
        until(lambda: service.under_way == 3)
        began = time.monotonic()
        refused = ask(url, max_tokens=3)
        assert time.monotonic() - began < 5, "HTTP is answered while the engine computes"
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "queue_full"
        assert int(refused.headers["Retry-After"]) >= 1
        assert health(url)["waiting"] == 1
        gate.set()
        assert all(said(each.result()) for each in first)
    assert said(ask(url, max_tokens=3))
    assert service.under_way == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_frees_its_rows(slow, stream) -> None:
    service, url, gate = slow
    rows = service.backend.stream.rows
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(
        {"messages": [{"role": "user", "content": "w1"}], "max_tokens": 40, "n": 2, "stream": stream}
    )
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        until(lambda: rows.active == 2)
    until(lambda: service.under_way == 0)
    gate.set()
    until(lambda: rows.active == 0)
    assert service.backend.stream.drawn < 20, "it was not drawn to its end"
    assert said(ask(url, max_tokens=2))


def test_a_request_that_takes_too_long_is_504(monkeypatch, caplog) -> None:
    with service_of(seconds=0.3) as (service, url):
        compute = service.backend.stream.step_logits
        monkeypatch.setattr(
            service.backend.stream, "step_logits", lambda layers: time.sleep(0.1) or compute(layers)
        )
        answer = ask(url, max_tokens=40)
        assert answer.status_code == 504
        assert "--timeout" in answer.json()["error"]["message"]
        until(lambda: service.backend.stream.rows.active == 0)


def test_an_error_in_a_row_ends_its_request_alone(monkeypatch, caplog) -> None:
    with service_of() as (service, url):
        decode = service.backend.stream.decoder.decode

        def failing(ids):
            if threading.current_thread().name == "engine":
                raise ValueError("no text")
            return decode(ids)

        monkeypatch.setattr(service.backend.stream.decoder, "decode", failing)
        with ThreadPoolExecutor(3) as pool:
            good = [pool.submit(ask, url, max_tokens=20, seed=i) for i in range(2)]
            bad = pool.submit(ask, url, max_tokens=20, stop="x").result()
        assert bad.status_code == 500
        assert bad.json()["error"] == {
            "message": "ValueError: no text",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        assert all(said(each.result()) for each in good)
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("biddable.serve")]
        assert lines == ["a request failed (500): ValueError: no text"]
        assert health(url)["failed"] == 1


def test_an_error_in_a_stream_is_its_last_event(monkeypatch) -> None:
    with service_of() as (service, url):
        compute, calls = service.backend.stream.step_logits, []

        def failing(layers):
            calls.append(1)
            if len(calls) == 2:  # early: the answer may be at its end after some tokens
                raise RuntimeError("out of memory")
            return compute(layers)

        monkeypatch.setattr(service.backend.stream, "step_logits", failing)
        lines = [line for line in ask(url, max_tokens=20, stream=True).iter_lines() if line]
        assert "out of memory" in json.loads(lines[-1].removeprefix("data: "))["error"]["message"]
        assert said(ask(url, max_tokens=20))


def test_an_engine_that_is_gone_is_said_and_nobody_waits_for_it(monkeypatch) -> None:
    with service_of() as (service, url):

        def broken(layers):
            raise RuntimeError("no device")

        monkeypatch.setattr(service.backend.stream, "step", broken)
        for _ in range(2):
            answer = ask(url, max_tokens=4)
            assert answer.status_code == 503
            assert "the engine has stopped" in answer.json()["error"]["message"]
        assert health(url)["status"] == "broken"


def test_a_prompt_stands_around_every_input(tiny_model) -> None:
    template = PromptTemplate("w7 w8", input="{input}", output="w9 {output}")
    with service_of() as (service, url):
        service.template = template
        [text] = said(ask(url, "w1 w2", seed=4, max_tokens=6))
    prompt = template.prompt(user("w1 w2"))
    assert prompt != user("w1 w2")
    [[response]] = tiny_model.generate([prompt], sampling=Sampling(max_tokens=6), seeds=[4])
    assert text == response.text


def test_while_it_stops_new_requests_are_refused_and_those_under_way_end(slow) -> None:
    service, url, gate = slow
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, url, max_tokens=3)
        until(lambda: service.under_way == 1)
        service.stopping = True
        answer = ask(url, max_tokens=3)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert httpx.get(f"{url}/health", trust_env=False).status_code == 503
        gate.set()
        assert said(first.result())


class Elsewhere:
    """A model whose weights are elsewhere."""

    name = "far"

    def generate(self, prompts, *, n=1, sampling=None, seeds=None):
        if prompts[0] == user("break"):
            return [[Response("", finish_reason="error", error="it is gone")] * n]
        if prompts[0] == user("unreachable"):
            raise EndpointError("no connection")
        return [[Response(f"{seeds[0]} {sampling.max_tokens}") for _ in range(n)] for _ in prompts]


def test_a_model_that_is_served_elsewhere_answers_without_joining(caplog) -> None:
    model = Elsewhere()
    with listening(Service("far", model, Alone(model, 2), Limits())) as (_, url):
        answer = ask(url, seed=5, n=2, max_tokens=9).json()
        assert [choice["message"]["content"] for choice in answer["choices"]] == ["5 9", "5 9"]
        assert answer["usage"] is None
        events = events_of(ask(url, seed=5, max_tokens=9, stream=True).iter_lines())
        assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == "5 9"
        refused = ask(url, logprobs=True)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "logprobs")
        broken = ask(url, "break")
        assert (broken.status_code, broken.json()["error"]["message"]) == (502, "it is gone")
        gone = ask(url, "unreachable")
        assert (gone.status_code, gone.json()["error"]["message"]) == (502, "no connection")
        assert health(url)["joins"] is False


def test_a_model_on_the_plain_path_answers_the_same(tiny_model) -> None:
    backend = Alone(tiny_model, 1)
    with listening(Service("tiny", tiny_model, backend, Limits(context=64))) as (_, url):
        answer = ask(url, seed=5, max_tokens=9, logprobs=True).json()["choices"][0]
        refused = ask(url, logprobs=True, top_logprobs=2)
    [[response]] = tiny_model.generate([user("w1 w2")], sampling=Sampling(max_tokens=9), seeds=[5])
    assert answer["message"]["content"] == response.text
    assert [token["logprob"] for token in answer["logprobs"]["content"]] == list(response.logprobs)
    assert refused.json()["error"]["param"] == "top_logprobs"


def test_a_prompt_that_chooses_answers_with_the_likeliest_of_its_choices(tiny_model) -> None:
    template = PromptTemplate("w7 w8", input="{input}", output="w9 {output}", choices=("w1", "w2 w3", "w4"))
    backend = Alone(tiny_model, 1, template.choices)
    texts = [f"w{i}" for i in range(10, 18)]
    with listening(Service("tiny", tiny_model, backend, Limits(context=64), template=template)) as (_, url):
        answers = [ask(url, text, temperature=2, seed=1).json() for text in texts]
        raw = ask(url, texts[0], "completions").json()
        [*_, last] = events_of(ask(url, texts[0], stream=True).iter_lines())
        refused = {
            field: ask(url, **{field: value})
            for field, value in {"n": 2, "logprobs": True, "stop": "w1"}.items()
        }
        long = ask(url, "w1 " * 55, max_tokens=1)  # the longest choice has two
    prompts = [template.prompt(user(text)) for text in texts]
    ranked = rank_choices(tiny_model, prompts, template.choices)
    expected = [template.choices[each.best] for each in ranked]
    assert len(set(expected)) > 1, "the input matters, or nothing is tested"
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == expected
    usage = [answer["usage"]["completion_tokens"] for answer in answers]
    assert usage == [len(choice.split()) for choice in expected]
    [best] = rank_choices(tiny_model, [template.prompt(texts[0])], [f" {each}" for each in template.choices])
    assert raw["choices"][0]["text"] == template.choices[best.best]
    assert last["choices"][0]["delta"]["content"] == expected[0]
    for field, answer in refused.items():
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert long.json()["error"]["code"] == "context_length_exceeded"


def test_a_choice_by_numbers_that_are_none_is_500_and_the_next_is_answered(tiny_model, monkeypatch) -> None:
    model = local()
    backend = Alone(model, 1, ("w1", "w2"))
    template = PromptTemplate("w7", choices=("w1", "w2"))
    score = model.score
    with listening(Service("tiny", model, backend, Limits(context=64), template=template)) as (_, url):
        with monkeypatch.context() as broken:
            none = TokenScores((1,), (float("nan"),))
            broken.setattr(model, "score", lambda prompts, texts, **_: [none for _ in texts])
            failed = ask(url)
        assert model.score == score
        assert (failed.status_code, "not finite" in failed.text) == (500, True)
        assert said(ask(url))[0] in ("w1", "w2")


def test_a_backend_is_over_once_what_it_computes_is() -> None:
    with service_of(rows=2) as (service, url):
        computing, gate = threading.Event(), threading.Event()
        compute = service.backend.stream.step_logits

        def held(layers):
            computing.set()
            gate.wait(30)
            return compute(layers)

        service.backend.stream.step_logits = held
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask, url, max_tokens=5)
            assert computing.wait(30)
            service.backend.stop()
            assert asking.result().status_code == 503
        assert not service.backend.ended(0.05)
        gate.set()
        assert service.backend.ended(30)
    served = Alone(Elsewhere(), 3)
    with listening(Service("far", served.model, served, Limits())):
        pass
    assert served.ended(30)


def test_requests_whose_rows_end_at_once_are_all_answered() -> None:
    with service_of(rows=1, queue=50) as (_, url), ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, url, n=3, max_tokens=1, seed=seed) for seed in range(4)]
        assert [len(said(each.result())) for each in asking] == [3] * 4


def test_the_coldest_temperature_is_the_likeliest_and_hurts_nobody(url) -> None:
    for filtered in ({}, {"top_p": 0.9}):
        cold, greedy = (ask(url, temperature=t, max_tokens=5, seed=3, **filtered) for t in (1e-310, 0))
        assert said(cold) == said(greedy)


def test_log_lines_are_few(url, caplog) -> None:
    with caplog.at_level(logging.INFO):
        ask(url, max_tokens=2)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
