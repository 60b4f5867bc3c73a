"""Kept answers are used only where the model that gave them still answers."""

from __future__ import annotations

import json
import logging
import time

import pytest

from biddable.errors import EndpointError
from biddable.models.base import Sampling
from biddable.types import user
from tests.models.served import Server, answer, completion, model, ok, refusing, texts

CHATS = [user("a"), user("b")]


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def ask(server, folder, chats=CHATS, **options):
    return texts(model(server, cache=folder, **options).generate(chats))


def test_the_same_model_is_not_asked_again_and_that_is_said(server, tmp_path, caplog):
    assert ask(server, tmp_path) == [["fine"], ["fine"]]
    assert caplog.messages == []
    assert ask(server, tmp_path, [*CHATS, user("c")]) == [["fine"]] * 3
    assert len(server.requests) == 3
    assert ["2 of 3 answers of m came from the cache" in message for message in caplog.messages] == [True]


def test_what_this_very_model_asked_is_used_again_without_a_word(server, tmp_path, caplog):
    asked = model(server, cache=tmp_path)
    assert asked.generate(CHATS) == asked.generate(CHATS)
    assert len(server.requests) == 2
    assert len(server.canaries) == 1
    assert caplog.messages == []


def test_another_model_that_tells_nothing_of_itself_is_asked(server, tmp_path, caplog):
    ask(server, tmp_path)
    server.canary, server.behaviours = ok("something else"), [ok("new")]
    assert ask(server, tmp_path, [user("b"), user("a")]) == [["new"], ["new"]]
    assert "is another model than when answers were kept" in caplog.text
    # It was asked what the first one had been asked.
    assert [body["messages"][0]["content"] for body in server.canaries] == ["a", "a"]
    assert all(body["temperature"] == 0 for body in server.canaries)
    # The first one comes back, and with it what it said.
    server.canary = ok("the same as ever")
    assert ask(server, tmp_path) == [["fine"], ["fine"]]


@pytest.mark.parametrize(
    "told",
    [
        {"root": "/models/other"},
        {"owned_by": "other"},
        {"meta": {"n_params": 7}},
        {"created": 1_600_000_000},
    ],
)
def test_what_the_list_of_models_tells_counts(server, tmp_path, told):
    entry = {"id": "m", "root": "/models/m", "created": 1_500_000_000}
    server.routes["/v1/models"] = {"data": [{"id": "x"}, entry]}
    ask(server, tmp_path)
    ask(server, tmp_path)
    assert len(server.requests) == 2
    server.routes["/v1/models"] = {"data": [{"id": "x"}, entry | told]}
    ask(server, tmp_path)
    assert len(server.requests) == 4


def test_what_changes_from_request_to_request_does_not_count(server, tmp_path):
    now = int(time.time())
    for created in (now - 3, now):
        entry = {"id": "m", "created": created, "permission": [{"id": f"perm-{created}"}]}
        server.routes["/v1/models"] = {"data": [entry]}
        ask(server, tmp_path)
    assert len(server.requests) == 2


@pytest.mark.parametrize("told", [{"model": "m-0801"}, {"system_fingerprint": "fp_2"}])
def test_what_an_answer_tells_counts(server, tmp_path, told):
    ask(server, tmp_path)
    server.canary = answer(200, completion("the same as ever") | told)
    ask(server, tmp_path)
    assert len(server.requests) == 4


def test_the_file_that_a_server_has_loaded_counts(server, tmp_path):
    server.routes["/v1/models"] = {"data": [{"id": "m"}]}
    for path in ("/a.gguf", "/b.gguf"):
        server.routes["/props"] = {"model_path": path}
        ask(server, tmp_path)
    assert len(server.requests) == 4
    assert set(server.gets) == {"/v1/models", "/props"}


@pytest.mark.parametrize("listed", [[], {"data": 5}, {"data": ["m"]}, {"data": []}, "m", None])
def test_a_list_of_another_form_tells_nothing(server, tmp_path, listed):
    server.routes["/v1/models"] = listed
    assert ask(server, tmp_path) == ask(server, tmp_path)
    assert len(server.requests) == 2


def test_answers_that_are_drawn_are_kept_as_well(server, tmp_path):
    hot = Sampling(temperature=1.0)
    for _ in range(2):
        model(server, cache=tmp_path).generate(CHATS, sampling=hot)
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 500])
def test_where_no_short_answer_can_be_had_nothing_kept_is_used(server, tmp_path, caplog, status):
    ask(server, tmp_path)
    server.canary = answer(status, {})
    assert ask(server, tmp_path) == [["fine"], ["fine"]]
    assert len(server.requests) == 4
    assert "no kept answer is used" in caplog.text


def test_a_refused_prompt_is_not_the_one_that_tells(server, tmp_path):
    def not_a(handler, body):
        bad = body["messages"][0]["content"] == "a"
        (answer(400, {}) if bad else ok("same"))(handler, body)

    server.canary = not_a
    ask(server, tmp_path)
    ask(server, tmp_path)
    assert [body["messages"][0]["content"] for body in server.canaries] == ["a", "b", "b"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[]", json.dumps({"messages": [5], "identity": "x"}).encode()]
)
def test_a_damaged_note_is_none(server, tmp_path, damage):
    ask(server, tmp_path)
    [note] = (tmp_path / "models").iterdir()
    whole = note.read_bytes()
    note.write_bytes(damage)
    ask(server, tmp_path)
    assert note.read_bytes() == whole
    assert len(server.requests) == 2


def test_without_a_cache_nothing_more_is_asked(server):
    model(server).generate(CHATS)
    assert server.canaries == server.gets == []


def test_a_server_that_is_gone_is_told(server, tmp_path):
    ask(server, tmp_path)
    server.close()
    with pytest.raises(EndpointError, match="ConnectError"):
        ask(server, tmp_path)


def test_a_field_that_is_refused_is_found_out_once(server, tmp_path, caplog):
    server.canary = server.behaviours[0] = refusing("seed")
    with caplog.at_level(logging.WARNING):
        ask(server, tmp_path)
    assert ["seed" in body for body in server.canaries] == [True, False]
    assert ["seed" in body for _, body in server.requests] == [False, False]
    assert len(caplog.messages) == 1
