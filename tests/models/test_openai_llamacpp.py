"""The client against a server that is not ours: llama.cpp's, serving SmolLM2-135M-Instruct."""

from __future__ import annotations

import pytest

from biddable.models.base import NoScoresError, Sampling
from biddable.models.choices import rank_choices
from biddable.models.openai import OpenAIModel
from biddable.types import user

COLOURS, FRANCE = user("Name three colours."), user("What is the capital of France?")
SHORT = Sampling(max_tokens=8)


@pytest.fixture
def model(llamacpp):
    return OpenAIModel("smollm2", llamacpp, retries=0)


def test_a_response_depends_on_its_own_seed_alone(model):
    rows = model.generate([COLOURS, FRANCE], n=2, sampling=SHORT, seeds=[5, 6])
    assert rows[0][0].text != rows[0][1].text
    assert [r.text for r in model.generate([FRANCE], n=2, sampling=SHORT, seeds=[6])[0]] == [
        r.text for r in rows[1]
    ]
    assert model.generate([FRANCE], sampling=SHORT, seeds=[7])[0][0].text != rows[1][0].text


def test_every_token_has_its_logprob(model):
    [[response]] = model.generate([FRANCE], sampling=Sampling(max_tokens=8, temperature=0.0))
    assert response.finish_reason == "length"
    assert len(response.logprobs) == 8
    assert all(-10 < logprob <= 0 for logprob in response.logprobs)


def test_a_stop_string_ends_the_response_and_is_not_part_of_it(model):
    [[whole]] = model.generate([FRANCE], sampling=Sampling(max_tokens=12, temperature=0.0))
    third = whole.text.split()[2]
    [[cut]] = model.generate([FRANCE], sampling=Sampling(max_tokens=12, temperature=0.0, stop=(third,)))
    assert cut.text == whole.text[: whole.text.index(third)] != ""
    assert cut.finish_reason == "stop"


def test_no_filter_is_on_that_was_not_asked_for(model):
    # Almost uniform draws: from the whole vocabulary they are tokens the model finds absurd, while
    # the server's own default keeps to tokens of at least 5 % of the best one's probability.
    hot = {"max_tokens": 8, "temperature": 50.0}
    [[free]] = model.generate([COLOURS], sampling=Sampling(**hot))
    [[filtered]] = model.generate([COLOURS], sampling=Sampling(**hot, top_k=2))
    assert free.logprob / 8 < -8 < filtered.logprob / 8


def test_a_prompt_it_cannot_hold_is_refused_in_its_words_and_the_rest_is_kept(llamacpp, tmp_path):
    asked = OpenAIModel("smollm2", llamacpp, retries=0, cache=tmp_path)
    rows = asked.generate([user("word " * 600), FRANCE], sampling=SHORT, seeds=[0, 1])
    assert "exceeds the available context size" in rows[0][0].error
    assert rows[1][0].text
    assert sum(path.parent.name != "models" for path in tmp_path.rglob("*") if path.is_file()) == 1


def test_raw_text_is_gone_on_with_as_it_stands(model):
    [[response]] = model.generate(
        ["The capital of France is"], sampling=Sampling(max_tokens=2, temperature=0.0)
    )
    assert response.text.startswith(" Paris")
    assert len(response.logprobs) == 2


def test_scores_that_are_not_those_of_the_text_are_no_scores_and_choices_go_by_the_answer(model, caplog):
    with pytest.raises(NoScoresError, match=r"are not those of the text|does not repeat"):
        model.score(["The capital of France is"], [" Paris"], end=False)
    [ranking] = rank_choices(model, ["The capital of France is"], [" Rome", " Paris"])
    assert (ranking.best, ranking.how) == (1, "generated text, prefix")
    assert "chooses by the text that it generates" in caplog.text
