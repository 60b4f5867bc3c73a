"""SPaR's selections of training data, on cases small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from biddable.experiments.instructions import Scored
from biddable.experiments.judging import critique_of, judge_bias, rules_as_judge
from biddable.experiments.pairs import best_against_worst, independent_pairs, pair_similarity
from biddable.experiments.repairs import Failure, Repaired, choose_failures, refined_pairs
from biddable.experiments.stages import Answers
from biddable.judges.answer import AnswerJudge
from biddable.judges.lm_judge import judge_chat, parse_judgement, refine_chat, verdict_of_votes
from biddable.methods.improve.spar import refiner_data
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.types import Chat, Check, CheckResult, Preference, Response, Task, Verdict, user

TASKS = [Task(f"t{i}", user(f"Do thing {i}.")) for i in range(3)]
PASS, FAIL, TIE = Verdict(1.0, True, "good"), Verdict(0.25, False, "bad"), Verdict(0.5, None)
NO_ANSWERS = Answers([], [], [])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def tree(root: str, *chain: tuple[str, float], solved: bool) -> SearchResult:
    """A chain of repairs below ``root``; the last one is the best."""
    start = at = RefinementNode(root, "bad", 0.25)
    for text, value in chain:
        at = at.add(text, f"critique of {text}", value, f"because\n[[start]]{text}[[end]]")
    return SearchResult(at, start, len(chain), solved)


def lessons_of(result: SearchResult) -> list[Chat]:
    """What the refiner learns from one tree, if it is to judge as well."""
    repaired = Repaired([Failure(TASKS[0], "original", "bad")], [result])
    return refiner_data(repaired, NO_ANSWERS, rng(), judgements=True)


def test_one_negative_for_each_task_that_failed_at_all() -> None:
    samples = [["a0", "a1", "a2"], ["b0", "b1", "b2"], ["c0", "  ", "c2"]]
    notes = [[PASS, FAIL, FAIL], [PASS, PASS, TIE], [TIE, FAIL, PASS]]
    found = choose_failures(Answers(TASKS, samples, notes), rng())
    assert [n.task.id for n in found] == ["t0"], "t1 never failed; t2 failed only with a blank answer"
    assert found[0].response in {"a1", "a2"}
    draws = [choose_failures(Answers(TASKS, samples, notes), np.random.default_rng(i)) for i in range(20)]
    assert {drawn[0].response for drawn in draws} == {"a1", "a2"}, "the negative is drawn, not the first"


def test_the_chosen_side_meets_the_original_not_its_parent() -> None:
    failed = [Failure(task, "original", "bad") for task in TASKS]
    results = [
        tree("original", ("halfway", 0.4), ("done", 1.0), solved=True),
        tree("original", ("nearly", 0.5), solved=False),
        tree("original", ("original", 1.0), solved=True),
    ]
    pairs = refined_pairs(Repaired(failed, results))
    assert [(p.chosen, p.rejected, p.meta) for p in pairs] == [("done", "original", {"task": "t0"})]
    assert pairs[0].prompt == TASKS[0].prompt


def test_the_refiner_learns_from_the_parent_of_the_winner() -> None:
    result = tree("original", ("halfway", 0.4), ("done", 1.0), solved=True)
    chats = refiner_data(
        Repaired([Failure(TASKS[0], "original", "bad")], [result]), NO_ANSWERS, rng(), judgements=True
    )
    refinement, judgement = chats
    assert refinement[:-1] == refine_chat(TASKS[0], "halfway", "critique of halfway")
    assert refinement[-1].content == "because\n[[start]]done[[end]]"
    assert judgement[:-1] == judge_chat(TASKS[0], "halfway"), "0 < 0.4 < 0.5: a disputed no"
    assert judgement[-1].content == "critique of halfway"


def test_unanimous_and_exactly_split_nodes_teach_nothing() -> None:
    result = tree("original", ("a", 0.0), ("b", 0.5), ("c", 1.0), solved=True)
    chats = refiner_data(
        Repaired([Failure(TASKS[0], "original", "bad")], [result]), NO_ANSWERS, rng(), judgements=True
    )
    assert [len(chat) for chat in chats] == [4]


def test_disputed_answers_once_each_and_capped() -> None:
    def voted(*votes: str) -> Verdict:
        return verdict_of_votes([f"critique {i}\nFinal Judgement: {vote}" for i, vote in enumerate(votes)])

    rows = [
        (TASKS[0], "x", voted("No", "Yes", "Yes")),
        (TASKS[0], "x", voted("No", "Yes", "Yes")),  # the same judge prompt again
        (TASKS[1], "y", voted("No", "No", "Yes")),
        (TASKS[1], "z", voted("Yes", "Yes", "Yes")),  # unanimous
        (TASKS[2], "w", voted("Yes", "Yes", "?")),  # unanimous among those that could be read
        (TASKS[2], "v", voted("Yes", "Yes", "No")),
    ]
    answers = Answers([t for t, _, _ in rows], [[text] for _, text, _ in rows], [[v] for _, _, v in rows])
    chats = refiner_data(Repaired([], []), answers, rng(), judgements=True)
    assert [(chat[0], chat[-1].content) for chat in chats] == [
        (judge_chat(TASKS[1], "y")[0], "critique 0\nFinal Judgement: No"),
        (judge_chat(TASKS[0], "x")[0], "critique 1\nFinal Judgement: Yes"),
        (judge_chat(TASKS[2], "v")[0], "critique 0\nFinal Judgement: Yes"),
    ]
    capped = refiner_data(Repaired([], []), answers, rng(), judgements=True, scale=1 / 2500)
    assert [chat[0] for chat in capped] == [chat[0] for chat in chats[:2]], "one of each kind at least"
    assert refiner_data(Repaired([], []), answers, rng(), judgements=False) == [], "rules have no disputes"


def test_independent_pairs_need_both_kinds() -> None:
    samples = [["a0", "a1"], ["b0", "b1"], ["c0", "c1"]]
    notes = [[PASS, FAIL], [FAIL, FAIL], [TIE, PASS]]
    pairs = independent_pairs(Answers(TASKS, samples, notes), rng())
    assert [(p.chosen, p.rejected) for p in pairs] == [("a0", "a1")]
    assert independent_pairs(Answers(TASKS[:1], [["No.", "No."]], [[FAIL, PASS]]), rng()) == [], (
        "the same text teaches nothing"
    )


@pytest.mark.parametrize("scores", [(0.2, None, 0.6), (-3.0, None, -1.0)])
def test_what_got_no_score_is_neither_the_best_nor_the_worst(scores) -> None:
    notes = [
        [Verdict(score, None) for score in scores],
        [Verdict(None, None)] * 3,
        [FAIL, Verdict(None, None)],
    ]
    texts = [["worst", "unread", "best"], ["b0", "b1", "b2"], ["c0", "c1"]]
    pairs = best_against_worst(Answers(TASKS, texts, notes))
    assert [(p.chosen, p.rejected) for p in pairs] == [("best", "worst")]


def test_best_against_worst_goes_by_score() -> None:
    notes = [[Verdict(0.1, False), Verdict(0.4, False)], [FAIL, FAIL], [FAIL, PASS]]
    pairs = best_against_worst(Answers(TASKS, [["a0", "a1"], ["b0", "b1"], ["c0", "c1"]], notes))
    assert [(p.chosen, p.rejected) for p in pairs] == [("a1", "a0"), ("c1", "c0")]
    assert best_against_worst(Answers(TASKS[2:], [["No.", "No."]], [[FAIL, PASS]])) == [], (
        "the same text teaches nothing"
    )


def test_similarity_of_a_pair() -> None:
    pairs = [Preference(user("x"), "abcd", "abcd"), Preference(user("x"), "abcd", "abef")]
    assert pair_similarity(pairs[:1]) == 1
    assert pair_similarity(pairs) == 0.75  # the second: 2 * 2 shared of 8 characters
    assert pair_similarity([]) is None


def test_a_rule_judges_verdict_reads_as_a_judgement() -> None:
    met = CheckResult("a", True, "It has no comma.")
    checks = (met, CheckResult("b", False, "It has 9 words; 5 were asked."))
    text = critique_of(Verdict(0.5, False, "", checks))
    assert text == "- Met: It has no comma.\n- Missed: It has 9 words; 5 were asked.\nFinal Judgement: No"
    assert parse_judgement(text) is False
    assert parse_judgement(critique_of(Verdict(1.0, True, "", checks[:1]))) is True


def test_what_rules_fail_is_never_above_the_threshold() -> None:
    task = Task("t", user("How was it? No commas."), checks=(Check("punctuation:no_comma"),))
    texts = ["We had a fine day out.", "We had a fine, long day out.", "Fine!", ","]
    verdicts = rules_as_judge([task] * 4, [Response(text) for text in texts])
    assert [(v.score, v.passed) for v in verdicts] == [(1, True), (0.25, False), (0.25, False), (0, False)]
    assert parse_judgement(verdicts[0].critique) is True


def test_the_bias_of_a_judge_is_counted_against_the_rules():
    no_comma = Check("punctuation:no_comma", {})
    task = Task("t", user("How was it? No commas."), checks=(no_comma,))
    good, bad = "We had a fine day out.", "We had a fine, long day out."
    answers = Answers(
        [task, task], [[good, bad, bad], [good, bad, good]], [[PASS, PASS, FAIL], [FAIL, PASS, TIE]]
    )
    # Five verdicts: two on passing answers (one called failing), three on failing ones (two called passing).
    assert judge_bias(answers) == {
        "judged_passing": pytest.approx(3 / 5),
        "checks_passing": pytest.approx(2 / 5),
        "passes_failures": pytest.approx(2 / 3),
        "fails_passes": pytest.approx(1 / 2),
    }


def test_a_text_that_answers_nothing_counts_by_the_rules_alone() -> None:
    task = Task("t", user("How was it? No commas."), checks=(Check("punctuation:no_comma"),))
    texts = ["We had a fine day out.", "Fine!", "We had a fine, long day out."]
    verdicts = AnswerJudge()([task] * 3, [Response(text) for text in texts])
    ours, published = Scored(texts, verdicts), Scored(texts, verdicts, official=True)
    assert (ours.passed, ours.strict, ours.followed) == ([1, 0, 0], [1, 1, 0], [1, 1, 0])
    assert ours.degenerate == [0, 1, 0]
    assert published.passed == [1, 1, 0]


def test_a_judge_without_a_verdict_has_no_bias():
    task = Task("t", user("How was it? No commas."), checks=(Check("punctuation:no_comma", {}),))
    assert set(judge_bias(Answers([task], [["fine"]], [[TIE]])).values()) == {0.0}
