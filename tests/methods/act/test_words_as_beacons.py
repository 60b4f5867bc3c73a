"""Words as Beacons: subgoals, what reaching them pays and how they look, on levels made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from minigrid.core.grid import Grid
from minigrid.core.world_object import Ball, Door, Goal, Key, Wall
from minigrid.minigrid_env import MiniGridEnv, MissionSpace

from biddable.envs.base import make_env
from biddable.envs.minigrid_subgoals import (
    KINDS,
    Subgoal,
    Tracker,
    beacon_bonus,
    encode_subgoal,
    kind_of,
    objects,
    oracle_subgoals,
    shortest_path,
)
from biddable.errors import InputError
from biddable.models.base import TokenScores
from biddable.policies.subgoal_env import SubgoalEnv
from biddable.policies.teachers import (
    LMTeacher,
    OracleTeacher,
    SurrogateTeacher,
    accuracy,
)

LEFT, RIGHT, FORWARD, PICKUP, TOGGLE = 0, 1, 2, 3, 5
LEVELS = [
    "MiniGrid-KeyCorridorS3R2-v0",
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-ObstructedMaze-1Dl-v0",
    "MiniGrid-ObstructedMaze-1Dlh-v0",
    "MiniGrid-ObstructedMaze-1Dlhb-v0",
    "MiniGrid-MultiRoom-N4-S5-v1",
]


class Hall(MiniGridEnv):
    """A corridor of 7 x 3: the agent at 1 looks east; key at 2, locked door at 4, goal at 5."""

    def __init__(self):
        super().__init__(MissionSpace(lambda: "go"), width=7, height=3, max_steps=100)

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.put_obj(Key("red"), 2, 1)
        self.put_obj(Door("red", is_locked=True), 4, 1)
        self.put_obj(Goal(), 5, 1)
        self.agent_pos, self.agent_dir = np.array((1, 1)), 0
        self.mission = "go"


@pytest.fixture
def hall() -> Hall:
    level = Hall()
    level.reset(seed=0)
    return level


PLAN = [Subgoal((2, 1), "key"), Subgoal((4, 1), "locked_door"), Subgoal((5, 1), "goal")]


def level_of(id: str, seed: int = 0):
    """A level as it is after its reset."""
    env = make_env(id)
    env.reset(seed=seed)
    return env.level


def walk(level: MiniGridEnv, tracker: Tracker, actions: list[int]) -> list[int | None]:
    taken = []
    for action in actions:
        tracker.before()
        level.step(action)
        taken.append(tracker.after())
    return taken


def test_subgoals_are_paid_in_order_with_the_steps_each_took_and_never_the_last(hall) -> None:
    tracker = Tracker(PLAN, hall)
    assert tracker.current == PLAN[0]
    # Look away and back, take the key; two steps on to the door, open it; through it to the goal.
    assert walk(hall, tracker, [LEFT, RIGHT, PICKUP]) == [None, None, 3]
    assert (tracker.current, tracker.steps) == (PLAN[1], 0)
    assert walk(hall, tracker, [FORWARD, FORWARD, TOGGLE]) == [None, None, 3]
    assert tracker.current is None, "the last is neither shown"
    assert walk(hall, tracker, [FORWARD, FORWARD]) == [None, None], "nor paid"
    assert tracker.reached == [True, True, True]
    assert tracker.index == 2


def test_out_of_order_is_marked_and_not_paid(hall) -> None:
    tracker = Tracker([PLAN[1], PLAN[0], PLAN[2]], hall)
    assert walk(hall, tracker, [PICKUP]) == [None]
    assert (tracker.reached, tracker.index, tracker.steps) == ([False, True, False], 0, 1)
    assert walk(hall, tracker, [FORWARD, FORWARD, TOGGLE]) == [None, None, 4]
    assert tracker.current == PLAN[0], "it is not passed over: it was reached before its turn"


def test_standing_on_a_cell_reaches_it(hall) -> None:
    hall.grid.set(2, 1, None)
    tracker = Tracker([Subgoal((2, 1)), Subgoal((3, 1)), Subgoal((5, 1))], hall)
    assert walk(hall, tracker, [FORWARD, FORWARD]) == [1, 1]


def test_a_change_is_seen_though_the_object_is_the_same(hall) -> None:
    hall.carrying = Key("red")
    hall.agent_pos = np.array((3, 1))
    tracker = Tracker([PLAN[1], PLAN[2]], hall)
    assert walk(hall, tracker, [TOGGLE]) == [1]


def test_no_subgoals_is_allowed(hall) -> None:
    tracker = Tracker([], hall)
    assert tracker.current is None
    assert walk(hall, tracker, [PICKUP]) == [None]


def test_the_bonus_by_hand() -> None:
    assert beacon_bonus(25, 100, 0.2) == pytest.approx(0.15)
    assert beacon_bonus(25, 100, 0) == 0
    with pytest.raises(InputError, match=r"alpha is -0\.1"):
        beacon_bonus(1, 100, -0.1)


def test_what_a_student_sees(hall) -> None:
    pool = {kind: np.full(4, place, dtype=np.float32) for place, kind in enumerate(KINDS)}
    key = PLAN[0]
    assert encode_subgoal(key, hall, "relative").tolist() == [1, 0]
    assert encode_subgoal(key, hall, "representation").tolist() == [5, 0, 0]
    assert encode_subgoal(key, hall, "language", pool).tolist() == [KINDS.index("key")] * 4
    hall.step(PICKUP)
    assert encode_subgoal(key, hall, "representation").tolist() == [-1, -1, -1], "the cell is empty now"
    assert encode_subgoal(None, hall, "relative").tolist() == [0, 0]
    assert encode_subgoal(None, hall, "representation").tolist() == [-1, -1, -1]
    assert encode_subgoal(None, hall, "language", pool).tolist() == [0] * 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda level: Tracker([Subgoal((9, 1))], level), "subgoal is \\(9, 1\\)"),
        (lambda level: encode_subgoal(PLAN[0], level, "smell"), "encoding is 'smell'"),
        (lambda level: encode_subgoal(PLAN[0], level, "language"), "pool is None"),
        (lambda level: encode_subgoal(PLAN[0], level, "language", {"box": np.zeros(2)}), "subgoal is 'key'"),
        (lambda level: encode_subgoal(Subgoal((0, 0)), level, "representation"), "not a wall"),
        (lambda level: oracle_subgoals(level), "level is 'Hall'"),
        (lambda level: SurrogateTeacher([1.1]), "accuracy is"),
        (lambda level: SurrogateTeacher([]), "accuracy is"),
        (lambda level: SurrogateTeacher(1.5), "accuracy is 1.5, expected a share from 0 to 1"),
        (lambda level: SurrogateTeacher(-0.5), "accuracy is -0.5"),
        (lambda level: SurrogateTeacher(math.nan), "accuracy is nan"),
        (lambda level: SurrogateTeacher([0.5, math.nan]), "accuracy is"),
        (lambda level: SurrogateTeacher([[0.5], [0.5]]), "accuracy is"),
        (lambda level: SurrogateTeacher([[0.5], [0.5, 1]]), "accuracy is"),
        (lambda level: SurrogateTeacher(np.full((2, 2), 0.5)), "accuracy is"),
        (lambda level: SurrogateTeacher(np.zeros(0)), "accuracy is"),
        (lambda level: SurrogateTeacher(None), "accuracy is None"),
        (lambda level: SurrogateTeacher("0.5"), "accuracy is '0.5'"),
        (lambda level: SurrogateTeacher([True]), "accuracy is"),
        (lambda level: SurrogateTeacher([0.5, None]), "accuracy is"),
        (lambda level: SurrogateTeacher([0.5], std=-1), "std is -1"),
        (lambda level: SurrogateTeacher([0.5], std=math.nan), "std is nan"),
        (lambda level: SurrogateTeacher([0.5], mean=math.inf), "mean is inf"),
        (lambda level: SurrogateTeacher([0.5], mean=None), "mean is None"),
        (lambda level: SurrogateTeacher([0.5], "smell"), "encoding is 'smell'"),
    ],
)
def test_what_cannot_be_is_one_line(hall, wrong, message) -> None:
    with pytest.raises(InputError, match=message):
        wrong(hall)


@pytest.mark.parametrize("accuracy", [1, 1.0, np.float32(1), [1.0], (1,), np.ones(1), np.ones(3), [1.0] * 3])
def test_an_accuracy_may_be_a_number_for_all_or_one_for_each(accuracy) -> None:
    level = level_of("minigrid:MiniGrid-DoorKey-6x6-v0")
    assert SurrogateTeacher(accuracy).propose(level) == oracle_subgoals(level)


def test_the_number_of_accuracies_must_fit() -> None:
    level = level_of("minigrid:MiniGrid-DoorKey-6x6-v0")
    with pytest.raises(InputError, match="1 or 3 shares"):
        SurrogateTeacher([1.0, 0.5]).propose(level)


@pytest.mark.parametrize("name", LEVELS)
def test_the_oracle_names_what_has_to_be_done(name) -> None:
    for seed in range(10):
        level = level_of(f"minigrid:{name}", seed=seed)
        subgoals = oracle_subgoals(level)
        things = dict(objects(level))
        assert [subgoal.kind for subgoal in subgoals] == [
            kind_of(things[subgoal.position]) for subgoal in subgoals
        ]
        kinds = [subgoal.kind for subgoal in subgoals]
        if "MultiRoom" in name:
            assert len(kinds) == 4
            assert kinds[-1] == "goal"
            assert all(kind.endswith("door") for kind in kinds[:-1])
        elif "1Dlhb" in name:
            assert kinds[0] == "box"
            assert kinds[1].endswith("ball")
            assert kinds[2:] == ["locked_door", "blue_ball"]
        else:
            assert kinds[0] == ("box" if "1Dlh" in name else "key")
            assert kinds[1] == "locked_door"
            assert kinds[2] == "goal" or kinds[2].endswith("ball")


def test_a_level_without_what_it_should_hold() -> None:
    level = level_of("minigrid:MiniGrid-DoorKey-6x6-v0")
    (key,) = (cell for cell, thing in objects(level) if thing.type == "key")
    level.grid.set(*key, None)
    with pytest.raises(InputError, match="one with a key"):
        oracle_subgoals(level)


def test_the_shortest_way_goes_through_doors_and_round_walls(hall) -> None:
    assert shortest_path(hall, (1, 1), (5, 1)) == [(x, 1) for x in range(1, 6)]
    hall.grid.set(3, 1, Wall())
    with pytest.raises(InputError, match="can be reached"):
        shortest_path(hall, (1, 1), (5, 1))


def test_a_surrogate_errs_as_often_as_it_should() -> None:
    level = level_of("minigrid:MiniGrid-KeyCorridorS3R2-v0", seed=3)
    right = oracle_subgoals(level)
    for encoding in ("relative", "representation"):
        teacher = SurrogateTeacher([0.9, 0.5, 1.0], encoding, mean=2.0, std=1.0)
        proposals = [teacher.propose(level) for _ in range(2000)]
        shares = np.mean([[a == b for a, b in zip(each, right, strict=True)] for each in proposals], axis=0)
        assert shares == pytest.approx([0.9, 0.5, 1.0], abs=0.03)
        assert all(each[2] == right[2] for each in proposals), "accuracy 1 never errs"


def test_a_wrong_cell_lies_all_around_and_officially_to_the_right() -> None:
    level = level_of("minigrid:MiniGrid-KeyCorridorS3R2-v0", seed=3)
    right = oracle_subgoals(level)[1].position
    teacher = SurrogateTeacher([1.0, 0.0, 1.0], mean=1.0, std=0.0)
    wrong = {teacher.propose(level)[1].position for _ in range(200)}
    x, y = right
    inside = {
        c for c in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)) if 0 <= c[0] < level.width and c[1] >= 0
    }
    assert wrong == inside
    official = SurrogateTeacher([1.0, 0.0, 1.0], mean=1.0, std=0.0, official=True)
    assert {official.propose(level)[1].position for _ in range(20)} == {(x + 1, y)}


def test_a_wrong_object_is_a_door_where_only_doors_are_drawn() -> None:
    for name, only_doors in (
        ("MiniGrid-KeyCorridorS3R2-v0", True),
        ("MiniGrid-ObstructedMaze-1Dlh-v0", False),
    ):
        level = level_of(f"minigrid:{name}", seed=1)
        teacher = SurrogateTeacher([0.0], "representation")
        kinds = {subgoal.kind for _ in range(50) for subgoal in teacher.propose(level)}
        assert all(kind.endswith("door") for kind in kinds) is only_doors


class Likes:
    """Scores the phrases it likes higher, in that order."""

    def __init__(self, *order: str):
        self.order, self.asked = order, []

    def score(self, chats, continuations):
        self.asked += [chat[0].content for chat in chats]
        return [TokenScores((0,), (-float(self.order.index(text)),)) for text in continuations]


def test_a_language_model_chooses_among_what_is_left() -> None:
    levels = [level_of("minigrid:MiniGrid-DoorKey-6x6-v0", seed=s) for s in (0, 1)]
    model = Likes("key", "goal", "locked door")
    proposed = LMTeacher(model).propose_many(levels)
    assert [[subgoal.kind for subgoal in each] for each in proposed] == [["key", "goal", "locked_door"]] * 2
    for each, level in zip(proposed, levels, strict=True):
        assert accuracy(each, oracle_subgoals(level)) == pytest.approx(1 / 3)
    assert "So far you have been to the key, then the goal." in model.asked[-1]
    assert "use the key to open the door and then get to the goal" in model.asked[0]


def test_the_wrapper_shows_and_pays(monkeypatch) -> None:
    env = SubgoalEnv(make_env("minigrid:MiniGrid-DoorKey-6x6-v0"), OracleTeacher(), "relative", alpha=0.2)
    obs, _ = env.reset(seed=4)
    level = env.env.level
    key = oracle_subgoals(level)[0].position
    assert obs["subgoal"].tolist() == [key[0] - level.agent_pos[0], key[1] - level.agent_pos[1]]
    assert env.observation_space.contains(obs)
    beside = {3: (0, 1), 1: (0, -1), 0: (-1, 0), 2: (1, 0)}  # where to stand, by where to look
    for level.agent_dir, (dx, dy) in beside.items():
        if level.grid.get(key[0] + dx, key[1] + dy) is None:
            level.agent_pos = np.array((key[0] + dx, key[1] + dy))
            break
    _, reward, _, _, info = env.step(PICKUP)
    assert reward == pytest.approx(0.2 * (1 - 1 / level.max_steps))
    assert info["in_order"] == pytest.approx(1 / 3)


def test_hidden_subgoals_pay_all_the_same_and_nobody_pays_nothing() -> None:
    hidden = SubgoalEnv(
        make_env("minigrid:MiniGrid-DoorKey-6x6-v0"), OracleTeacher(), "relative", shown=False
    )
    nobody = SubgoalEnv(make_env("minigrid:MiniGrid-DoorKey-6x6-v0"), None, "representation")
    assert hidden.reset(seed=4)[0]["subgoal"].tolist() == [0, 0]
    assert nobody.reset(seed=4)[0]["subgoal"].tolist() == [-1, -1, -1]
    with pytest.raises(InputError, match="pool is None"):
        SubgoalEnv(make_env("minigrid:MiniGrid-DoorKey-6x6-v0"), None, "language")


def test_a_blocking_ball_is_no_target() -> None:
    level = level_of("minigrid:MiniGrid-ObstructedMaze-1Dlhb-v0", seed=2)
    blocking = oracle_subgoals(level)[1]
    assert isinstance(level.grid.get(*blocking.position), Ball)
    assert blocking.position != tuple(level.obj.cur_pos)
