"""Pages as arrays, actions as places in them, QWeb's values, the potential: by hand on small pages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from biddable.envs.base import make_env
from biddable.envs.web import Element, Field, WebAction
from biddable.errors import InputError
from biddable.policies.dqn import FORBIDDEN
from biddable.policies.web.curricula import dom_potential
from biddable.policies.web.features import (
    WORDS,
    Sizes,
    action_at,
    codes_of,
    featurize,
    names_of,
    overlap,
    place_of,
    text_beside,
)
from biddable.policies.web.qweb import QWeb

SIZES = Sizes(elements=6, fields=2)
PAGE = (
    Element(1, 0, "body"),
    Element(2, 1, "label", text="User name"),
    Element(3, 1, "input_text", id="user-name", left=80, top=105),
    Element(4, 1, "button", text="Send it", id="send"),
)
FIELDS = (Field("user name", "Ada Lovelace"), Field("colour", "red"))
SEEN = {"dom": PAGE, "fields": FIELDS}


def values(network: QWeb, *pages) -> torch.Tensor:
    arrays = [
        torch.from_numpy(np.stack(part)) for part in zip(*(featurize(s, SIZES) for s in pages), strict=True)
    ]
    return network(*arrays).view(len(pages), 2, SIZES.fields, SIZES.elements)


def test_words_and_overlaps_by_hand() -> None:
    text = "Enter your e-mail, please: NOW or never, says the page"
    assert [code > 0 for code in codes_of(text)] == [True] * WORDS, "no more are looked at"
    assert codes_of("now!")[0] == codes_of(text)[5], "upper and lower case are one"
    assert codes_of("") == (0,) * WORDS
    wanted = np.array([codes_of("user name"), codes_of("")])
    actual = np.array([codes_of("name tag"), codes_of("User-Name")])
    assert overlap(wanted, actual).tolist() == [[0.5, 1], [0, 0]]


def test_inputs_are_called_by_what_stands_beside_them() -> None:
    row = (
        Element(1, 0, "label"),
        Element(2, 1, "input_checkbox", id="ch0"),
        Element(-1, 1, "t", text="Ada"),
        Element(3, 0, "p"),
        Element(4, 3, "label", text="Name"),
        Element(5, 3, "input_text"),
        Element(6, 0, "input_text"),
    )
    names = names_of(row)
    assert names[1].split() == ["Ada", "input_checkbox", "ch0"]
    assert names[5].split() == ["Name", "input_text"]
    assert names[6].split() == ["input_text"], "what stands in another parent is somebody else's"
    assert text_beside(row[0], row) == ""


def test_a_page_as_arrays() -> None:
    elements, numbers, fields, overlaps, mask = featurize(SEEN, SIZES)
    assert (elements.shape, fields.shape) == ((6, 2, WORDS), (2, 2, WORDS))
    assert (elements[1, 0] > 0).sum() == 3, "user, name, label"
    assert elements[1, 0, :2].tolist() == fields[0, 0, :2].tolist(), "the same words have the same numbers"
    assert not elements[4:].any()
    assert numbers[2].tolist() == [1, 0, 0, 0, 0.5, 0.5]
    assert numbers[3, :4].tolist() == [0, 0, 0, 1]
    far = (*PAGE[:3], replace(PAGE[3], left=-5000, top=5000))
    assert featurize({"dom": far, "fields": FIELDS}, SIZES)[1][3, 4:].tolist() == [-1, 2]
    assert overlaps[0, 2].tolist() == [1, 0, 0, 0, 0]
    assert overlaps[1].any() == 0
    filled = replace(PAGE[2], value="ada lovelace")
    assert featurize({"dom": (*PAGE[:2], filled, PAGE[3]), "fields": FIELDS}, SIZES)[3][0, 2].tolist() == [
        1,
        0,
        1,
        1,
        1,
    ]
    click, type_ = mask.reshape(2, 2, 6)
    assert click.tolist() == [[0, 0, 0, 1, 0, 0], [0] * 6], "a click is for no field; labels are not clicked"
    assert type_.tolist() == [[0, 0, 0.5, 0, 0, 0]] * 2, "both kinds are equally likely at random"


def test_actions_and_their_numbers_are_each_others_inverse() -> None:
    for kind in ("click", "type"):
        for field in range(2):
            for element in PAGE:
                action = WebAction(kind, element.ref, field)
                assert action_at(place_of(action, PAGE, SIZES), PAGE, SIZES) == action
    assert place_of(WebAction("type", 3, 1), PAGE, SIZES) == (1 * 2 + 1) * 6 + 2


def test_the_potential_is_the_share_that_reads_right() -> None:
    goal = {3: "Ada", 4: ""}
    assert dom_potential(PAGE, goal) == 0.5
    changed = (*PAGE[:2], replace(PAGE[2], value="Ada"), PAGE[3])
    assert dom_potential(changed, goal) == 1
    assert dom_potential(changed[::-1], goal) == 1, "refs count, not places"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: featurize({"dom": PAGE, "fields": ()}, SIZES), "at least one field"),
        (lambda: featurize({"dom": PAGE, "fields": FIELDS[:1] * 2}, SIZES), "each key once"),
        (
            lambda: featurize({"dom": PAGE * 2, "fields": FIELDS}, SIZES),
            "dom is '8 of them', expected at most 6",
        ),
        (lambda: featurize(SEEN, Sizes(6, 1)), "fields is '2 of them', expected at most 1"),
        (lambda: place_of(WebAction("click", 9), PAGE, SIZES), "ref is 9"),
        (lambda: action_at(5, PAGE, SIZES), "element is 5"),
        (lambda: dom_potential(PAGE, {}), "goal is"),
        (lambda: dom_potential(PAGE, {9: "x"}), "goal is 'element 9'"),
    ],
)
def test_what_cannot_be_is_one_line(wrong, message) -> None:
    with pytest.raises(InputError, match=message):
        wrong()


@pytest.mark.parametrize("shallow", [True, False])
def test_values_have_their_places_and_what_is_masked_has_the_lowest(shallow) -> None:
    torch.manual_seed(0)
    actual = values(QWeb(shallow=shallow), SEEN)
    mask = featurize(SEEN, SIZES)[-1].reshape(2, 2, 6)
    assert (actual[0] == FORBIDDEN).numpy().tolist() == (mask == 0).tolist()
    assert actual[0][torch.from_numpy(mask) > 0].abs().max() < 100


def test_values_change_with_the_instruction_the_page_and_the_gate() -> None:
    torch.manual_seed(0)
    network = QWeb()
    other_field = {"dom": PAGE, "fields": (Field("user name", "Bob"), FIELDS[1])}
    filled = {"dom": (*PAGE[:2], replace(PAGE[2], value="Ada Lovelace"), PAGE[3]), "fields": FIELDS}
    first, other, typed = values(network, SEEN, other_field, filled)
    assert not torch.allclose(first[1, 0, 2], other[1, 0, 2])
    assert not torch.allclose(first[0, 0, 3], typed[0, 0, 3]), "what comes before an element is seen from it"
    with torch.no_grad():
        network.gate.fill_(50.0)  # only overlaps count: without any, both fields are alike
        for bias in (part for name, part in network.shallow.named_parameters() if name.endswith("bias")):
            bias.normal_()
        strangers = {"dom": PAGE, "fields": (Field("size", "big"), FIELDS[1])}
        actual, without = values(network, SEEN, strangers)
        assert torch.allclose(without[1, 0, 2], without[1, 1, 2], atol=1e-5)
        assert not torch.allclose(actual[1, 0, 2], actual[1, 1, 2], atol=1e-3)


def test_padding_has_no_say() -> None:
    torch.manual_seed(0)
    network = QWeb()
    wide = Sizes(elements=9, fields=2)
    arrays = [torch.from_numpy(part)[None] for part in featurize(SEEN, wide)]
    actual = network(*arrays).view(2, 2, 9)[:, :, :4]
    # The LSTM's way back starts in the padding, so only what looks ahead may differ, and that a little.
    assert (actual - values(network, SEEN)[0][:, :, :4]).abs().max() < 0.2


def test_the_forms_fit_and_their_oracle_is_among_the_actions() -> None:
    sizes = Sizes()
    for name in ("login", "short", "long"):
        env = make_env(f"form:{name}", seed=1)
        obs, _ = env.reset(seed=1)
        mask = featurize(obs, sizes)[-1]
        for action in env.oracle():
            place = place_of(action, obs["dom"], sizes)
            assert mask[place] > 0
            assert action_at(place, obs["dom"], sizes) == action
