"""Small pages without a browser: each can be done, and is what MiniWoB++'s page of that kind is."""

from __future__ import annotations

import pytest

pytest.importorskip("gymnasium", reason='gymnasium is not installed: pip install "biddable[envs]"')

from hypothesis import given
from hypothesis import strategies as st

from biddable.envs.base import make_env
from biddable.envs.web import Field, WebAction
from biddable.envs.widgets import WIDGETS, WidgetEnv
from biddable.errors import InputError


def page(name: str, seed: int = 0, split: str = "train") -> WidgetEnv:
    env = WidgetEnv(name, split)
    env.reset(seed=seed)
    return env


def tags(env: WidgetEnv) -> list[str]:
    return [element.tag for element in env.dom[3:]]


@given(
    name=st.sampled_from(sorted(WIDGETS)),
    seed=st.integers(0, 10_000),
    split=st.sampled_from(["train", "held-out"]),
)
def test_the_oracle_does_what_any_instruction_asks(name: str, seed: int, split: str) -> None:
    env = page(name, seed, split)
    *before, last = env.oracle()
    for action in before:
        assert env.filled() < 1
        _, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated, info["success"]) == (0, False, False, False)
    _, reward, terminated, truncated, info = env.step(last)
    assert (reward, terminated, truncated, info["success"]) == (1, True, False, True)


def test_a_password_has_to_be_typed_twice() -> None:
    env = page("password")
    assert tags(env) == ["p", "label", "input_password", "p", "label", "input_password", "button"]
    first, _, send = env.oracle()
    env.step(first)
    *_, reward, terminated, _, info = env.step(send)
    assert (reward, terminated, info["success"]) == (-1, True, False)


def test_a_date_reads_as_a_browser_shows_it() -> None:
    env = page("date")
    [field] = env.fields
    month, day, year = field.value.split("/")
    env.step(env.oracle()[0])
    [box] = [element for element in env.dom if element.tag == "input_date"]
    assert box.value == f"{year}-{month}-{day}"
    env.step(WebAction("type", box.ref))
    [box] = [element for element in env.dom if element.tag == "input_date"]
    assert box.value == f"{int(day + year)}-{month}-{day}", "typed again, it goes into the year"


def test_boxes_are_ticked_and_cleared_and_those_not_named_stay_clear() -> None:
    env = next(env for seed in range(50) if len((env := page("boxes", seed)).fields) == 2)
    boxes = [element.ref for element in env.dom if element.tag == "input_checkbox"]
    assert env.fields[-1] == Field("button", "submit")
    [wanted] = [ref for ref, value in env.goal.items() if value == "True"]
    other = next(ref for ref in boxes if ref != wanted)
    for ref in (wanted, other, other):
        env.step(WebAction("click", ref))
    assert env.filled() == 1
    env.step(WebAction("click", other))
    *_, reward, _, _, info = env.step(env.oracle()[-1])
    assert (reward, info["success"]) == (-1, False)


@pytest.mark.parametrize("name", ["button", "link"])
def test_a_wrong_one_ends_it_too(name: str) -> None:
    env = page(name)
    wrong = next(
        ref for ref in (e.ref for e in env.dom if e.text) if ref in env._ends and ref != env.oracle()[0].ref
    )
    *_, reward, terminated, _, info = env.step(WebAction("click", wrong))
    assert (reward, terminated, info["success"]) == (-1, True, False)


def test_words_of_the_two_splits_differ() -> None:
    drawn = {
        split: {field.value for seed in range(200) for field in page("option", seed, split).fields}
        for split in ("train", "held-out")
    }
    assert not drawn["train"] & drawn["held-out"]
    assert min(map(len, drawn.values())) > 20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: make_env("widget:tree"), "env is 'widget:tree', expected widget: and one of text, date"),
        (lambda: make_env("widget:text", split="test"), "split is 'test', expected train or held-out"),
        (
            lambda: page("text").reset(options={"fields": ()}),
            "options is ['fields'], expected none",
        ),
    ],
)
def test_no_such_page(wrong, message: str) -> None:
    with pytest.raises(InputError) as caught:
        wrong()
    assert message in str(caught.value)
