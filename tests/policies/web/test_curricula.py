"""How episodes begin, dense reward by hand, instructions that are made up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from biddable.envs.base import make_env
from biddable.envs.forms import FormEnv
from biddable.envs.web import Element, Field, WebAction
from biddable.errors import BiddableError, InputError
from biddable.policies.web.curricula import (
    RECENT,
    Curriculum,
    GoalSimulation,
    Practice,
    WarmStart,
)
from biddable.policies.web.features import Sizes, place_of
from biddable.policies.web.inet import (
    INET,
    INETConfig,
    Invented,
    MetaTrainer,
    can_be_followed,
    fill_at_random,
    known_page,
    value_of,
)

SIZES = Sizes(elements=48, fields=7)
LOGIN = (Field("username", "Ada"), Field("password", "amber"))


def login() -> FormEnv:
    env = FormEnv("login")
    env.reset(seed=0)
    return env


class Login(Curriculum):
    def reset(self, env, seed):
        return env.reset(seed=seed, options={"fields": LOGIN})[0]


def test_dense_reward_by_hand() -> None:
    practice = Practice(login(), SIZES, Login(), gamma=0.9)
    practice.reset(seed=0)
    actions = [WebAction("click", 1), *practice.env.oracle()]
    nothing, name, password, send = (place_of(action, practice.env.dom, SIZES) for action in actions)
    assert practice.step(name)[1] == pytest.approx(0.9 * 0.5 - 0)
    assert practice.step(nothing)[1] == pytest.approx(0.9 * 0.5 - 0.5), "doing nothing costs a little"
    assert practice.step(password)[1] == pytest.approx(0.9 * 1 - 0.5)
    _, reward, ended, _, info = practice.step(send)
    assert reward == pytest.approx(1 + 0.9 * 1 - 1)
    assert (ended, info["success"]) == (True, True)
    practice.reset(seed=0)
    assert practice.step(send)[1] == -1
    practice.reset(seed=0)
    assert [practice.step(name)[1] for _ in range(2)] == [0.45, -0.5], "typed twice it is wrong"
    sparse = Practice(login(), SIZES, Login())
    sparse.reset(seed=0)
    assert [sparse.step(place)[1] for place in (name, password, send)] == [0, 0, 1]


def test_where_nothing_has_to_be_filled_in_dense_reward_is_sparse() -> None:
    practice = Practice(make_env("widget:button"), SIZES, Curriculum(), gamma=0.9)
    practice.reset(seed=0)
    right = place_of(practice.env.oracle()[0], practice.env.dom, SIZES)
    assert practice.step(right)[1] == 1


@pytest.mark.parametrize(("probability", "filled"), [(0.0, 0.0), (1.0, 1.0)])
def test_a_warm_start_never_sends(probability, filled) -> None:
    env = FormEnv("long")
    WarmStart(initial_probability=probability).reset(env, seed=3)
    assert env.filled() == filled


def test_warm_starts_fade() -> None:
    warm = WarmStart(initial_probability=0.8, fraction=0.5)
    assert warm.probability == 0.8
    warm.advance(0.25)
    assert warm.probability == pytest.approx(0.4)
    warm.advance(0.75)
    assert warm.probability == 0
    env = FormEnv("long")
    half = WarmStart(initial_probability=0.5, seed=1)
    shares = [env.filled() for i in range(100) if half.reset(env, seed=i)]
    assert 0.4 < np.mean(shares) < 0.6


def test_simulated_goals_grow_and_their_instructions_hold_only_what_was_used() -> None:
    simulation, env = GoalSimulation(seed=0), FormEnv("long")
    for steps in (1, 2):
        assert simulation.steps == steps
        obs = simulation.reset(env, seed=5)
        assert len(obs["fields"]) == len(env.goal) == steps
        assert env.filled() == 0, "the page is empty again"
        for action in env.oracle():
            *_, info = env.step(action)
        assert info["success"]
        for _ in range(RECENT - 1):
            simulation.on_episode_end(True)
        assert simulation.steps == steps
        simulation.on_episode_end(True)
    for _ in range(RECENT):
        simulation.on_episode_end(False)
    assert simulation.steps == 3


def test_a_simulated_goal_stands_on_the_page_that_the_oracle_saw() -> None:
    env = FormEnv("long")
    env.reset(seed=9)
    before = [(element.ref, element.id) for element in env.dom]
    GoalSimulation(seed=0).reset(env, seed=9)
    assert [(element.ref, element.id) for element in env.dom] == before


def test_pages_filled_at_random_hold_something_everywhere() -> None:
    env = FormEnv("long")
    env.reset(seed=0)
    page = fill_at_random(env.dom, ["one", "two"], np.random.default_rng(0))
    assert [replace(e, value="") for e in page] == [replace(e, value="") for e in env.dom]
    for element in page:
        if element.takes_text:
            assert element.value in ("one", "two")
    ticked = [element.parent for element in page if element.value == "True"]
    assert len(ticked) == len(set(ticked)) == 3, "class, seat and meal: one of each"


def test_what_an_element_holds() -> None:
    row = (
        Element(1, 0, "input_radio", value="True"),
        Element(2, 0, "label", text="window"),
        Element(3, 0, "input_radio", value="False"),
        Element(4, 0, "label", text="aisle"),
        Element(5, 0, "input_text", value="Ada"),
    )
    assert [value_of(element, row) for element in row] == ["window", "", "", "", "Ada"]


def test_known_pages_follow_their_instruction() -> None:
    env, rng = FormEnv("long"), np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(20):
        fields, page = known_page(env, rng)
        held = [value_of(element, page) for element in page]
        assert all(field.value in held for field in fields)
        ticked = [element.parent for element in page if element.value == "True"]
        assert len(ticked) == len(set(ticked)) == 3


def test_inet_learns_which_element_a_key_means_and_its_instructions_can_be_followed() -> None:
    env = make_env("form:long", seed=0)
    inet = INET(SIZES, seed=0)
    before = inet.accuracy(env, 20)
    inet.train(env, INETConfig(updates=80, pages=8))
    fields, whole = inet.accuracy(make_env("form:long", seed=1, split="held-out"), 20)
    assert before[1] < 0.5
    assert fields >= whole > 0.9, "on values it has not seen"
    meta = MetaTrainer(inet, env.all_values(), seed=0)
    obs = meta.reset(env, seed=4)
    assert {field.key for field in obs["fields"]} == set(env.form.keys)
    assert env.filled() == 0
    for action in env.oracle():
        *_, info = env.step(action)
    assert info["success"], "the goal that it made up can be reached"
    assert (meta.drawn, meta.refused) == (1, 0)


def test_an_instruction_that_cannot_be_followed_is_refused() -> None:
    env = login()
    name, password = (action.ref for action in env.oracle()[:2])
    right = Invented(LOGIN, {name: "Ada", password: "amber"})
    swapped = Invented(LOGIN, {name: "amber", password: "Ada"})
    for invented, expected in ((right, True), (swapped, False)):
        options = {"fields": invented.fields, "order": env.order, "goal": invented.goal}
        assert can_be_followed(env, invented, options) is expected


def test_a_meta_trainer_without_an_instruction_to_follow_says_so(monkeypatch) -> None:
    module = "biddable.policies.web.inet.can_be_followed"
    monkeypatch.setattr(module, lambda *_: False)
    env = make_env("form:login", seed=0)
    with pytest.raises(BiddableError, match="in a row cannot be followed"):
        MetaTrainer(INET(SIZES, 0), env.all_values(), 0).reset(env, seed=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: WarmStart(initial_probability=1.5),
            "initial_probability is 1.5, expected a number from 0 to 1",
        ),
        (lambda: WarmStart(fraction=-0.1), "fraction is -0.1, expected a number from 0 to 1"),
        (lambda: INET(SIZES, 0).generate(login().dom, ["username"]), "dom is 'a page without values'"),
    ],
)
def test_what_cannot_be_is_one_line(wrong, message: str) -> None:
    with pytest.raises(InputError) as caught:
        wrong()
    assert message in str(caught.value)
