"""Networks between observations, goals and instructions, and the policy that is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from biddable.errors import InputError
from biddable.policies.goal_language import TEXT, GoalLanguageNetwork, GoalLanguagePolicy
from biddable.policies.goal_networks import AGENT, CellActor, Seen, TransitionEncoder, scaled
from biddable.policies.heads import Categorical, Gaussian
from biddable.policies.saved import load_policy, save_policy

SIZES = {"channels": 8, "hidden": 16}
CELLS = Seen("grid", "cells", (4, 5, 3))


def fake_encode(texts):
    """A vector for each text, the same every time."""
    return np.stack([np.random.default_rng(len(text)).normal(size=TEXT) for text in texts]).astype(np.float32)


def policy(seen: Seen = CELLS, head=None) -> GoalLanguagePolicy:
    torch.manual_seed(0)
    head = head or Categorical(7)
    network = GoalLanguageNetwork(seen, head.outputs, width=8, **SIZES)
    return GoalLanguagePolicy(network, head, fake_encode)


def grid(x: int = 1, y: int = 2, direction: int = 0) -> np.ndarray:
    cells = np.zeros((4, 5, 3), np.uint8)
    cells[..., 0] = 1
    cells[x, y] = AGENT, 0, direction
    return cells


def test_what_is_seen_is_told_by_its_shape_and_its_numbers() -> None:
    pixels = np.full((2, 8, 9, 3), 200, np.uint8)
    assert Seen.of("image", pixels) == Seen("image", "pictures", (8, 9, 3))
    assert Seen.of("grid", np.stack([grid()])).kind == "cells"
    assert Seen.of("state", np.zeros((3, 4))) == Seen("state", "vectors", (4,))
    for wrong in (np.zeros((2, 3, 4)), np.full((2, 8, 8, 3), 0.5), np.full((2, 4, 4, 3), 300)):
        with pytest.raises(InputError, match="expected vectors"):
            Seen.of("image", wrong)


def test_large_pictures_are_scaled_and_small_ones_are_not() -> None:
    pictures = np.zeros((1, 4, 8, 3), np.uint8)
    pictures[:, :, 4:] = 100
    assert scaled(pictures, 8) is pictures
    assert scaled(pictures, 4)[0, :, :, 0].tolist() == [[0, 0, 100, 100], [0, 0, 100, 100]]
    assert policy(Seen("image", "pictures", (2, 4, 3))).network.seen.array(pictures[0]).shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("direction", "ahead", "right"),
    [(0, (1, 0), (0, 1)), (1, (0, 1), (-1, 0)), (2, (-1, 0), (0, -1)), (3, (0, -1), (1, 0))],
)
def test_cells_lie_as_the_agent_sees_them(direction, ahead, right) -> None:
    actor = CellActor(CELLS, 8, 7, hidden=16)
    relative = actor._relative(torch.from_numpy(grid(1, 2, direction)[None]).long())[0] - (actor.reach - 1)
    assert relative[1, 2].tolist() == [0, 0]
    assert relative[1 + ahead[0], 2 + ahead[1]].tolist() == [1, 0]
    assert relative[1 + right[0], 2 + right[1]].tolist() == [0, 1]


def test_without_an_agent_cells_lie_as_they_are() -> None:
    actor = CellActor(CELLS, 8, 7, hidden=16)
    relative = actor._relative(torch.ones(1, 4, 5, 3).long())[0] - (actor.reach - 1)
    assert relative[3, 4].tolist() == [3, 4]


def test_the_start_counts_only_where_it_is_looked_at() -> None:
    goal, starts = torch.from_numpy(grid()[None]), [torch.from_numpy(grid(x)[None]) for x in (0, 3)]
    for start in (True, False):
        h = TransitionEncoder(CELLS, 8, start=start, **SIZES)
        same = torch.allclose(h(starts[0], goal), h(starts[1], goal))
        assert same != start


@pytest.mark.parametrize(
    ("seen", "head"),
    [
        (CELLS, Categorical(7)),
        (Seen("image", "pictures", (16, 16, 3)), Gaussian([-1, -2], [1, 2])),
        (Seen("state", "vectors", (3,)), Gaussian([-1, -2], [1, 2])),
    ],
)
def test_a_kept_policy_acts_as_it_did(seen, head, tmp_path) -> None:
    acting = policy(seen, head)
    acting.network.standardise(torch.rand(9, *seen.shape), torch.rand(4, TEXT))
    dtype = np.float32 if seen.kind == "vectors" else np.uint8
    values = [np.random.default_rng(i).integers(0, 9, seen.shape).astype(dtype) for i in range(6)]
    shown = [{seen.part: values[i], "initial": values[3], "goal": values[i + 3]} for i in range(3)]
    told = [{seen.part: values[i], "instruction": "pick " + "it " * i} for i in range(3)]
    folder = save_policy(tmp_path / "policy", acting, title="test", env="minigrid:X")
    again = load_policy(folder)
    again._vectors = acting._vectors
    observations = [shown[0], told[0], shown[1], told[1], told[2], shown[2]]
    for first, second in zip(acting.act(observations), again.act(observations), strict=True):
        assert np.array_equal(first, second)
    apart = [acting.act([each])[0] for each in observations]
    for first, second in zip(acting.act(observations), apart, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        ({"grid": grid(), "instruction": "go", "goal": grid()}, "instruction, goal is 'both', expected one"),
        ({"grid": grid()}, "instruction, goal is 'neither'"),
        ({"grid": grid(), "instruction": " "}, "instruction, goal is 'neither'"),
        ({"grid": grid(), "goal": grid()}, "initial is None, expected the first observation"),
        ({"image": grid(), "instruction": "go"}, "expected one with the part 'grid'"),
        (
            {"grid": grid()[:3], "instruction": "go"},
            r"of shape \[3, 5, 3\]', expected numbers of shape \[4, 5, 3",
        ),
        ({"grid": grid() + 20, "instruction": "go"}, "expected names from 0 to 15"),
        ({"grid": grid(), "goal": grid()[:2], "initial": grid()}, "expected numbers of shape"),
    ],
)
def test_what_it_cannot_act_on_is_one_line(observation, message) -> None:
    with pytest.raises(InputError, match=message):
        policy().act([observation])
