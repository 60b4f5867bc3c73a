"""What happens when a server is busy, broken, lying or gone: against a real HTTP server that is all of it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from biddable.errors import EndpointError, InputError
from biddable.models.base import LanguageModel, NoScoresError, Sampling
from biddable.models.openai import (
    FAILED_IN_ROW,
    PLAIN_REQUEST,
    OpenAIModel,
    base_url,
    chat_url,
    parse_spec,
)
from biddable.types import Response, user
from tests.models.served import (
    Server,
    answer,
    count_files,
    echo_seed,
    hang_up,
    model,
    ok,
    refusing,
    reset,
    texts,
)

KEY = "sk-very-secret-0123456789"

PLAIN = [{"role": "user", "content": PLAIN_REQUEST}]


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


# --- what may pass is tried again ---


@pytest.mark.parametrize(
    "fault",
    [
        *(answer(status, {"error": {"message": "busy"}}) for status in (408, 409, 429, 500, 502, 503, 529)),
        *(
            answer(200, body)
            for body in (
                b"garbage",
                b"",
                b'{"choices": [{"message": {"con',
                b"\xff\xfe\x00",
                b"[" * 100_000,
                b"[]",
                b"null",
                b'{"choices": []}',
                b'{"choices": {}}',
                b'{"choices": [{"message": {"content": 7}}]}',
                b'{"choices": [{"message": "hello"}]}',
            )
        ),
        reset,
        hang_up,
    ],
)
def test_a_fault_that_may_pass_is_tried_again(server, fault):
    server.behaviours = [fault, fault, ok()]
    assert texts(model(server).generate([user("hi")])) == [["fine"]]
    assert len(server.requests) == 3


def test_retry_after_in_seconds_is_honoured(server):
    server.behaviours = [answer(429, {}, Retry_After="1"), ok()]
    start = time.monotonic()
    assert texts(model(server).generate([user("hi")])) == [["fine"]]
    assert 1 <= time.monotonic() - start < 5


def test_retry_after_as_a_date_is_honoured(server):
    # An HTTP date has whole seconds: two seconds from now is between one and two away.
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.behaviours = [answer(503, {}, Retry_After=until), ok()]
    start = time.monotonic()
    model(server).generate([user("hi")])
    assert 0.9 <= time.monotonic() - start < 6


# --- what does not pass ends, in bounded time and in one line ---


def test_errors_for_ever_end_after_the_retries(server):
    server.behaviours = [answer(500, {"error": {"message": "out of\n  memory"}})]
    with pytest.raises(EndpointError) as raised:
        model(server).generate([user("hi")])
    assert [body["messages"] == PLAIN for _, body in server.requests] == [False, False, False, True]
    last = "500 Internal Server Error: out of memory"
    assert str(raised.value) == f"{server.url}/v1: no usable answer after 3 attempts; the last: {last}"


def test_an_error_under_the_name_of_success_is_told(server):
    server.behaviours = [answer(200, {"error": {"message": "quota used up"}})]
    with pytest.raises(EndpointError, match=r"makes no sense \(no chat completion: .*\): quota used up"):
        model(server).generate([user("hi")])


@pytest.mark.parametrize("silence", ["hang", "trickle"])
def test_a_server_that_never_finishes_ends_in_bounded_time(server, silence):
    server.behaviours = [getattr(server, silence)]
    start = time.monotonic()
    with pytest.raises(EndpointError, match=r"after 2 attempts; the last: not answered in full within 0.3 s"):
        model(server, timeout_s=0.3, retries=1).generate([user("hi")])
    assert time.monotonic() - start < 5


def test_nobody_listening(server):
    server.close()
    with pytest.raises(EndpointError, match="no usable answer after 3 attempts; the last: ConnectError"):
        model(server).generate([user("hi")])


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_us_is_not_tried_again_and_stops_the_batch(server, status):
    server.behaviours = [answer(status, {"error": {"message": "no, because of reasons"}})]
    with pytest.raises(EndpointError, match=f"{status} .*: no, because of reasons"):
        model(server, concurrency=2).generate([user(str(i)) for i in range(50)])
    assert len(server.requests) <= 4


def test_a_redirect_is_not_followed_with_the_key(server):
    server.behaviours = [answer(307, {}, Location="http://127.0.0.1:9/v1/chat/completions")]
    with pytest.raises(
        EndpointError, match=r"307 Temporary Redirect to http://127.0.0.1:9/v1/chat/completions"
    ):
        model(server, api_key=KEY).generate([user("hi")])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "too hot", "code": 1}}, "too hot"),
        ({"error": "too hot"}, "too hot"),
        ({"detail": "too hot"}, "too hot"),
        ({"message": "too hot"}, "too hot"),
        ({"detail": [{"loc": ["body", "n"]}]}, '{"detail": [{"loc": ["body", "n"]}]}'),
        (b"<h1>too \x1b[31mhot</h1>\n", "<h1>too [31mhot</h1>"),
        (b"", "(nothing more)"),
        (b"x" * 5000, "x" * 200),
    ],
)
def test_the_error_says_what_the_server_said_in_one_line(server, body, said):
    server.behaviours = [answer(403, body)]
    with pytest.raises(EndpointError) as raised:
        model(server).generate([user("hi")])
    line = str(raised.value)
    assert line.startswith(f"{server.url}/v1: 403 Forbidden: {said}")
    assert line.isprintable()
    assert len(line) < 400


# --- partial failure ---


def test_after_a_server_failed_a_rerun_asks_only_for_what_is_missing(server, tmp_path):
    chats = [user(str(i)) for i in range(5)]
    server.behaviours = [echo_seed, echo_seed, echo_seed, answer(401, {})]
    with pytest.raises(EndpointError):
        model(server, concurrency=1, cache=tmp_path).generate(chats)
    assert count_files(tmp_path) == 3

    server.requests.clear()
    server.behaviours = [echo_seed]
    rows = model(server, cache=tmp_path).generate(chats)
    assert sorted(body["messages"][0]["content"] for _, body in server.requests) == ["3", "4"]
    assert rows == model(server).generate(chats)


def test_one_refused_request_does_not_cost_the_others(server, tmp_path, caplog):
    def too_long_for_2(handler, body):
        long = body["messages"][0]["content"] == "2"
        (answer(400, {"error": {"message": "context too long"}}) if long else echo_seed)(handler, body)

    chats = [user(str(i)) for i in range(5)]
    server.behaviours = [too_long_for_2]
    rows = model(server, concurrency=1, cache=tmp_path).generate(chats)
    refused = Response("", finish_reason="error", error="400 Bad Request: context too long")
    assert [row == [refused] for row in rows] == [False, False, True, False, False]
    assert count_files(tmp_path) == 4
    assert caplog.messages == [
        "1 of 5 requests to m got no answer; the first: 400 Bad Request: context too long"
    ]
    # Alone it is refused all the same: it is the request's fault, as a plain one is answered.
    assert model(server, cache=tmp_path).generate(chats[2:3], seeds=[2]) == [[refused]]


@pytest.mark.parametrize("status", [403, 413, 422, 451, 500])
def test_one_prompt_that_never_gets_an_answer_does_not_cost_the_others(server, status):
    def not_2(handler, body):
        bad = body["messages"][0]["content"] == "2"
        (answer(status, {"error": {"message": "no"}}) if bad else ok())(handler, body)

    server.behaviours = [not_2]
    rows = model(server, retries=1).generate([user(str(i)) for i in (2, 0, 1)])
    assert texts(rows) == [[""], ["fine"], ["fine"]]
    assert f"{status} " in rows[0][0].error


def test_many_bad_prompts_in_a_row_do_not_end_the_good_one(server):
    def only_the_last(handler, body):
        good = body["messages"] in ([{"role": "user", "content": "11"}], PLAIN)
        (ok() if good else answer(500, {"error": {"message": "no"}}))(handler, body)

    server.behaviours = [only_the_last]
    rows = model(server, retries=0).generate([user(str(i)) for i in range(12)])
    assert [response.text for [response] in rows] == [""] * 11 + ["fine"]


def test_a_server_that_breaks_down_does_not_take_hours(server):
    server.behaviours = [ok(), ok(), answer(500, {"error": {"message": "broken"}})]
    with pytest.raises(EndpointError, match=r"500 Internal Server Error: broken .* and so did a plain one"):
        model(server, retries=1, concurrency=1).generate([user(str(i)) for i in range(500)])
    assert len(server.requests) == 2 + 2 * FAILED_IN_ROW + 1


def test_an_answer_without_text_is_told_and_not_kept(server, tmp_path, caplog):
    server.behaviours = [ok(None, finish="tool_calls", message={"content": None, "tool_calls": [{}]}), ok()]
    rows = model(server, cache=tmp_path, concurrency=1).generate([user("a"), user("b")])
    assert rows[0][0].error == "no answer: the model called tools instead"
    assert count_files(tmp_path) == 1
    assert "1 of 2 requests to m got no answer" in caplog.text


def test_a_damaged_entry_is_fetched_again(server, tmp_path):
    server.behaviours = [ok("first"), ok("second")]
    model(server, cache=tmp_path).generate([user("hi")])
    [entry] = [path for path in tmp_path.glob("??/*") if path.is_file()]
    entry.write_bytes(entry.read_bytes()[:-5])
    assert texts(model(server, cache=tmp_path).generate([user("hi")])) == [["second"]]
    assert texts(model(server, cache=tmp_path).generate([user("hi")])) == [["second"]]
    assert len(server.requests) == 2


def test_a_cache_that_cannot_be_written_costs_no_response(server, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        rows = model(server, cache=tmp_path / "file").generate([user("a"), user("b")])
    assert texts(rows) == [["fine"], ["fine"]]
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": [user("other")]},
        {"sampling": Sampling(temperature=0.5)},
        {"sampling": Sampling(top_k=2)},
        {"sampling": Sampling(top_p=0.5)},
        {"sampling": Sampling(max_tokens=3)},
        {"sampling": Sampling(stop=("x",))},
        {"seeds": [1]},
    ],
)
def test_another_request_is_not_answered_from_the_cache(server, tmp_path, change):
    same = {"prompts": [user("hi")], "sampling": Sampling(), "seeds": [0]}
    model(server, cache=tmp_path).generate(**same)
    model(server, cache=tmp_path).generate(**same)
    assert len(server.requests) == 1
    model(server, cache=tmp_path).generate(**{**same, **change})
    assert len(server.requests) == 2


# --- the request ---


def test_the_whole_request(server):
    sampling = Sampling(max_tokens=9, temperature=0.7, top_k=5, top_p=0.9, stop=("END",))
    model(server, api_key=KEY).generate([user("hi")], sampling=sampling, seeds=[3])
    [(path, body)] = server.requests
    assert path == "/v1/chat/completions"
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    seed = body.pop("seed")
    assert 0 <= seed < 2**31
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 0.7,
        "top_k": 5,
        "top_p": 0.9,
        "min_p": 0.0,
        "stop": ["END"],
        "logprobs": True,
        "top_logprobs": 1,
        "stream": False,
    }


def test_rows_and_samples_have_seeds_of_their_own_whatever_else_is_in_the_batch(server):
    server.behaviours = [echo_seed]
    chats = [user(str(i)) for i in range(4)]
    rows = texts(model(server).generate(chats, n=3))
    assert len({text for row in rows for text in row}) == 12
    assert texts(model(server).generate(chats[2:3], n=2, seeds=[2])) == [rows[2][:2]]


def test_no_more_requests_at_a_time_than_allowed(server):
    now, most, lock = 0, 0, threading.Lock()

    def slow(handler, body):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        ok()(handler, body)

    server.behaviours = [slow]
    model(server, concurrency=3).generate([user(str(i)) for i in range(9)])
    assert most == 3


@pytest.mark.parametrize("field", ["top_k", "min_p", "logprobs"])
def test_a_field_that_only_says_no_filter_is_left_out_where_it_is_refused(server, caplog, field):
    server.behaviours = [refusing(field)]
    asked = model(server, concurrency=1)
    with caplog.at_level(logging.WARNING):
        asked.generate([user("a"), user("b")])
    assert [field in body for _, body in server.requests] == [True, False, False]
    assert len(caplog.messages) == 1
    assert field in caplog.text


def test_a_filter_that_was_asked_for_is_never_left_out(server):
    server.behaviours = [refusing("top_k")]
    asked = model(server)
    asked.generate([user("a")])
    with pytest.raises(EndpointError, match="Unrecognized request argument supplied: top_k"):
        asked.generate([user("a")], sampling=Sampling(top_k=5))
    assert [body.get("top_k") for _, body in server.requests] == [0, None, 5, 5]


def test_proxies_of_the_environment_are_not_asked_for_loopback(server, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert texts(model(server).generate([user("hi")])) == [["fine"]]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ALL_PROXY", "socks4://me:secret@127.0.0.1:9", r"all=socks4://\*\*\*@127.*Unknown scheme"),
        ("HTTP_PROXY", "foo://proxy", "http=foo://proxy.*Unknown scheme"),
        ("NO_PROXY", "[::::", "Invalid port"),
        ("HTTP_PROXY", "http://127.0.0.1:99999", "http=http://127.0.0.1:99999.*Invalid port: 99999"),
        ("ALL_PROXY", "127.0.0.1:65536", "all=127.0.0.1:65536.*Invalid port: 65536"),
    ],
)
def test_proxies_that_cannot_be_used_are_named(monkeypatch, name, value, problem):
    for other in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(other, raising=False)
        monkeypatch.delenv(other.lower(), raising=False)
    monkeypatch.setenv(name, value)
    asked = OpenAIModel("m", "http://nowhere.invalid", retries=0)
    with pytest.raises(InputError, match=problem) as caught:
        asked.generate([user("hi")])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("charset", ["hex", "rot13", "idna", "utf-16"])
def test_an_encoding_that_does_not_hold_ends_nothing(server, charset):
    named = {"Content_Type": f"text/plain; charset={charset}"}
    server.behaviours = [
        answer(400, b"no \xff", **named),
        answer(503, b"busy", **named),
        answer(200, b"?", **named),
        ok(),
    ]
    rows = model(server, concurrency=1).generate([user("a"), user("b")])
    assert [row[0].text for row in rows] == ["", "fine"]
    assert rows[0][0].error == "400 Bad Request: no \ufffd"


def test_it_works_where_a_loop_already_runs(server):
    async def notebook():
        return model(server).generate([user("hi")])

    assert texts(asyncio.run(notebook())) == [["fine"]]


def test_nothing_in_nothing_asked(server):
    assert model(server).generate([]) == []
    assert server.requests == []


def test_stdout_stays_empty(server, capsys):
    model(server).generate([user("hi")])
    assert capsys.readouterr().out == ""


# --- the key ---


@pytest.mark.parametrize("status", [400, 401, 500])
def test_the_key_is_shown_nowhere_even_if_the_server_repeats_it(
    server, tmp_path, caplog, status, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")

    def tell(handler, body):
        key = handler.headers["Authorization"].removeprefix("Bearer ")
        # Where the line is cut off, half a key must not be left standing.
        answer(status, {"error": {"message": "x" * 280 + f" {key}"}})(handler, body)

    server.behaviours = [ok(), tell]
    asked = model(server, cache=tmp_path, concurrency=1)
    said = ""
    with caplog.at_level(logging.DEBUG):
        try:
            said = asked.generate([user("a"), user("b")])[1][0].error
        except EndpointError as raised:
            said = str(raised)
    assert str(status) in said
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY[:8] not in said + repr(asked._endpoint) + caplog.text
    kept = [path.read_bytes() + path.name.encode() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) == 2
    assert KEY[:8].encode() not in b"".join(kept)


@pytest.mark.parametrize("key", ["sk secret", "sk-\nsecret", "sk-sécret", "sk-\x00secret"])
def test_a_key_that_no_header_can_hold_is_refused_unseen(server, key):
    with pytest.raises(InputError, match="api_key is '\\(not shown\\)'") as raised:
        model(server, api_key=key)
    assert "cret" not in str(raised.value)


# --- names, addresses, arguments ---


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:1", "http://h:1/v1"),
        ("http://h:1/", "http://h:1/v1"),
        ("http://h:1/v1", "http://h:1/v1"),
        ("http://h:1/v1/", "http://h:1/v1"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1"),
        ("http://h:1/chat/completions", "http://h:1"),
        ("http://h:1/no-v1/chat/completions/", "http://h:1/no-v1"),
        ("https://h/openai/deployments/d?api-version=2024-10-21", "https://h/openai/deployments/d"),
        ("https://h/openai", "https://h/openai/v1"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
        ("http://[::1]:80/v1", "http://[::1]/v1"),
    ],
)
def test_addresses_are_taken_with_and_without_version(url, base):
    assert base_url(url) == base


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://h:1", "http://h:1/v1/chat/completions"),
        ("http://h:1/chat/completions", "http://h:1/chat/completions"),
        ("http://h:1/chat/completions/?x=1", "http://h:1/chat/completions/?x=1"),
        ("https://h/v1?x=1", "https://h/v1/chat/completions?x=1"),
        (
            "https://h/openai/deployments/d?api-version=2024-10-21",
            "https://h/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_a_full_address_and_a_query_are_taken_as_they_stand(url, asked):
    assert chat_url(url) == asked


def test_the_query_is_sent(server):
    asked = OpenAIModel("m", f"{server.url}/openai/deployments/d?api-version=2024-10-21")
    assert texts(asked.generate([user("hi")])) == [["fine"]]
    assert server.requests[0][0] == "/openai/deployments/d/chat/completions?api-version=2024-10-21"


def test_a_key_in_the_address_is_not_shown(server):
    server.behaviours = [answer(401, {})]
    with pytest.raises(EndpointError, match=r"/\*\*\*/v1: 401") as raised:
        OpenAIModel("m", f"{server.url}/{KEY}", api_key=KEY).generate([user("hi")])
    assert KEY not in str(raised.value)


def test_a_long_wait_that_is_asked_for_takes_up_no_retry(server, monkeypatch):
    waits = []

    async def at_once(seconds):
        waits.append(seconds)

    monkeypatch.setattr("biddable.models.endpoint.asyncio.sleep", at_once)
    busy = answer(429, {"error": {"message": "Please try again in 20s."}})
    server.behaviours = [busy, busy, busy, ok()]
    assert texts(model(server, retries=2).generate([user("hi")])) == [["fine"]]
    assert waits == [20, 20, 20]
    server.behaviours = [busy]
    server.requests.clear()
    with pytest.raises(EndpointError, match="after 5 attempts"):
        model(server, retries=2).generate([user("hi")])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:1",
        "ftp://h",
        "http://",
        "http://h:99999",
        "http://u:secret@h",
        "http://h?key=secret",
        "http://h/chat/completions?api-version=1&sig=secret",
        "http://h#x",
    ],
)
def test_addresses_that_cannot_be_used(url):
    with pytest.raises(InputError, match="url is") as raised:
        base_url(url)
    assert "secret" not in str(raised.value)


def test_a_spec_names_model_and_address(server, tmp_path, monkeypatch):
    monkeypatch.setenv("BIDDABLE_CACHE", str(tmp_path))
    found = parse_spec(f"openai:@org/m:8b@{server.url}/v1")
    assert isinstance(found, LanguageModel)
    assert found.name == "@org/m:8b"
    assert texts(found.generate([user("hi")])) == [["fine"]]
    assert server.requests[0][1]["model"] == "@org/m:8b"
    assert count_files(tmp_path / "responses") == 1


@pytest.mark.parametrize(
    "spec",
    ["openai:", "openai:m", "openai:m@h:80", "openai:@http://h", "m@http://h", "openai:m@ftp://u:secret@h/x"],
)
def test_specs_of_another_form(spec):
    with pytest.raises(InputError, match=r"model is .*, expected openai:NAME@URL") as raised:
        parse_spec(spec)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "options", [{"timeout_s": 0}, {"timeout_s": float("nan")}, {"retries": -1}, {"concurrency": 0}]
)
def test_arguments_that_cannot_be_used(server, options):
    with pytest.raises(InputError, match=next(iter(options))):
        model(server, **options)


def test_calls_that_cannot_be_used(server):
    with pytest.raises(InputError, match="n is 0"):
        model(server).generate([user("a")], n=0)
    with pytest.raises(InputError, match="seeds is '2 of them', expected one for each of the 1 prompts"):
        model(server).generate([user("a")], seeds=[1, 2])


def test_what_cannot_be_scored_is_refused_in_so_many_words(server):
    for prompt, end, where in ((user("a"), False, "after a chat"), ("a", True, "with the end of the turn")):
        with pytest.raises(
            NoScoresError, match=rf"^openai:m@http.* no log-probabilities of given text {where}"
        ):
            model(server).score([prompt], ["b"], end=end)
