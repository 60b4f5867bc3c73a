"""The refiner, and a whole search with a scripted language model in both roles."""

from __future__ import annotations

from biddable.judges.deciding import DecidingJudge
from biddable.judges.ifeval import RuleJudge
from biddable.judges.lm_judge import LMJudge, refine_chat
from biddable.models.base import Sampling
from biddable.search.nodes import RefinementNode
from biddable.search.refiners import LMRefiner, Refinement
from biddable.search.tree import SearchSettings, tree_search
from biddable.types import Check, Response, Task, user

from .scripted import refiner, tasks

TASKS = tasks(2)
YES, NO = "Final Judgement: Yes", "Final Judgement: No"


class Model:
    """Answers as ``reply`` does, of the last message and the seed."""

    name = "scripted"

    def __init__(self, reply):
        self.reply, self.calls = reply, []

    def generate(self, chats, *, n=1, sampling=None, seeds=None):
        self.calls.append((chats, n, sampling, seeds))
        return [[Response(self.reply(c, s, k)) for k in range(n)] for c, s in zip(chats, seeds, strict=True)]


def test_the_refiner_asks_once_and_keeps_what_is_marked():
    model = Model(lambda chat, seed, _: "Sorry." if seed == 6 else "So: [[start]] b [[end]]")
    refinements = LMRefiner(model, Sampling(max_tokens=9))(
        TASKS, ["A", "B"], ["too tall", "too big"], seeds=[5, 6]
    )
    assert refinements == [Refinement("b", "So: [[start]] b [[end]]"), None]
    [(chats, n, sampling, seeds)] = model.calls
    assert chats == [refine_chat(TASKS[0], "A", "too tall"), refine_chat(TASKS[1], "B", "too big")]
    assert (n, sampling.max_tokens, seeds) == (1, 9, [5, 6])


def test_a_search_from_first_answer_to_repair():
    def reply(chat, seed, k):
        if len(chat) == 3:  # asked to repair: forgets the markers every third time
            return (
                "Sorry." if seed % 3 == 0 else f"Drop one. [[start]]{chat[0].content.count('a!')} a!a![[end]]"
            )
        return "Good.\n" + YES if "a!a!\n" in chat[0].content else "More.\n" + NO

    model = Model(reply)
    root = RefinementNode("a", "Not excited.\n" + NO)
    [result] = tree_search(TASKS[:1], [root], LMRefiner(model), LMJudge(model))
    assert result.solved
    assert result.best.response == "0 a!a!"
    assert result.best.refinement == "Drop one. [[start]]0 a!a![[end]]"
    assert (result.best.value, result.best.critique) == (1.0, "Good.\n" + YES)
    assert result.best.parent.critique == "Not excited.\n" + NO


def test_a_tied_vote_is_a_node_that_solves_nothing_or_is_voted_on_again():
    model = Model(lambda chat, seed, k: "?" if k == 2 else (YES, NO)[k])
    how = SearchSettings(branching=1, beam_width=1, max_depth=1)
    for judge, expansions in ((LMJudge(model, votes=3), 1), (DecidingJudge(LMJudge(model, votes=3)), 0)):
        [result] = tree_search(TASKS[:1], [RefinementNode("a")], refiner(lambda r: ["b"]), judge, how)
        assert (result.solved, result.expansions) == (False, expansions)
    assert len(model.calls) == 1 + 3


def test_what_rules_fail_solves_nothing_however_many_of_them_it_meets():
    checks = tuple(
        Check(id, args)
        for id, args in (
            ("punctuation:no_comma", {}),
            ("change_case:english_lowercase", {}),
            ("length_constraints:number_words", {"num_words": 4, "relation": "less than"}),
        )
    )
    task = Task("t", user("Say it."), checks)
    texts = iter(["we came home very late", "we came home"])
    how = SearchSettings(branching=1, beam_width=1, max_depth=2)
    [result] = tree_search([task], [RefinementNode("x")], refiner(lambda r: [next(texts)]), RuleJudge(), how)
    assert (result.best.response, result.solved, result.expansions) == ("we came home", True, 2)
    assert result.root.children[0].value > how.threshold
