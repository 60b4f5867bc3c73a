"""Who says what can be done and what was done: the environment, a grid, or a model that may say anything."""

from __future__ import annotations

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.policies.detectors import (
    CAN,
    GridChecker,
    ModelDetector,
    NoChecker,
    OracleDetector,
    described,
    true_or_false,
    two_lines,
)
from biddable.types import Prompt, Response, Trajectory, last_turn
from tests.doubles import Double

GRID = np.zeros((4, 3, 3), np.uint8)
GRID[..., 0] = 1
GRID[1, 1] = 6, 0, 0  # a red ball in column 1, row 1
GRID[2, 0] = 4, 2, 1  # a closed blue door
GRID[3, 2] = 10, 0, 3  # the robot, facing north


def episode(success: bool | None, text: str = "pick up the red ball") -> Trajectory:
    return Trajectory(text, {"grid": np.stack([GRID, GRID])}, np.zeros(1), np.zeros(1), success)


def test_a_grid_says_what_is_there() -> None:
    tasks = ["go to the red ball", "go to the blue ball", "open a door", "put the red ball next to a box"]
    tasks.append("sing")
    assert GridChecker().viable({"grid": GRID}, tasks) == [True, False, True, False, True]
    assert NoChecker().viable({}, tasks) == [True] * 5


def test_the_oracle_errs_as_often_as_it_is_told() -> None:
    episodes = [episode(True), episode(False)] * 2000
    right = OracleDetector(0.0, np.random.default_rng(0)).judge(episodes)
    assert right == [True, False] * 2000
    wrong = np.array(OracleDetector(0.2, np.random.default_rng(0)).judge(episodes)) != np.array(right)
    assert wrong.mean() == pytest.approx(0.2, abs=0.02)
    with pytest.raises(InputError, match=r"error is 1\.5"):
        OracleDetector(1.5, np.random.default_rng(0))
    with pytest.raises(InputError, match="the environment does not say; name a model as detector"):
        OracleDetector(0.0, np.random.default_rng(0)).judge([episode(None)])


def test_what_is_seen_is_said_in_words() -> None:
    seen = {"grid": GRID, "carrying": np.array([5, 1]), "state": np.array([0.5, 2.0]), "instruction": "x"}
    assert described(seen).splitlines() == [
        "There is a red ball in column 1, row 1.",
        "There is a closed blue door in column 2, row 0.",
        "The robot is in column 3, row 2 and faces north.",
        "The robot carries a green key.",
        "state: 0.5 2",
    ]
    with pytest.raises(InputError, match="parts that can be said in words"):
        described({"image": np.full((8, 8, 3), 200, np.uint8), "instruction": "x"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Is there a ball?\ntrue", ("Is there a ball?", True)),
        ("\nIs the box missing?\n\nFalse.\n", ("Is the box missing?", False)),
        ("Is there a ball? true", None),
        ("Is there a ball?\ntrue\nBecause of it.", None),
        ("There is a ball\ntrue", None),
        ("Is there a ball?\nyes", None),
        ("", None),
    ],
)
def test_two_lines_are_read_or_none(text, expected) -> None:
    assert two_lines(text) == expected


def test_answers_that_are_neither_are_none() -> None:
    texts = ["True", "yes, it is", " **false**", "No.", "truely", "It is true", ""]
    assert [true_or_false(text) for text in texts] == [True, True, False, False, None, None, None]


class Looks(Double):
    """Asks whether the last word of a task is there, and looks for it in what is seen."""

    name = "looks"

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        text = last_turn(prompt)
        if "Write one yes-or-no question" in text:
            task = text.split("task: ")[1].split("\n")[0]
            if task == "sing":
                return Response("I would rather not.")
            if task.startswith("avoid"):
                return Response("Is it there?\nfalse")
            return Response(f"Is there no {task.split()[-1]}?\nfalse")
        if "Is there no" not in text:
            return Response("hard to say")
        seen, question = text.rsplit("\n\n", 1)
        return Response("false" if question.split("no ")[1].split("?")[0] in seen else "true")


def test_a_model_is_asked_in_two_steps_and_what_cannot_be_read_is_no() -> None:
    model = Looks()
    detector = ModelDetector(model)
    tasks = ["pick up the ball", "pick up the box", "sing", "avoid the ball"]
    assert detector.viable({"grid": GRID}, tasks) == [True, False, False, False]
    assert (detector.asked, detector.unreadable) == (4, 2)
    assert detector.questions[CAN, "sing"] is None
    calls = len(model.asked)
    assert detector.viable({"grid": GRID}, tasks[:1]) == [True]
    assert len(model.asked) == calls + 1, "a question is written once"
    assert all(call["prompts"] for call in model.asked)
    assert detector.judge([episode(None, "go to the ball"), episode(None, "go to the key")]) == [True, False]
