"""Composed sequences of actions in a kitchen: a goal, and what somebody does who has it.

A goal is a dish and what goes into it ("make soup with carrot and onion"). Who cooks has habits of their own
(fetches all at first or one thing at a time, washes up at once or at the end), leaves out steps, repeats
some, and tidies in between. Much is done for any goal; what follows depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from biddable.errors import InputError
from biddable.tasks.action_windows import ActionSequence
from biddable.tasks.actions import Action

Generator = np.random.Generator

_FRESH = (
    "carrot",
    "onion",
    "tomato",
    "potato",
    "pepper",
    "mushroom",
    "cucumber",
    "courgette",
    "spinach",
    "leek",
)
_COLD = ("cheese", "ham", "chicken", "tofu", "salmon", "butter", "egg")
_DRY = ("rice", "bean", "lentil", "olive", "tuna", "nut")
_PEELED = ("carrot", "onion", "potato", "cucumber")
_WHOLE = ("rice", "bean", "lentil", "butter", "nut")
_SWEET = ("apple", "banana", "strawberry", "honey", "nut", "raisin", "yogurt")


@dataclass(frozen=True, slots=True)
class Dish:
    """A dish.

    Attributes:
        name: as the goal says it.
        vessel: what things are put into.
        before: what is done before anything is put in.
        after: what is done then.
        serve: and at the end.
        foods: what may go into it.
    """

    name: str
    vessel: str
    before: str
    after: str
    serve: str
    foods: tuple[str, ...]


DISHES = (
    Dish(
        "soup", "pot",
        "take pot, fill pot, put pot, turn-on hob, add salt",
        "mix soup, taste soup, add spice, mix soup, turn-off hob",
        "take bowl, pour soup, take spoon",
        (*_FRESH, "chicken", "bean", "lentil", "rice"),
    ),
    Dish(
        "stir-fry", "wok",
        "take wok, put wok, turn-on hob, pour oil",
        "shake wok, pour soy-sauce, mix food, shake wok, turn-off hob",
        "take plate, scoop food, take fork",
        (*_FRESH, "chicken", "tofu", "egg", "nut"),
    ),
    Dish(
        "salad", "bowl",
        "take bowl, put bowl",
        "pour oil, pour vinegar, add salt, mix salad, mix salad",
        "take plate, scoop salad, take fork",
        ("tomato", "cucumber", "pepper", "spinach", "onion", "cheese", "olive", "tuna", "nut", "ham"),
    ),
    Dish(
        "omelette", "bowl",
        "take bowl, take egg, break egg, throw shell, break egg, throw shell, take whisk, mix egg",
        "take pan, put pan, turn-on hob, add butter, pour egg, flip omelette, turn-off hob",
        "take plate, put omelette, take fork",
        ("mushroom", "onion", "pepper", "spinach", "cheese", "ham", "tomato"),
    ),
    Dish(
        "sandwich", "bread",
        "open bag, take bread, close bag, cut bread, spread butter",
        "spread mayonnaise, close sandwich, cut sandwich",
        "take plate, put sandwich, wipe counter",
        ("tomato", "cucumber", "cheese", "ham", "tuna", "salmon", "egg", "spinach"),
    ),
    Dish(
        "pizza", "dough",
        "take flour, pour flour, add water, knead dough, roll dough, turn-on oven, spread sauce",
        "open oven, insert pizza, close oven, wait pizza, open oven, take pizza, close oven, turn-off oven",
        "take board, put pizza, cut pizza",
        ("tomato", "mushroom", "pepper", "onion", "cheese", "ham", "olive", "tuna", "spinach"),
    ),
    Dish(
        "curry", "pan",
        "take pan, put pan, turn-on hob, pour oil, add spice",
        "pour coconut-milk, mix curry, wait curry, mix curry, turn-off hob",
        "take bowl, scoop curry, take spoon",
        (*_FRESH, "chicken", "tofu", "lentil", "bean", "rice"),
    ),
    Dish(
        "smoothie", "blender",
        "take blender, plug blender, open blender",
        "pour milk, close blender, press button, wait blender, press button, open blender",
        "take glass, pour smoothie, wash blender",
        _SWEET,
    ),
    Dish(
        "porridge", "pan",
        "take pan, put pan, turn-on hob, pour milk, pour oats, mix porridge",
        "mix porridge, taste porridge, turn-off hob",
        "take bowl, scoop porridge, take spoon",
        _SWEET,
    ),
    Dish(
        "cake", "bowl",
        "take bowl, take flour, pour flour, pour sugar, break egg, mix dough, turn-on oven",
        "mix dough, take tin, pour dough, open oven, insert tin, close oven, wait cake, open oven, take tin, "
        "close oven, turn-off oven",
        "take plate, put cake, cut cake",
        (*_SWEET, "butter", "carrot"),
    ),
)  # fmt: skip

_START = (
    "turn-on light", "open curtain", "turn-on radio", "take apron", "turn-on tap", "wash hand",
    "turn-off tap", "dry hand", "take board", "put board", "open drawer", "take knife", "close drawer",
    "wipe counter", "open dishwasher", "take cup", "put cup", "close dishwasher",
)  # fmt: skip
_BETWEEN = (
    "wipe counter",
    "throw rubbish",
    "wash hand",
    "dry hand",
    "check phone",
    "move board",
    "wash knife",
)


@dataclass(frozen=True, slots=True)
class _Habits:
    """How somebody works, for the whole of a sequence."""

    fetch_first: bool
    wash_at_once: bool
    leave_out: float
    between: float


def compose_sequences(goals: int, each: int, rng: Generator) -> list[ActionSequence]:
    """Sequences of different goals.

    Args:
        goals: how many different ones.
        each: sequences of each.
        rng: of all draws.

    Returns:
        in the order of their goals, each of which is the ``source`` of its sequences.

    Raises:
        InputError: a number is below 1, or there are not as many goals.
    """
    for name, value in (("goals", goals), ("each", each)):
        if value < 1:
            raise InputError(name, value, "an integer of at least 1")
    drawn: dict[tuple[str, frozenset[str]], tuple[Dish, tuple[str, ...]]] = {}
    for _ in range(200 * goals):
        if len(drawn) == goals:
            break
        dish = DISHES[int(rng.integers(len(DISHES)))]
        number = min(len(dish.foods), int(rng.integers(2, 5)))
        foods = tuple(dish.foods[i] for i in rng.permutation(len(dish.foods))[:number])
        drawn.setdefault((dish.name, frozenset(foods)), (dish, foods))
    if len(drawn) < goals:
        raise InputError("goals", goals, f"at most {len(drawn)}: no more different ones were found")
    return [
        ActionSequence(f"{goal} ({at + 1})", _actions(dish, foods, rng), goal, goal)
        for dish, foods in drawn.values()
        for goal in (_goal(dish, foods),)
        for at in range(each)
    ]


def _goal(dish: Dish, foods: Sequence[str]) -> str:
    return f"make {dish.name} with {', '.join(foods[:-1])} and {foods[-1]}"


def _actions(dish: Dish, foods: Sequence[str], rng: Generator) -> tuple[Action, ...]:
    """What somebody does who has the goal."""
    habits = _Habits(
        bool(rng.random() < 0.5), bool(rng.random() < 0.5), rng.uniform(0, 0.1), rng.uniform(0, 0.15)
    )
    start = int(rng.integers(0, len(_START) - 6))
    steps = list(_START[start : start + int(rng.integers(4, 7))])
    foods = [foods[i] for i in rng.permutation(len(foods))]
    if habits.fetch_first:
        steps += [step for food in foods for step in _fetch(food)]
    before = dish.before.split(", ")
    early = rng.random() < 0.5  # what is to cook in is made ready before or after the rest is cut
    steps += before if early else []
    for food in foods:
        steps += [] if habits.fetch_first else _fetch(food)
        steps += _prepare(food, habits, rng)
        steps += [f"put {food}"] if early else []
    steps += [] if early else [*before, *(f"put {food}" for food in foods)]
    steps += [*dish.after.split(", "), *dish.serve.split(", ")]
    used = (dish.vessel, "board") if dish.vessel not in ("bread", "dough") else ("board",)
    steps += ["turn-on tap", *(f"{do} {what}" for what in used for do in ("wash", "rinse")), "turn-off tap"]
    steps += [f"dry {what}" for what in used] + [
        "open cupboard",
        *(f"put {what}" for what in used),
        "close cupboard",
    ]
    made: list[Action] = []
    for step in steps:
        if rng.random() < habits.leave_out:
            continue
        made += [_pair(step)] * (2 if step.startswith(("mix", "cut", "wash")) and rng.random() < 0.2 else 1)
        if rng.random() < habits.between:
            made.append(_pair(_BETWEEN[int(rng.integers(len(_BETWEEN)))]))
    return tuple(made)


def _fetch(food: str) -> list[str]:
    place = "cupboard" if food in (*_DRY, "honey", "raisin") else "basket" if food in _SWEET else "fridge"
    return [f"open {place}", f"take {food}", f"close {place}"] if place != "basket" else [f"take {food}"]


def _prepare(food: str, habits: _Habits, rng: Generator) -> list[str]:
    """What is done to a thing before it is put in."""
    if food in (*_COLD, *_DRY, "honey", "raisin", "yogurt"):
        steps = [f"open {food}"] if food not in ("egg", "butter") else []
    else:
        steps = ["turn-on tap", f"wash {food}", "turn-off tap"]
    if food in (*_PEELED, "banana", "apple"):
        steps += [f"peel {food}", "throw peel"]
    if food not in (*_WHOLE, "honey", "raisin", "yogurt"):
        steps += [f"cut {food}"] * int(rng.integers(1, 3))
    if habits.wash_at_once and rng.random() < 0.4:
        steps += ["wash knife", "wipe board"]
    return steps


def _pair(step: str) -> Action:
    verb, noun = step.split()
    return verb, noun
