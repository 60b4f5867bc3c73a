"""Trees grown together end exactly as trees grown alone, and as a plain sequential search would."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from biddable.search.nodes import RefinementNode, SearchResult
from biddable.search.refiners import Refinement
from biddable.search.tree import SearchSettings, tree_search
from biddable.types import Verdict

from .scripted import Script, tasks


@st.composite
def any_settings(draw: st.DrawFn, select: str = "greedy") -> SearchSettings:
    branch = draw(st.integers(1, 3))
    return SearchSettings(
        strategy=draw(st.sampled_from(["bfs", "dfs"])),
        branching=branch,
        beam_width=draw(st.integers(1, branch)),
        max_depth=draw(st.integers(1, 3)),
        threshold=draw(st.sampled_from([0.0, 0.5, 0.9])),
        budget=draw(st.integers(1, 12)),
        select=select,
    )


class Moody:
    """Answers drawn from each request's own seed: sometimes nothing, sometimes the same again."""

    def __init__(self, failures: int):
        self.failures = failures

    def refine(self, tasks, responses, critiques, *, seeds):
        return [
            None if self._fails(seed) else Refinement(f"{response}{seed // 8 % 4}")
            for response, seed in zip(responses, seeds, strict=True)
        ]

    def judge(self, tasks, responses, *, seeds):
        return [
            Verdict(None, None) if self._fails(seed) else Verdict(seed // 8 % 6 / 5, None, "so")
            for seed in seeds
        ]

    def _fails(self, seed):
        return seed % 8 < self.failures


@settings(deadline=None, derandomize=True)
@given(
    how=st.one_of(any_settings(), any_settings(select="sample")),
    seeds=st.lists(st.integers(0, 2**32), min_size=2, max_size=4),
    failures=st.integers(0, 8),
)
def test_together_as_alone(how, seeds, failures):
    roots = [RefinementNode(f"root {i}", "why") for i in range(len(seeds))]
    moody = Moody(failures)
    together = tree_search(tasks(len(roots)), roots, moody.refine, moody.judge, how, seeds=seeds)
    alone = [
        tree_search(tasks(1), [root], moody.refine, moody.judge, how, seeds=[seed])[0]
        for root, seed in zip(roots, seeds, strict=True)
    ]
    assert [result.to_dict() for result in together] == [result.to_dict() for result in alone]


def one_by_one(how: SearchSettings, values: dict[str, float | None]) -> tuple[str, bool, list[str]]:
    """The same search in the plainest way: one child after another, the budget tested after each."""
    order = ["r"]
    value, budget = {"r": 0.0}, how.budget
    children: dict[str, list[str]] = {}

    def expand(parent: str) -> list[str]:
        nonlocal budget
        children[parent] = []
        for slot in range(how.branching):
            child = f"{parent}{slot}"
            if (judged := values.get(child, 0.0)) is None:
                continue
            value[child] = judged
            children[parent].append(child)
            order.append(child)
            budget -= 1
            if budget <= 0:
                break
        return children[parent]

    def ranked(nodes: list[str]) -> list[str]:
        return sorted(nodes, key=lambda node: value[node], reverse=True)

    def bfs() -> str | None:
        frontier = ["r"]
        for _ in range(how.max_depth):
            level = []
            for parent in frontier:
                if budget > 0:
                    level += expand(parent)
            level = ranked(level)
            if level and value[level[0]] > how.threshold:
                return level[0]
            if budget <= 0:
                return None
            frontier = level[: how.beam_width]
        return None

    def dfs(node: str) -> str | None:
        if len(node) - 1 == how.max_depth:
            return None
        level = ranked(expand(node))
        if level and value[level[0]] > how.threshold:
            return level[0]
        if budget > 0:
            for child in level[: how.beam_width]:
                if found := dfs(child):
                    return found
        return None

    def subtree_best(node: str) -> str:
        best = node
        for child in children.get(node, []):
            candidate = subtree_best(child)
            if value[candidate] >= value[best]:
                best = candidate
        return best

    found = bfs() if how.strategy == "bfs" else dfs("r")
    return found or subtree_best("r"), found is not None, sorted(order)


names = [
    a + b + c
    for a in ("r0", "r1", "r2")
    for b in ("", "0", "1", "2")
    for c in (("", "0", "1", "2") if b else ("",))
]
some_values = st.dictionaries(st.sampled_from(names), st.sampled_from([None, 0.0, 0.2, 0.5, 0.6, 1.0]))


@settings(deadline=None, derandomize=True)
@given(how=any_settings(), values=some_values)
def test_as_one_child_after_another(how, values):
    script = Script(values)
    result = tree_search(tasks(1), [RefinementNode("r")], script.refine, script.judge, how)[0]
    best, solved, made = one_by_one(how, values)
    assert (result.best.response, result.solved) == (best, solved)
    assert sorted(node.response for node in result.root.walk()) == made
    assert result.expansions == len(made) - 1


def test_one_call_of_each_kind_per_level_for_all_trees():
    script = Script()
    tree_search(tasks(10), [RefinementNode("r")] * 10, script.refine, script.judge)
    assert [len(batch) for batch in script.refined] == [30, 60, 60]
    assert [len(batch) for batch in script.judged] == [30, 60, 60]


def test_trees_that_are_done_leave_and_late_ones_catch_up():
    calls = Counter()

    def refine(tasks, responses, critiques, *, seeds):
        calls["refine"] += 1
        # The second tree's first try fails, so from then on it is one level behind the third.
        late = calls["refine"] == 1
        rows = zip(tasks, responses, strict=True)
        return [None if late and task.id == "t1" else Refinement(f"{text}+") for task, text in rows]

    judged = []

    def judge(tasks, responses, *, seeds):
        judged.append([task.id for task in tasks])
        return [Verdict(float(task.id == "t0"), None) for task in tasks]

    how = SearchSettings(branching=1, beam_width=1, max_depth=2)
    results = tree_search(tasks(3), [RefinementNode(name) for name in "abc"], refine, judge, how)
    assert judged == [["t0", "t2"], ["t1", "t2"], ["t1"]]
    assert [result.best.response for result in results] == ["a+", "b++", "c++"]


def test_a_journal_of_answers_can_be_replayed():
    journal: list[tuple[list, list]] = []

    def recording(ask):
        def answer(*rows, seeds):
            journal.append(((rows, seeds), ask(*rows, seeds=seeds)))
            return journal[-1][1]

        return answer

    moody, roots = Moody(2), [RefinementNode("a"), RefinementNode("b")]
    first = tree_search(tasks(2), roots, recording(moody.refine), recording(moody.judge))
    rest = iter(journal)

    def replay(*rows, seeds):
        recorded, answers = next(rest)
        assert (rows, seeds) == recorded
        return answers

    again = tree_search(tasks(2), roots, replay, replay)
    assert [result.to_dict() for result in again] == [result.to_dict() for result in first]


def test_roots_are_left_as_they_were():
    root = RefinementNode("r", "why", 0.2)
    script = Script()
    results = tree_search(tasks(2), [root, root], script.refine, script.judge)
    assert root.children == []
    assert results[0].root is not results[1].root
    assert (results[0].root.response, results[0].root.critique, results[0].root.value) == ("r", "why", 0.2)


def test_results_go_through_json_whole():
    script = Script({"r1": 0.4, "r12": 0.9})
    result = tree_search(tasks(1), [RefinementNode("r")], script.refine, script.judge)[0]
    data = json.loads(json.dumps(result.to_dict()))
    again = SearchResult.from_dict(data)
    assert again.to_dict() == result.to_dict()
    assert (again.best.response, again.best.parent.response, again.best.depth) == ("r12", "r1", 2)
    assert (again.solved, again.expansions, again.refined) == (True, 9, True)
    assert data["root"]["children"][1] == {
        "response": "r1",
        "critique": "on r1",
        "value": 0.4,
        "depth": 1,
        "refinement": "",
        "children": data["root"]["children"][1]["children"],
    }
