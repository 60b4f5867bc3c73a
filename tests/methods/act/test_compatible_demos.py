"""Compatible demonstrations: the measure by hand-computed numbers, the filter, the session, the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import biddable
from biddable.envs.reach2d import Reach2DEnv
from biddable.errors import InputError
from biddable.experiments.demonstrators import demonstrate
from biddable.methods.act.compatible_demos import CompatibleDemos, auc
from biddable.policies.compatibility import (
    Demonstration,
    Thresholds,
    compatibility,
    compatibility_score,
    filter_demonstrations,
    is_incompatible,
    nearest_demonstration,
    step_scores,
    warped_distance,
    worst_windows,
)
from biddable.policies.elicitation import ElicitationSession

BOUNDS = Thresholds(max_error=0.4, min_novelty=0.15)


class Two:
    """An ensemble of two: where the first state is below 1 they agree on (1, 0), else they are far apart."""

    def predictions(self, states):
        known = states[:, :1] < 1
        first = np.where(known, [1.0, 0.0], [3.0, 0.0])
        second = np.where(known, [1.0, 0.2], [-1.0, 0.0])
        return np.stack([first, second])


def demo(states, actions, style="", success=True) -> Demonstration:
    return Demonstration(
        np.array(states, dtype=np.float32), np.array(actions, dtype=np.float32), success, style
    )


FITS = demo([[0, 0], [0, 1]], [[1, 0.1], [1, 0.1]], "same")
OTHER = demo([[0, 0], [0, 1], [0, 2], [5, 0]], [[0, 1], [0, 1], [1, 0.1], [0, 1]], "other")


def test_error_and_novelty_by_hand() -> None:
    matrix = compatibility(Two(), OTHER.states, OTHER.actions)
    # (1,0) and (1,.2) against (0,1): (1 + 1)/2 and (1 + .64)/2; the members' spread: 0 and .1 * sqrt(2).
    assert matrix[0] == pytest.approx([(1.0 + 0.82) / 2, 0.2 / np.sqrt(2) / 2], abs=1e-6)
    # Cut to 1 for the error, (1,0) and (-1,0) against (0,1); the spread of 3 and -1 is not cut: 4/sqrt(2).
    assert matrix[3] == pytest.approx([1.0, 4 / np.sqrt(2) / 2], abs=1e-6)
    assert matrix[2] == pytest.approx([0.005, 0.2 / np.sqrt(2) / 2], abs=1e-6)
    # With a limit of 2 the first is (2,0): (4 + 1)/2, and (1 + 1)/2 for the second.
    assert compatibility(Two(), OTHER.states, OTHER.actions, 2.0)[3, 0] == pytest.approx(1.75)


def test_familiar_and_unlikely_does_not_fit_and_new_always_does() -> None:
    matrix = compatibility(Two(), OTHER.states, OTHER.actions)
    assert is_incompatible(matrix, BOUNDS).tolist() == [True, True, False, False]
    assert is_incompatible(matrix, Thresholds(0.4, np.inf)).tolist() == [True, True, False, True]


def test_both_comparisons_are_strict() -> None:
    on_the_border = np.array([[0.4, 0.1], [0.5, 0.15], [0.41, 0.149]])
    assert is_incompatible(on_the_border, BOUNDS).tolist() == [False, False, True]


def test_the_score_falls_with_the_error_down_to_nothing() -> None:
    matrix = np.array([[0.1, 0.0], [0.4, 0.0], [2.0, 0.0], [2.0, 0.2]])
    assert step_scores(matrix, BOUNDS).tolist() == pytest.approx([0.75, 0.0, 0.0, 1.0])
    assert compatibility_score(matrix, BOUNDS) == pytest.approx(0.4375)
    assert step_scores(np.array([[0.0, 0.0], [0.1, 0.0]]), Thresholds(0, 1)).tolist() == [1.0, 0.0]


def test_the_box_drops_pairs_and_the_sample_rule_demonstrations() -> None:
    kept, report = filter_demonstrations(Two(), [FITS, OTHER], BOUNDS)
    assert [len(kept_demo.states) for kept_demo in kept] == [2, 2]
    assert kept[1].states.tolist() == [[0, 2], [5, 0]]
    assert [(r.style, r.pairs, r.incompatible, r.kept) for r in report] == [
        ("same", 2, 0, 2),
        ("other", 4, 2, 2),
    ]
    for limit, left in ((1, 1), (2, 2)):
        kept, report = filter_demonstrations(
            Two(), [FITS, OTHER], BOUNDS, rule="sample", max_incompatible=limit
        )
        assert len(kept) == left
    assert report[1].kept == 4


def test_random_drops_as_many_and_others() -> None:
    dropped = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        kept, report = filter_demonstrations(Two(), [FITS, OTHER], BOUNDS, rule="random", rng=rng)
        assert sum(len(kept_demo.states) for kept_demo in kept) == sum(r.kept for r in report) == 4
        dropped.add(tuple(r.kept for r in report))
    assert len(dropped) > 1


def test_windows_around_the_worst_steps() -> None:
    matrix = np.zeros((30, 2))
    matrix[[3, 12, 20, 28], 0] = [0.9, 0.5, 3.0, 1.0]
    assert worst_windows(matrix, BOUNDS) == [(10, 30), (18, 30), (0, 13)]
    assert worst_windows(matrix[:3], BOUNDS) == []


def test_time_warping_lets_one_wait_for_the_other() -> None:
    line = np.array([[0.0], [1.0], [2.0]])
    slow = np.array([[0.0], [0.0], [1.0], [1.0], [2.0]])
    assert warped_distance(line, slow) == 0
    assert warped_distance(line, line + 1) == pytest.approx(2**0.5)  # 0-1, 1-1, 2-2, 2-3
    assert warped_distance(line, line + 3) == pytest.approx(26**0.5)  # 0-3, 1-3, 2-4, 2-5
    pool = [demo([[9, 9]], [[0, 0]]), demo([[0, 0], [0, 1]], [[0, 0], [0, 0]])]
    assert nearest_demonstration(OTHER, pool) == 1


def test_far_off_for_a_moment_is_further_than_a_little_off_throughout() -> None:
    still = demo([[0, 0]] * 4, [[0, 0]] * 4)
    throughout = demo([[1, 0]] * 4, [[0, 0]] * 4)  # sum of distances 4, of their squares 4
    moment = demo([[0, 0], [0, 0], [3, 0], [0, 0]], [[0, 0]] * 4)  # 3 and 9
    assert warped_distance(still.states, throughout.states) == pytest.approx(2.0)
    assert warped_distance(still.states, moment.states) == pytest.approx(3.0)
    assert nearest_demonstration(still, [moment, throughout]) == 1


def test_a_session_takes_what_fits_and_says_what_does_not() -> None:
    session = ElicitationSession(Two(), [FITS], BOUNDS, quota=2, max_incompatible=1)
    feedback = session.offer(OTHER)
    assert (feedback.accepted, feedback.incompatible, feedback.nearest) == (False, 2, 0)
    assert feedback.windows == ((0, 4), (0, 4))
    assert session.offer(FITS).accepted
    assert not session.full
    assert session.offer(FITS).windows == ()
    assert (session.full, session.offered, len(session.accepted)) == (True, 3, 2)
    with pytest.raises(InputError, match="no more than 2"):
        session.offer(FITS)


def test_a_session_shows_good_examples_and_a_live_score() -> None:
    base = [FITS, *[OTHER] * 2, *[FITS] * 7]
    session = ElicitationSession(Two(), base, BOUNDS, quota=1)
    shown = session.to_study(np.random.default_rng(0))
    assert len(shown) == len(set(shown)) == 5
    assert not {1, 2} & set(shown), "the fifth with the largest error is not shown"
    assert session.live_score(np.array([0, 0]), np.array([1, 0.1])) == pytest.approx(1 - 0.005 / 0.4)
    assert session.live_score(np.array([0, 0]), np.array([0, 1])) == 0
    assert session.live_score(np.array([0, 0]), None) == 0.5


def test_auc_by_hand() -> None:
    assert auc({"up-right": [0.9, 0.5], "right-up": [0.1, 0.5]}) == pytest.approx((1 + 1 + 1 + 0.5) / 4)


@pytest.mark.parametrize("style", ["up-right", "right-up", "straight"])
def test_people_do_the_task_their_way(style) -> None:
    demonstration = demonstrate(Reach2DEnv("Reach2D"), style, np.random.default_rng(0), noise=0.05)
    first = demonstration.actions[0]
    assert demonstration.success
    assert {"up-right": first[1] > 0.8 > first[0], "right-up": first[0] > 0.8 > first[1]}.get(
        style, min(first) > 0.3
    )


def test_straight_ahead_there_is_the_pillar() -> None:
    with pytest.raises(RuntimeError, match="straight failed 20 times"):
        demonstrate(Reach2DEnv("Reach2DPillar"), "straight", np.random.default_rng(0), noise=0.0)


class One:
    def predictions(self, states):
        return np.zeros((1, len(states), 2))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: compatibility(One(), FITS.states, FITS.actions), "members is 1, expected at least 2"),
        (lambda: demo(np.zeros((0, 2)), np.zeros((0, 2))), "no states"),
        (lambda: demo([[0, 0]], [[0, 0], [1, 1]]), "2 actions"),
        (lambda: demo([[0, 0]], [[np.nan, 0]]), "not finite"),
        (lambda: compatibility(Two(), FITS.states, FITS.actions, 0), "action_limit is 0"),
        (lambda: compatibility(Two(), FITS.states, FITS.actions[:, :1]), "as the policy gives"),
        (lambda: Thresholds(-0.1, 0), "max_error is -0.1"),
        (lambda: Thresholds(0, np.nan), "min_novelty is nan"),
        (lambda: filter_demonstrations(Two(), [FITS], BOUNDS, rule="line"), "rule is 'line'"),
        (lambda: filter_demonstrations(Two(), [FITS], BOUNDS, max_incompatible=-1), "max_incompatible is -1"),
        (lambda: filter_demonstrations(Two(), [FITS], BOUNDS, rule="random"), "rng is None"),
        (lambda: ElicitationSession(Two(), [], BOUNDS, 1), "base is 'no demonstrations'"),
        (lambda: ElicitationSession(Two(), [FITS], BOUNDS, 0), "quota is 0"),
        (lambda: ElicitationSession(Two(), [FITS], BOUNDS, 1, -1), "max_incompatible is -1"),
        (lambda: nearest_demonstration(FITS, []), "pool is 'no demonstrations'"),
        (
            lambda: ElicitationSession(Two(), [FITS], BOUNDS, 1).offer(demo([[0, 0]], [[0, 0]], "", False)),
            "one that did not succeed",
        ),
    ],
)
def test_what_cannot_be_is_one_line(wrong, message) -> None:
    with pytest.raises(InputError, match=message):
        wrong()


TINY = {
    "tasks": ("Reach2DPillar",), "seeds": 3, "base_demos": 4, "new_demos": 4, "reverse_demos": 2,
    "cases": 4, "members": 2,
    "hidden": 8, "epochs": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.fixture(scope="module")
def whole(folder):
    """The results of a run in ``folder``."""
    return biddable.run("compatible-demos", out=folder, **TINY)


def test_the_same_run_ends_the_same_after_a_kill(whole, killed_run) -> None:
    killed = killed_run("compatible-demos", TINY, "reach2dpillar-seeds", 1)
    again = biddable.run("compatible-demos", out=killed, **TINY)
    assert again.metrics == whole.metrics
    assert again.comparisons == whole.comparisons
    assert again.timing["opened"] == 2


def test_seeds_in_worker_processes_end_the_same(whole, folder, tmp_path, monkeypatch) -> None:
    def enough(*_) -> None:
        raise InputError("clips", "not drawn", "the seeds alone")

    monkeypatch.setattr(CompatibleDemos, "_clips", enough)
    with pytest.raises(InputError, match="clips"):
        biddable.run("compatible-demos", out=tmp_path / "run", executor="processes:2", **TINY)

    def kept(run: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (run / "artifacts" / "model").iterdir()}

    def outcomes(run: Path) -> list[str]:
        return sorted((run / "stages" / "reach2dpillar-seeds.jsonl").read_text().splitlines())

    assert outcomes(tmp_path / "run") == outcomes(folder)
    assert kept(tmp_path / "run") == kept(folder) != {}


def test_what_a_run_leaves(whole, folder) -> None:
    metrics_of_task = whole.metrics["Reach2DPillar"]
    assert set(metrics_of_task["success"]) == {
        "base", "naive", "filtered", "error alone", "dropped at random", "elicited",
    }  # fmt: skip
    assert all(0 <= share <= 1 for arm in metrics_of_task["success"].values() for share in arm["per_seed"])
    metrics = [comparison.metric for comparison in whole.comparisons]
    assert metrics.count("Reach2DPillar: success") == 7
    [auc] = [comparison for comparison in whole.comparisons if "AUC" in comparison.metric]
    assert (auc.n, auc.seeds, auc.interval_kind) == (1, (0, 1, 2), "t over 3 seeds")
    controls = [comparison.metric for comparison in whole.comparisons if comparison.role == "control"]
    assert controls == ["Reach2DPillar: success on the way back"]
    assert json.loads((folder / "figures.json").read_text())


@pytest.mark.parametrize(
    "setting", [{"members": 1}, {"max_error": -1.0}, {"tasks": ("Maze",)}, {"base_demos": 1}]
)
def test_settings_that_there_are_not(setting, tmp_path) -> None:
    with pytest.raises(InputError, match=f"{next(iter(setting))} is"):
        biddable.run("compatible-demos", out=tmp_path / "run", **setting)
    assert not (tmp_path / "run").exists()
