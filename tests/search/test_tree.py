"""Every rule of the tree, on trees small enough to be worked out by hand.

Nodes are named by their path: ``r`` is the root, ``r1`` its second child, ``r10`` that one's first.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from biddable.errors import InputError
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.search.refiners import Refinement
from biddable.search.tree import SearchSettings, tree_search
from biddable.types import Verdict

from .scripted import Script, refiner, tasks

ROOT = RefinementNode("r", "too long")


def grow(
    refine: Any, judge: Any, *, root: RefinementNode = ROOT, seed: int = 0, **settings: Any
) -> SearchResult:
    return tree_search(tasks(1), [root], refine, judge, SearchSettings(**settings), seeds=[seed])[0]


def search(script: Script, **settings: Any) -> SearchResult:
    return grow(script.refine, script.judge, **settings)


def made(result: SearchResult) -> list[str]:
    return [node.response for node in result.root.walk()]


class TestBreadthFirst:
    def test_the_whole_level_is_scored_before_stopping(self):
        script = Script({"r0": 0.6, "r1": 0.8, "r2": 0.7})
        result = search(script)
        assert (result.best.response, result.solved, result.expansions) == ("r1", True, 3)
        assert script.judged == [["r0", "r1", "r2"]]

    def test_a_tie_above_the_threshold_goes_to_the_first(self):
        assert search(Script({"r1": 0.8, "r2": 0.8})).best.response == "r1"

    def test_the_threshold_must_be_passed_not_reached(self):
        result = search(Script({"r0": 0.5}), max_depth=1)
        assert not result.solved
        assert result.best.response == "r0"
        assert search(Script({"r0": 0.5}), max_depth=1, threshold=0.49).solved

    def test_the_best_of_each_level_go_on_best_first(self):
        script = Script({"r0": 0.1, "r1": 0.3, "r2": 0.2, "r10": 0.4, "r11": 0.25, "r22": 0.35})
        result = search(script)
        assert script.refined == [["r"] * 3, ["r1"] * 3 + ["r2"] * 3, ["r10"] * 3 + ["r22"] * 3]
        assert result.expansions == 3 + 6 + 6

    def test_both_survivors_may_have_the_same_parent(self):
        script = Script({"r0": 0.3, "r1": 0.2, "r00": 0.4, "r01": 0.4})
        search(script, branching=2)
        assert script.refined[2] == ["r00"] * 2 + ["r01"] * 2

    def test_equal_values_survive_in_the_order_they_were_made(self):
        script = Script()
        search(script, max_depth=2)
        assert script.refined[1] == ["r0"] * 3 + ["r1"] * 3

    def test_fewer_children_than_keep_all_go_on(self):
        script = Script({"r0": None, "r2": None})
        search(script, max_depth=2)
        assert script.refined[1] == ["r1"] * 3

    def test_a_spent_budget_stops_in_mid_level_but_the_level_is_ranked(self):
        result = search(Script({"r01": 0.9}), budget=5)
        assert made(result) == ["r", "r0", "r00", "r01", "r1", "r2"]
        assert (result.best.response, result.solved, result.expansions) == ("r01", True, 5)

    def test_what_lies_beyond_the_budget_is_never_made(self):
        result = search(Script({"r02": 0.9}), budget=5)
        assert (result.solved, result.expansions) == (False, 5)
        assert "r02" not in made(result)

    def test_a_budget_spent_at_the_end_of_a_level_stops_there(self):
        assert search(Script(), budget=3).expansions == 3

    def test_a_child_without_a_verdict_costs_nothing(self):
        result = search(Script({"r0": None, "r00": 1.0}), branching=3, beam_width=1, max_depth=1, budget=2)
        assert made(result) == ["r", "r1", "r2"]


class TestDepthFirst:
    def test_the_best_child_first_then_back_to_its_sibling(self):
        script = Script({"r0": 0.2, "r1": 0.4, "r01": 1.0})
        result = search(script, strategy="dfs", branching=2, max_depth=2)
        assert script.refined == [["r"] * 2, ["r1"] * 2, ["r0"] * 2]
        assert (result.best.response, result.solved, result.expansions) == ("r01", True, 6)

    def test_siblings_that_are_not_kept_are_never_expanded(self):
        script = Script({"r0": 0.2, "r1": 0.4})
        result = search(script, strategy="dfs", branching=2, beam_width=1, max_depth=3)
        assert script.refined == [["r"] * 2, ["r1"] * 2, ["r10"] * 2]
        assert result.expansions == 6

    def test_all_children_of_a_node_are_scored_before_it_is_left(self):
        result = search(Script({"r0": 0.6, "r1": 0.9}), strategy="dfs")
        assert (result.best.response, result.expansions) == ("r1", 3)

    def test_the_depth_limit_ends_a_branch(self):
        result = search(Script(), strategy="dfs", max_depth=1)
        assert (result.solved, result.expansions) == (False, 3)

    @pytest.mark.parametrize(
        ("budget", "expansions", "last"),
        [
            # r0 r1 | r00 r01, spent | r10 is made all the same.
            (4, 5, "r10"),
            # r0 r1 | r00 r01 | r000 r001, spent | r010 | r10: each sibling on the way back makes one.
            (6, 8, "r10"),
            # r0 r1 | r00, spent in the middle | r10.
            (3, 4, "r10"),
            # r0 r1, spent: no child of the node that spent it is visited.
            (2, 2, "r1"),
            (1, 1, "r0"),
        ],
    )
    def test_later_siblings_overrun_a_spent_budget_by_one_child_each(self, budget, expansions, last):
        result = search(Script(), strategy="dfs", branching=2, beam_width=2, max_depth=3, budget=budget)
        assert (result.expansions, made(result)[-1]) == (expansions, last)

    def test_a_child_beyond_the_budget_can_still_solve(self):
        result = search(Script({"r10": 1.0}), strategy="dfs", branching=2, budget=4)
        assert (result.best.response, result.solved, result.expansions) == ("r10", True, 5)

    def test_beyond_the_budget_slots_are_tried_until_one_child_came(self):
        script = Script({"r10": None, "r11": None})
        result = search(script, strategy="dfs", branching=3, beam_width=2, max_depth=2, budget=6)
        assert made(result) == ["r", "r0", "r00", "r01", "r02", "r1", "r12", "r2"]


class TestFailure:
    def test_an_all_zero_tree_returns_its_last_leaf(self):
        assert search(Script(), branching=2, max_depth=2).best.response == "r11"

    def test_the_highest_value_wins_wherever_it_is(self):
        assert search(Script({"r0": 0.4, "r1": 0.2, "r01": 0.3})).best.response == "r0"

    def test_the_deeper_of_two_equals_wins(self):
        assert search(Script({"r0": 0.4, "r00": 0.4})).best.response == "r00"

    def test_the_later_of_two_equals_wins_even_over_a_deeper_one(self):
        assert search(Script({"r0": 0.4, "r00": 0.4, "r1": 0.4})).best.response == "r1"

    def test_the_root_counts_with_its_own_value(self):
        root = RefinementNode("r", value=0.3)
        script = Script({"r0": 0.2})
        result = grow(script.refine, script.judge, root=root, max_depth=1)
        assert result.best is result.root
        assert not result.refined

    @pytest.mark.parametrize("strategy", ["bfs", "dfs"])
    def test_no_rewriting_ever_comes(self, strategy):
        asked = []

        def refine(tasks, responses, critiques, *, seeds):
            asked.extend(seeds)
            return [None] * len(responses)

        result = grow(refine, Script().judge, strategy=strategy)
        assert (result.best is result.root, result.refined, result.solved, result.expansions) == (
            True,
            False,
            False,
            0,
        )
        assert len(asked) == 3 * 9
        assert len({*asked}) == 3 * 9

    @pytest.mark.parametrize("strategy", ["bfs", "dfs"])
    def test_no_score_ever_comes(self, strategy):
        script = Script(dict.fromkeys(("r0", "r1", "r2")))
        result = search(script, strategy=strategy)
        assert script.judged == [["r0", "r1", "r2"]]
        assert (result.refined, result.expansions) == (False, 0)


class TestAsking:
    def test_a_rewriting_that_did_not_come_is_asked_for_again(self):
        replies = iter([None, "one", None, None, "two"])
        result = grow(
            refiner(lambda responses: [next(replies) for _ in responses]),
            Script().judge,
            branching=2,
            beam_width=1,
            max_depth=1,
        )
        # The second slot is filled at once and the first at its fourth try, but slots keep their order.
        assert [node.response for node in result.root.children] == ["two", "one"]

    def test_the_refiners_whole_text_is_kept(self):
        result = grow(
            lambda *rows, seeds: [Refinement("b", "So: b")] * len(seeds), Script().judge, max_depth=1
        )
        assert (result.best.response, result.best.refinement) == ("b", "So: b")

    def test_a_slot_that_stays_empty_is_skipped(self):
        def texts(responses):
            return ["fine" if i == 1 and len(responses) == 3 else None for i in range(len(responses))]

        assert made(grow(refiner(texts), Script().judge, max_depth=1)) == ["r", "fine"]

    def test_a_response_is_judged_once_per_tree(self):
        script = Script()
        result = grow(refiner(lambda responses: ["same"] * len(responses)), script.judge, max_depth=2)
        assert script.judged == [["same"]]
        assert result.expansions == 3 + 6
        assert {node.critique for node in result.root.walk()} == {"too long", "on same"}

    def test_that_it_came_up_again_does_not_change_its_seed(self):
        seeds = []
        for texts in (["same", "other", "same"], ["same", "other", "third"]):
            script = Script()
            grow(refiner(lambda responses, texts=texts: texts), script.judge, max_depth=1)
            seeds.append(script.seeds[:2])
        assert seeds[0] == seeds[1]

    def test_but_each_tree_judges_for_itself(self):
        script = Script()
        same = refiner(lambda responses: ["same"] * len(responses))
        tree_search(tasks(2), [ROOT, ROOT], same, script.judge)
        assert script.judged == [["same", "same"]]

    def test_the_refiner_sees_the_parents_critique(self):
        critiques = []

        def refine(*rows, seeds):
            critiques.append({*rows[2]})
            return script.refine(*rows, seeds=seeds)

        script = Script({"r1": 0.2})
        grow(refine, script.judge, beam_width=1, max_depth=2)
        assert critiques == [{"too long"}, {"on r1"}]

    def test_refiner_and_judge_see_the_task_of_each_tree(self):
        seen = []

        def refine(*rows, seeds):
            seen.append([task.id for task in rows[0]])
            return script.refine(*rows, seeds=seeds)

        def judge(asked, responses, *, seeds):
            seen.append([task.id for task in asked])
            return script.judge(asked, responses, seeds=seeds)

        script = Script()
        how = SearchSettings(branching=1, beam_width=1, max_depth=1)
        tree_search(tasks(2), [ROOT, ROOT], refine, judge, how)
        assert seen == [["t0", "t1"]] * 2

    def test_no_two_requests_share_a_seed(self):
        script = Script({"r0": None})
        search(script, branching=4, beam_width=3)
        assert len(script.seeds) == len(set(script.seeds))
        assert all(0 <= seed < 2**63 for seed in script.seeds)


class TestSampling:
    def drawn(self, values: dict[str, float], seeds: int) -> Counter[tuple[str, ...]]:
        """Which of r0 r1 r2 a breadth-first search goes on with, over many seeds."""
        counts: Counter[tuple[str, ...]] = Counter()
        for seed in range(seeds):
            script = Script(values)
            search(script, select="sample", max_depth=2, seed=seed)
            counts[tuple(script.refined[1][::3])] += 1
        return counts

    def test_an_all_zero_level_keeps_two_different_nodes_evenly(self):
        counts = self.drawn({}, seeds=300)
        assert set(counts) == {("r0", "r1"), ("r0", "r2"), ("r1", "r2")}
        assert min(counts.values()) > 60

    def test_a_higher_value_is_drawn_more_often_and_goes_first(self):
        counts = self.drawn({"r2": 0.5}, seeds=100)
        assert set(counts) == {("r2", "r0"), ("r2", "r1")}  # without r2: about 1 in 100 000

    def test_depth_first_goes_on_from_the_node_it_drew_for(self):
        script = Script({"r0": 0.4, "r1": 0.3})
        result = search(
            script, strategy="dfs", select="sample", branching=2, beam_width=1, max_depth=3, seed=3
        )
        child = next(node for node in result.root.children if node.children)
        grandchild = next(node for node in child.children if node.children)
        assert script.refined == [["r"] * 2, [child.response] * 2, [grandchild.response] * 2]

    def test_the_seed_decides(self):
        runs = [search(Script(), select="sample", seed=7).to_dict() for _ in range(2)]
        assert runs[0] == runs[1]


class TestPassed:
    """What the judge decides counts besides the value."""

    @pytest.mark.parametrize(("passed", "solved"), [(True, True), (None, True), (False, False)])
    def test_what_the_judge_fails_solves_nothing(self, passed, solved):
        result = grow(Script().refine, lambda t, r, *, seeds: [Verdict(0.9, passed)] * len(r), max_depth=1)
        assert result.solved is solved

    def test_the_best_that_was_not_failed_solves(self):
        verdicts = {"r0": Verdict(0.9, False), "r1": Verdict(0.7, True), "r2": Verdict(0.8, True)}
        result = grow(Script().refine, lambda t, r, *, seeds: [verdicts[each.text] for each in r])
        assert (result.best.response, result.solved) == ("r2", True)

    def test_rewards_of_any_scale_can_be_searched(self):
        script = Script({"r0": -3.0, "r1": -2.0, "r2": 7.0})
        root = RefinementNode("r", value=-5.0)
        result = grow(script.refine, script.judge, root=root, threshold=10.0, max_depth=1)
        assert (result.best.response, result.solved) == ("r2", False)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"branching": 0}, "branching"),
        ({"branching": 2.5}, "branching"),
        ({"beam_width": 0}, "beam_width"),
        ({"max_depth": 0}, "max_depth"),
        ({"budget": 0}, "budget"),
        ({"refine_tries": 0}, "refine_tries"),
        ({"threshold": float("nan")}, "threshold"),
        ({"strategy": "beam"}, "strategy"),
        ({"select": "top"}, "select"),
    ],
)
def test_bad_settings(settings, field):
    with pytest.raises(InputError, match=f"^{field} is {settings[field]!r}, expected"):
        search(Script(), **settings)


def test_a_beam_is_no_wider_than_the_branching():
    with pytest.raises(InputError, match=r"^beam_width is 4, expected at most branching, which is 3"):
        SearchSettings(beam_width=4)


def test_bad_input():
    script = Script()
    with pytest.raises(InputError, match="refine is 'r0', expected a Refinement"):
        grow(lambda *rows, seeds: ["r0"] * len(seeds), script.judge)
    with pytest.raises(InputError, match=r"judge is 0.5, expected a Verdict"):
        grow(script.refine, lambda t, r, *, seeds: [0.5] * len(r))
    with pytest.raises(InputError, match=r"score is inf, expected a finite number"):
        grow(script.refine, lambda t, r, *, seeds: [Verdict(float("inf"), None)] * len(r))
    with pytest.raises(InputError, match=r"score is -1.0, expected at least 0"):
        grow(script.refine, lambda t, r, *, seeds: [Verdict(-1.0, None)] * len(r), select="sample")
    with pytest.raises(InputError, match="answers to RefineRequest is 1, expected 3, one for each"):
        grow(refiner(lambda responses: ["r0"]), script.judge)
    with pytest.raises(InputError, match="roots is"):
        tree_search([], [], script.refine, script.judge)
    with pytest.raises(InputError, match="tasks is 2, expected one for each of 1 roots"):
        tree_search(tasks(2), [ROOT], script.refine, script.judge)
    with pytest.raises(InputError, match=r"seeds is \[-1\], expected 1 integers of at least 0"):
        search(script, seed=-1)
    with pytest.raises(InputError, match="root value is nan"):
        grow(script.refine, script.judge, root=RefinementNode("r", value=float("nan")))
