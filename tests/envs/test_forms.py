"""Forms without a browser: what an instruction asks can be done, and nothing else counts as done."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("gymnasium", reason='gymnasium is not installed: pip install "biddable[envs]"')

from hypothesis import given
from hypothesis import strategies as st

from biddable.envs.base import make_env
from biddable.envs.forms import CHOICES, FORMS, TEXTS, FormEnv
from biddable.envs.pages import SPARE_STEPS
from biddable.envs.web import Element, Field, WebAction
from biddable.errors import BiddableError, InputError

LOGIN = (Field("username", "Ada"), Field("password", "amber"))


def login() -> FormEnv:
    env = FormEnv("login")
    env.reset(seed=0, options={"fields": LOGIN})
    return env


def by_id(env: FormEnv, id: str) -> Element:
    [element] = [element for element in env.dom if element.id == id]
    return element


@given(
    name=st.sampled_from(sorted(FORMS)),
    seed=st.integers(0, 10_000),
    split=st.sampled_from(["train", "held-out"]),
)
def test_the_oracle_does_what_any_instruction_asks(name: str, seed: int, split: str) -> None:
    env = FormEnv(name, split=split)
    env.reset(seed=seed)
    *before, send = env.oracle()
    assert env.filled() == 0
    for count, action in enumerate(before, 1):
        _, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated, info["success"]) == (0, False, False, False)
        assert env.filled() == pytest.approx(count / len(before))
    _, reward, terminated, truncated, info = env.step(send)
    assert (reward, terminated, truncated, info["success"]) == (1, True, False, True)


def test_an_instruction_in_a_page() -> None:
    env = login()
    observation, _ = env.reset(seed=0, options={"fields": LOGIN})
    assert (
        observation["instruction"]
        == 'Fill in the page with username "Ada" and password "amber", and send it.'
    )
    assert observation["fields"] == LOGIN
    tags = [element.tag for element in observation["dom"]]
    assert sorted(tags) == sorted(
        ["body", "div", "label", "input_text", "div", "label", "input_password", "button"]
    )
    refs = [element.ref for element in observation["dom"]]
    assert refs == list(range(1, len(refs) + 1))
    assert all(element.parent < element.ref for element in observation["dom"])


def test_sending_too_early_or_with_a_wrong_value_fails() -> None:
    env = login()
    *_, reward, terminated, _, info = env.step(env.oracle()[-1])
    assert (reward, terminated, info["success"]) == (-1, True, False)
    env = login()
    username, password, send = by_id(env, "username"), by_id(env, "password"), env.oracle()[-1]
    env.step(WebAction("type", username.ref, 0))
    env.step(WebAction("type", password.ref, 0))  # the user's name
    assert by_id(env, "password").value == "Ada"
    *_, reward, terminated, _, info = env.step(send)
    assert (reward, terminated, info["success"]) == (-1, True, False)


def test_what_is_typed_twice_stands_there_twice_and_cannot_be_mended() -> None:
    env = login()
    username, send = by_id(env, "username"), env.oracle()[-1]
    for expected in ("Ada", "AdaAda"):
        env.step(WebAction("type", username.ref, 0))
        assert by_id(env, "username").value == expected
    with pytest.raises(BiddableError, match=r"element \d+ reads 'AdaAda': typing only adds to that"):
        env.oracle()
    env.step(WebAction("type", by_id(env, "password").ref, 1))
    *_, reward, terminated, _, info = env.step(send)
    assert (reward, terminated, info["success"]) == (-1, True, False)


def test_the_limit_ends_it_unless_that_step_sends() -> None:
    env = login()
    body = env.dom[0].ref
    for _ in range(len(LOGIN) + SPARE_STEPS - 1):
        *_, reward, terminated, truncated, _ = env.step(WebAction("click", body))
        assert (reward, terminated, truncated) == (0, False, False)
    *_, reward, terminated, truncated, _ = env.step(WebAction("click", body))
    assert (reward, terminated, truncated) == (0, True, False)


def test_of_radio_buttons_one_is_chosen() -> None:
    env = FormEnv("long")
    env.reset(seed=0)
    for wanted in ("window", "middle"):
        env.step(WebAction("click", by_id(env, f"seat-{wanted}").ref))
        chosen = {option: by_id(env, f"seat-{option}").value for option in CHOICES["seat"]}
        assert chosen == {option: str(option == wanted) for option in CHOICES["seat"]}
    assert by_id(env, "meal-none").value == "False"


def test_no_text_of_the_held_out_instructions_is_trained_on() -> None:
    drawn = {}
    for split in ("train", "held-out"):
        env = FormEnv("long", split=split)
        drawn[split] = {(f.key, f.value) for seed in range(300) for f in env.reset(seed=seed)[0]["fields"]}
    both = drawn["train"] & drawn["held-out"]
    assert {key for key, _ in both} == {"class"}
    assert len(drawn["held-out"]) > 30


def test_the_order_of_the_inputs_changes_and_a_seed_repeats_it() -> None:
    pages = [make_env("form:long", seed=seed).reset(seed=seed)[0]["dom"] for seed in (1, 1, 2)]
    assert pages[0] == pages[1] != pages[2]


def test_labels_stand_beside_their_inputs() -> None:
    env = FormEnv("long")
    env.reset(seed=4)
    for key in TEXTS.keys() & {*FORMS["long"].keys, *FORMS["long"].others}:
        [label] = [e for e in env.dom if e.text == key.capitalize()]
        field = by_id(env, key.replace(" ", "-"))
        assert (label.top, label.parent) == (field.top, field.parent)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((), "fields is [], expected at least one field"),
        ((LOGIN[0], replace(LOGIN[0], value="Bruno")), "fields is 'username', expected each key once"),
        ((Field("colour", "red"),), "fields is 'colour', expected keys of the form: username, password"),
    ],
)
def test_an_instruction_that_the_form_cannot_take(fields: tuple[Field, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        FormEnv("login").reset(seed=0, options={"fields": fields})
    assert message in str(caught.value)


def test_a_choice_that_is_not_offered() -> None:
    with pytest.raises(InputError, match="fields is 'class=royal', expected a choice that the form offers"):
        FormEnv("long").reset(seed=0, options={"fields": (Field("class", "royal"),)})


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (WebAction("click", 99), "ref is 99, expected one of the page's 8 elements"),
        (WebAction("type", 1, 0), "ref is 1, expected an element that takes text, which a body does not"),
        (WebAction("type", -1, 0), "ref is -1"),
    ],
)
def test_an_action_that_cannot_be_taken_changes_nothing(action: WebAction, message: str) -> None:
    env = login()
    before = env.dom
    with pytest.raises(InputError) as caught:
        env.step(action)
    assert message in str(caught.value)
    assert env.dom == before


def test_a_field_that_the_instruction_lacks_cannot_be_typed() -> None:
    env = login()
    with pytest.raises(InputError, match="field is 2, expected one of the instruction's 2 fields"):
        env.step(WebAction("type", by_id(env, "username").ref, 2))


def test_a_page_can_be_read() -> None:
    env = login()
    env.step(WebAction("type", by_id(env, "username").ref, 0))
    page = env.render()
    assert page.startswith("# Fill in the page with")
    assert "username Ada" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"env": "form:tax"}, "env is 'form:tax', expected form: and one of login, short, long"),
        ({"env": "form:login", "split": "test"}, "split is 'test', expected train or held-out"),
    ],
)
def test_no_such_form(options: dict, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_env(**options)
    assert message in str(caught.value)
