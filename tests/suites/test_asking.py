"""How queries are shown to models: templates, solved examples that fit, choices with and without scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import InputError
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.suites.asking import Answer, Asking, Query, uses_chat
from biddable.tasks.fewshot import Shots
from biddable.types import Message, Prompt, user

from ..train.tiny import CONTEXT, local
from .models import Chooser, Served

HOW = Sampling(max_tokens=6, temperature=0.0)


def lazy(model: Any) -> LazyModel:
    made = LazyModel("none")
    made._model = model
    return made


def query(prompt: Prompt, *choices: str, shots: Shots | None = None) -> Query:
    return Query(prompt, choices, shots or Shots(), None, 0)


def ask(model: Any, *queries: Query, how: Any = "choose", **options: Any) -> list[Answer]:
    return Asking(lazy(model), how, HOW, **options)(queries)


def test_solved_examples_are_dropped_until_the_prompt_fits() -> None:
    model = local()
    examples = tuple(" ".join(f"w{i + j}" for j in range(12)) for i in range(6))
    [six, none] = ask(
        model, query("w1 w2", "w3", "w4", shots=Shots("w9", examples)), query("w1 w2", "w3", "w4"), k=6
    )
    assert (six.shots, none.shots) == (4, 0)
    assert CONTEXT - 13 < six.prompt_tokens < CONTEXT
    [raw] = ask(model, query("w1 w2", "w3", "w4", shots=Shots("w9", examples)), k=6, template="none")
    assert raw.prompt_tokens == 1 + 12 * raw.shots + 2
    [written] = ask(model, query("w1 w2", shots=Shots("", examples)), how="generate", k=6)
    assert (written.shots, len(written.responses)) == (4, 1)
    assert written.prompt_tokens + HOW.max_tokens <= CONTEXT


def test_what_does_not_fit_by_itself_has_its_own_error_and_the_others_are_answered() -> None:
    long = " ".join(["w1"] * (CONTEXT + 9))
    for how, choices in (("choose", ("w3", "w4")), ("generate", ())):
        short, refused = ask(local(), query("w1 w2", *choices), query(long, *choices), how=how)
        assert not short.responses[0].error
        assert "tokens" in refused.responses[0].error
        assert refused.responses[0].finish_reason == "error"
        assert refused.scores == ()


@pytest.mark.parametrize(("template", "has", "chat"), [
    ("auto", True, True), ("auto", False, False), ("none", True, False), ("chat", True, True),
])  # fmt: skip
def test_a_template_makes_a_turn_of_a_prompt_and_raw_text_a_new_word_of_a_choice(
    template: Any, has: bool, chat: bool
) -> None:
    model = Chooser(lambda prompt, choice: 0.0, has)
    ask(model, query("Q:", "yes", " no"), template=template)
    prompt = user("Q:") if chat else "Q:"
    assert model.scored == [(prompt, "yes" if chat else " yes"), (prompt, " no")]
    ask(model, query("Q:"), how="generate", template=template)
    assert model.chats == [prompt]


def test_a_chat_is_not_asked_of_a_model_without_a_template() -> None:
    with pytest.raises(InputError, match="template is 'chat', expected none or auto: chooser has no chat"):
        uses_chat(Chooser(lambda prompt, choice: 0.0), "chat")


def test_a_conversation_is_shown_as_text_where_there_is_no_template() -> None:
    model = Chooser(lambda prompt, choice: 0.0)
    talk = (Message("system", "Be brief."), Message("user", "Hi."))
    [answer] = ask(model, query(talk, shots=Shots("", ("x",))), how="generate", k=1)
    assert model.chats == ["Be brief.\n\nHi."]
    assert answer.shots == 0


def test_choices_are_taken_by_likelihood() -> None:
    model = Chooser(lambda prompt, choice: -1.0 if choice.strip() in prompt else -3.0)
    first, second = ask(model, query("Is it yes?", "yes", "no"), query("Is it no?", "yes", "no"))
    assert [answer.responses[0].text for answer in (first, second)] == ["yes", "no"]
    assert (first.scores, second.scores) == ((-1.0, -3.0), (-3.0, -1.0))


def test_numbers_that_are_none_end_their_query_alone() -> None:
    model = Chooser(lambda prompt, choice: float("nan") if "bad" in prompt else -float(len(choice)))
    prior = replace(query("Is it?", "yes", "no"), prior="bad")
    failed, good, after = ask(model, query("bad", "yes", "no"), query("Is it?", "yes", "no"), prior)
    assert (good.responses[0].text, good.scores) == ("no", (-4.0, -3.0))
    for each in (failed, after):
        assert "not finite" in each.responses[0].error
        assert each.scores == ()
    assert after.responses[0].error.endswith("after the prompt without content")


def test_without_log_probabilities_the_answer_is_read_and_kept_where_it_names_no_choice() -> None:
    read, unread = ask(Served(), query("yes", "yes", "no"), query("perhaps", "yes", "no"))
    assert (read.responses[0].text, read.scores) == ("yes", ())
    assert unread.responses[0].text.startswith("perhaps")


def test_an_answer_that_a_server_refuses_says_so() -> None:
    from tests.doubles import Fickle

    class Refusing(Fickle, Served):
        """A chat endpoint."""

    read, refused = ask(Refusing(), query("no", "yes", "no"), query("refuse", "yes", "no"))
    assert read.responses[0].text == "no"
    assert refused.responses[0].error == "400 Bad Request: content filter"


def test_likelihoods_of_texts_are_of_all_their_tokens() -> None:
    model = local()
    text = " ".join(f"w{i % 60}" for i in range(CONTEXT * 2))
    [whole, half] = ask(model, query(text), query(" ".join(text.split()[:CONTEXT])), how="perplexity")
    assert (whole.prompt_tokens, half.prompt_tokens) == (CONTEXT * 2, CONTEXT)
    assert whole.scores[0] < half.scores[0] < 0
    with pytest.raises(InputError, match="a model whose weights are here"):
        ask(Served(), query(text), how="perplexity")


def test_it_is_sent_to_other_processes_by_name(tmp_path: Path) -> None:
    import pickle

    asking = Asking(LazyModel(local().save(tmp_path / "m")), "generate", HOW)
    there = pickle.loads(pickle.dumps(asking))
    assert there([query("w1 w2")]) == asking([query("w1 w2")])
