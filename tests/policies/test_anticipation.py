"""Foreseeing actions from actions: bigrams by hand, and a transformer that learns what follows what."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from biddable.errors import InputError
from biddable.policies.anticipation import ActionTransformer, ActionTransformerConfig, goal_words
from biddable.policies.bigram import Bigram
from biddable.tasks.action_windows import Window

RING = [("take", "a"), ("put", "b"), ("cut", "c"), ("mix", "d")]
SMALL = ActionTransformerConfig(
    width=16, heads=2, layers=1, dropout=0.0, epochs=60, batch_size=8, goal_words=2
)


def around(start: int, step: int = 1, goal: str = "") -> Window:
    actions = tuple(RING[(start + step * at) % 4] for at in range(6))
    return Window(f"{start} {step}", actions[:2], actions[2:], goal, "s")


def test_bigrams_by_hand() -> None:
    model = Bigram([Window("w", (("a", "x"),), (("b", "x"), ("a", "x"), ("c", "x")), "", "s")])
    # a -> b, c once each: n 2, t 2; p(a) = 1/2, p(b) = p(c) = 1/4.
    expected = [2 * 0.5 / 4, (1 + 2 * 0.25) / 4, (1 + 2 * 0.25) / 4]
    assert np.allclose(model.next(("a", "x")), expected)
    assert np.allclose(model.next(("c", "x")), [0.5, 0.25, 0.25])  # nothing ever followed it
    assert np.allclose(model.next(("z", "x")), [0.5, 0.25, 0.25])
    drawn = model.predict([around(0)], 400, 1, 1.0, np.random.default_rng(0))
    shares = Counter(one[0] for one in drawn[0])
    assert shares["a", "x"] / 400 == pytest.approx(0.5, abs=0.08)


def test_a_ring_is_learned_by_both() -> None:
    windows = [around(start) for start in range(4)]
    model = Bigram(windows)
    assert model.predict(windows, 1, 4, 0.05, np.random.default_rng(0)) == [
        [[*each.future]] for each in windows
    ]
    network = ActionTransformer(windows, SMALL, 0)
    losses = network.fit(windows)
    assert min(losses) < losses[0] / 2
    assert network.predict(windows, 2, 4, 0.05, 0) == [[[*each.future]] * 2 for each in windows]


def test_the_goal_says_which_way() -> None:
    windows = [
        replace(around(start, step, goal), history=(RING[start],) * 2)
        for start in range(4) for step, goal in ((1, "go on"), (-1, "go back"))
    ]  # fmt: skip
    network = ActionTransformer(windows, replace(SMALL, epochs=150, patience=150), 1)
    network.fit(windows)
    found = network.predict(windows, 1, 4, 0.05, 0)
    assert (
        np.mean([one[0][1:] == list(each.future)[1:] for one, each in zip(found, windows, strict=True)]) > 0.8
    )
    other = [replace(each, goal="go on" if each.goal == "go back" else "go back") for each in windows]
    assert network.predict(other, 1, 4, 0.05, 0) != found


def test_the_same_seed_says_the_same_and_leaves_torch_s_own_as_it_was() -> None:
    windows = [around(start) for start in range(4)]
    state = torch.get_rng_state()
    made = []
    for _ in range(2):
        network = ActionTransformer(windows, replace(SMALL, epochs=2, dropout=0.2), 3)
        made.append((network.fit(windows), network.predict(windows, 3, 4, 1.0, 5)))
    assert made[0] == made[1]
    assert torch.equal(state, torch.get_rng_state())


def test_unknown_words_are_read_and_never_said() -> None:
    windows = [around(start, goal="go on") for start in range(4)]
    network = ActionTransformer(windows, replace(SMALL, epochs=1), 0)
    network.fit([replace(windows[0], future=(("fly", "kite"),) * 4)])
    strange = replace(windows[0], history=(("fly", "kite"),) * 2, goal="never heard of this before")
    found = network.predict([strange], 5, 4, 1.0, 0)
    assert {pair[0] for one in found[0] for pair in one} <= {verb for verb, _ in RING}
    assert goal_words("Make tea, now!") == ["make", "tea", "now"]


@pytest.mark.parametrize(
    ("given", "told"),
    [({"k": 0}, "k is 0"), ({"ahead": 0}, "ahead is 0"), ({"temperature": 0.0}, "temperature is 0")],
)
def test_numbers_that_do_not_serve(given: dict[str, Any], told: str) -> None:
    windows = [around(0)]
    how: dict[str, Any] = {"k": 1, "ahead": 4, "temperature": 1.0, **given}
    with pytest.raises(InputError, match=told):
        Bigram(windows).predict(windows, **how, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match=told):
        ActionTransformer(windows, SMALL, 0).predict(windows, **how, seed=0)


def test_nothing_to_learn_from_and_no_place() -> None:
    for make in (Bigram, lambda of: ActionTransformer(of, SMALL, 0)):
        with pytest.raises(InputError, match="windows is 0"):
            make([])
    network = ActionTransformer([around(0)], SMALL, 0)
    with pytest.raises(InputError, match="validation is 0"):
        network.fit([])
    with pytest.raises(InputError, match="ahead is 5, expected at most 4"):
        network.predict([around(0)], 1, 5, 1.0, 0)
    with pytest.raises(InputError, match="width is 15"):
        ActionTransformer([around(0)], replace(SMALL, width=15), 0)
