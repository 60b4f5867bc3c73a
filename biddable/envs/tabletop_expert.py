"""What does the tasks of ``biddable.envs.tabletop``: a function of what is seen, without a memory.

So it can be asked at any moment of an episode what it would do, as a person who corrects a policy is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.envs.tabletop import (
    BIN,
    BIN_HALF,
    COLOURS,
    DRAWER_Y,
    HALF,
    HANDLE_X,
    HIGH,
    LOW,
    MOVE,
    SIDES,
    TabletopEnv,
    block_of,
)

Numbers = NDArray[np.float64]
UP = np.array([0.0, 0.0, 1.0])
ABOVE = 0.12
"""Where the hand travels."""
NEAR = 0.008
EMPTY, CLOSED_ON, HELD = 0.25, 0.48, 0.6
"""Openings of fingers that have closed on a block lie between the first and the last."""
FOLLOWS, CLOSES = 0.83, 0.5
"""The share of a move that the hand makes within its step, and how far the fingers go in one."""
TOUCH = 0.03
"""How far from the hand's middle a block is that it pushes."""
_BLOCKS = tuple(4 + 4 * i for i in range(len(COLOURS)))
"""Places of a state where the offset of a block from the hand begins."""


def expert(observation: Mapping[str, Any]) -> NDArray[np.float32]:
    """[4] the action for an observation.

    Raises:
        InputError: an instruction that is none of the table's.
    """
    state = np.asarray(observation["state"], dtype=np.float64)
    return action_for(TabletopEnv.meaning(str(observation["instruction"])), state)


def action_for(meaning: tuple[str, str, str], state: Numbers, reach: float = MOVE) -> NDArray[np.float32]:
    """[4] the action for a task, a colour and a side.

    Args:
        meaning: task, colour and side.
        state: see ``tabletop.STATE``; there may be more blocks.
        reach: metres that the hand is sent in an action, at most.
    """
    task, colour, side = meaning
    hand, opening = state[:3], state[3]
    block = np.asarray(block_of(state, colour), dtype=np.float64)
    match task:
        case "reach":
            target, grip = over(hand, block + 0.045 * UP), -1.0
        case "push":
            target, grip = _push(hand, block, SIDES[side])
        case "lift":
            target, grip = _lift(hand, opening, block)
        case "bin":
            target, grip = _put(hand, opening, block, np.array([*BIN, 0.055]), BIN_HALF - HALF)
        case "stack":
            other = block_of(state, COLOURS[1 - COLOURS.index(colour)])
            target, grip = _put(hand, opening, block, other + (2 * HALF + 0.002) * UP, 0.009)
        case _:
            target, grip = _pull(hand, state[-1])
    return np.array([*towards(hand, target, reach), grip], dtype=np.float32)


def towards(hand: Numbers, target: Numbers, reach: float = MOVE) -> Numbers:
    """[3] the moves of an action that sends the hand to a place, or as far as it goes."""
    return ((target.clip(LOW, HIGH) - hand) / reach).clip(-1, 1)


def motion(observation: Mapping[str, Any], steps: int) -> Numbers:
    """[4] how far x, y, z and the opening go in so many steps, if the expert takes them.

    It is reckoned without the simulator: the hand follows, fingers stop at a block between them, and what is
    held, pushed or hooked goes along.
    """
    state = np.array(observation["state"], dtype=np.float64)
    start = state[:4].copy()
    for _ in range(steps):
        action = np.asarray(expert({**observation, "state": state}), dtype=np.float64)
        between = [np.abs(state[place : place + 3]).max() < HALF for place in _BLOCKS]
        held = [is_between and EMPTY < state[3] < HELD for is_between in between]
        move = (state[:3] + FOLLOWS * MOVE * action[:3]).clip(LOW, HIGH) - state[:3]
        state[:3] += move
        for place, is_held in zip(_BLOCKS, held, strict=True):
            offset = state[place : place + 3]  # of the block from the hand
            was = offset[1]
            offset -= 0.0 if is_held else move
            if (
                not any(between)
                and np.abs(offset[[0, 2]]).max() < HALF
                and abs(offset[1]) < TOUCH < abs(was) + HALF
            ):
                offset[1] = np.copysign(TOUCH, was)
        if _is_hooked(state[:3] - move, HANDLE_X - state[12]) and move[0] < 0:
            state[12] -= move[0]
        target = max((1 - action[3]) / 2, CLOSED_ON if any(between) else 0.0)
        state[3] += np.clip(target - state[3], -CLOSES, CLOSES)
    return state[:4] - start


def over(hand: Numbers, target: Numbers) -> Numbers:
    """The way to a place: up, across, down; on the way down it may stray twice as far as before it."""
    near = NEAR if hand[2] > ABOVE - MOVE else 2 * NEAR
    if np.linalg.norm(hand[:2] - target[:2]) <= near:
        return target
    height = max(ABOVE, target[2])
    if hand[2] < height - MOVE:
        return np.array([*hand[:2], height])
    return np.array([*target[:2], height])


def _grasp(hand: Numbers, opening: float, block: Numbers) -> tuple[Numbers, float] | None:
    """How to get hold of a block; None where it is held."""
    away = np.abs(hand - block)
    if EMPTY < opening < HELD and away[:2].max() < HALF and away[2] < 0.8 * HALF:
        return None
    if away[:2].max() < 2 * NEAR and away[2] < NEAR:
        return hand, 1.0
    return over(hand, block), -1.0


def _lift(hand: Numbers, opening: float, block: Numbers) -> tuple[Numbers, float]:
    return _grasp(hand, opening, block) or (hand + UP, 1.0)


def _put(
    hand: Numbers, opening: float, block: Numbers, target: Numbers, room: float
) -> tuple[Numbers, float]:
    """Take a block to a place, let it go and move off; ``room`` is how far from there it may lie."""
    there = np.abs(block[:2] - target[:2]).max() < room and block[2] < target[2] + 0.004
    if there:
        return (hand if opening < 0.9 else hand + UP), -1.0
    grasp = _grasp(hand, opening, block)
    if grasp is not None:
        return grasp
    return over(hand, target + hand - block), 1.0


def _push(hand: Numbers, block: Numbers, side: float) -> tuple[Numbers, float]:
    """Go down beside a block, then through it."""
    behind = block - [0, side * (HALF + 0.03), 0]
    beside = side * (block[1] - hand[1]) > HALF and abs(hand[0] - block[0]) < 0.012
    if beside and hand[2] < block[2] + 0.012:
        return np.array([block[0], hand[1] + side, block[2]]), 1.0
    return over(hand, behind), 1.0


def _pull(hand: Numbers, out: float) -> tuple[Numbers, float]:
    """Go down behind the handle, then back."""
    handle = HANDLE_X - out
    target = np.array([handle + 0.019, DRAWER_Y, 0.045])
    if _is_hooked(hand, handle):
        return np.array([hand[0] - 1, DRAWER_Y, target[2]]), 1.0
    return over(hand, target), 1.0


def _is_hooked(hand: Numbers, handle: float) -> bool:
    """Whether the hand is behind the handle of the drawer, at x = ``handle``."""
    return bool(abs(hand[1] - DRAWER_Y) < 0.02 and hand[2] < 0.055 and handle < hand[0] < handle + 0.035)
