from __future__ import annotations

from dataclasses import replace
from statistics import stdev
from typing import Any

import pytest

from biddable.errors import InputError
from biddable.runs.figures import Items
from biddable.suites.figures import figures
from biddable.suites.leaderboard import leaderboard, row_of, sources
from biddable.suites.store import Cell, Counted, cell_name
from biddable.types import CheckResult, Record, Response, Task, Verdict

RIGHT = [i % 4 != 0 for i in range(40)]


def cell(model: str, right: list[bool] = RIGHT, source: Any = None, **changes: Any) -> Cell:
    """Tasks in groups of ten; ``source`` gives what a task shares with others."""
    records = []
    for i, each in enumerate(right):
        meta = {"group": f"g{i // 10}"} | ({} if source is None else {"source": source(i)})
        verdict = Verdict(float(each), each, checks=(CheckResult("r", each, "" if each else "why"),))
        value = float(each)
        task = Task(f"t{i}", f"ask {i}", references=("x",), meta=meta)
        said, groups = (Response("x" if each else "y", (1, 2)),), ((meta["group"], value),)
        records.append(Record(task, said, (verdict,), metrics={"exact_match": value}, groups=groups))
    facts: dict[str, Any] = {
        "asked": {"tasks": "t", "weights": model}, "metrics": (Counted("exact_match"),), "ask": "generate",
        "template": "none", "shots": 0, "max_tokens": 9, "judge": "1", "seconds": 1.0,
        "records": tuple(records),
    }  # fmt: skip
    facts |= changes
    return Cell(cell_name("s", model, facts["asked"]), model, "s", **facts)


def test_scores_have_intervals_and_groups() -> None:
    row = row_of(cell("m"))
    [score] = row.scores
    assert (score.value, score.interval, row.n, row.tokens) == (
        0.75, (pytest.approx(0.598, abs=1e-3), pytest.approx(0.858, abs=1e-3)), 40, 80,
    )  # Wilson's  # fmt: skip
    assert [(group.name, group.n) for group in row.groups] == [(f"g{i}", 10) for i in range(4)]
    assert row_of(cell("m", RIGHT[:1])).scores[0].interval is None


def test_tasks_that_share_a_source_count_once() -> None:
    alone = row_of(cell("m")).scores[0].interval
    shared = row_of(cell("m", sorted(RIGHT), lambda i: i // 10)).scores[0].interval
    assert alone is not None
    assert shared is not None
    assert shared[1] - shared[0] > 2 * (alone[1] - alone[0])
    assert row_of(cell("m", RIGHT, lambda i: "one")).scores[0].interval is None
    assert sources(cell("m").records) is None
    some = cell("m", RIGHT, lambda i: i // 10 if i < 20 else None).records
    assert len({*(sources(some) or ())}) == 22

    worse = [each and i < 20 for i, each in enumerate(RIGHT)]
    [paired] = leaderboard([cell("a"), cell("b", worse)], "a").comparisons
    [clustered] = leaderboard(
        [cell("a", RIGHT, lambda i: i // 10), cell("b", worse, lambda i: i // 10)], "a"
    ).comparisons
    assert paired.difference == clustered.difference < 0
    assert clustered.interval[1] > paired.interval[1]


def test_a_weighted_metric_is_the_mean_of_its_parts() -> None:
    weighted = cell("m", [True, False, False])
    records = [
        Record(each.task, each.responses, each.verdicts, metrics=each.metrics, weights={"exact_match": w})
        for each, w in zip(weighted.records, (3.0, 1.0, 2.0), strict=True)
    ]
    row = row_of(cell("m", records=tuple(records)))
    assert row.scores[0].value == pytest.approx(0.5)
    assert row.scores[0].interval is not None


def test_a_few_items_that_one_alone_has_right_show_nothing() -> None:
    [two] = leaderboard([cell("a", [False] * 2), cell("b", [True] * 2)], "a").comparisons
    assert (two.difference, two.verdict) == (1.0, "not shown")
    assert two.interval[0] < 0
    some = leaderboard([cell("a", [i > 4 for i in range(100)]), cell("b", [True] * 100)], "a").comparisons[0]
    assert some.verdict == "not shown"
    assert some.interval == pytest.approx((-0.0009, 0.099), abs=1e-3)  # McNemar's p is 0.06


def test_differences_that_are_all_alike_have_no_interval_over_sources() -> None:
    cells = [cell("a", [False] * 6, lambda i: i // 3), cell("b", [True] * 6, lambda i: i // 3)]
    board = leaderboard(cells, "a")
    assert board.comparisons == ()
    assert "b and a differ by +1 on each of the 6 tasks of s: no interval, not compared." in board.notes
    assert board.row("b", "s").scores[0].interval == pytest.approx((0.342, 1.0), abs=1e-3)  # Wilson's, 2 of 2
    half = row_of(cell("m", [True, False, False], lambda i: i // 2)).scores[0].interval
    assert half == (0.0, 1.0)


def test_a_difference_of_weighted_means_has_the_interval_of_a_ratio() -> None:
    def weighted(model: str, right: list[bool]) -> Cell:
        made = cell(model, right)
        rows = zip(made.records, (1.0, 8.0) * 10, strict=True)
        return replace(made, records=tuple(replace(r, weights={"exact_match": w}) for r, w in rows))

    gains = [i % 2 == 1 or i < 8 for i in range(20)]
    [found] = leaderboard([weighted("a", [False] * 20), weighted("b", gains)], "a").comparisons
    assert found.difference == pytest.approx(84 / 90)
    parts = [(gain - 84 / 90) * w / 4.5 for gain, w in zip(gains, (1.0, 8.0) * 10, strict=True)]
    half = 2.093 * stdev(parts) / 20**0.5
    assert found.interval == pytest.approx((84 / 90 - half, 84 / 90 + half), abs=1e-4)


def test_how_responses_were_drawn_is_said_where_it_differs() -> None:
    def drawn(model: str, temperature: float, samples: int, shots: str) -> Cell:
        sampling = {"max_tokens": 9, "temperature": temperature}
        asked = {"tasks": "t", "weights": model, "sampling": sampling, "samples": samples}
        return cell(model, asked={**asked, "shots": [0, shots, ""]})

    notes = leaderboard([drawn("a", 0.0, 1, "x"), drawn("b", 0.7, 3, "y")], "a").notes
    assert notes == (
        "s: b was asked with samples 3, a with 1.",
        "s: b was asked with temperature 0.7, a with 0.0.",
        "s: what b and a were shown before tasks differs.",
    )
    assert leaderboard([drawn("a", 0.7, 3, "x"), drawn("b", 0.7, 3, "x")], "a").notes == ()


def test_a_baseline_is_one_of_the_models() -> None:
    with pytest.raises(InputError, match="baseline is 'c', expected one of the models: a, b"):
        leaderboard([cell("a"), cell("b")], "c")
    with pytest.raises(KeyError):
        leaderboard([cell("a")]).row("b", "s")


def test_every_task_is_an_item_with_what_each_model_said() -> None:
    board = leaderboard([cell("a"), cell("b", [True] * 40)], "a")
    [shown] = [each for each in figures(board) if isinstance(each, Items)]
    assert (shown.models, len(shown.items)) == (("a", "b"), 40)
    first = shown.items[0]
    assert (first.id, first.group, first.prompt, first.references) == ("t0", "g0", "ask 0", ("x",))
    assert [first.answers[name].correct for name in "ab"] == [False, True]
    assert first.answers["a"].notes == ("r: why",)


def test_tasks_of_other_data_are_other_items() -> None:
    board = leaderboard([cell("a"), cell("b", asked={"tasks": "u", "weights": "b"})], "a")
    [shown] = [each for each in figures(board) if isinstance(each, Items)]
    assert len(shown.items) == 80
    assert board.comparisons == ()


def test_what_cannot_be_read_is_neither_right_nor_wrong() -> None:
    unread, refused = (
        Record(Task(id, "p"), (said,), (Verdict(None, False),), metrics={"exact_match": 0.0})
        for id, said in (("t", Response("?")), ("u", Response("", finish_reason="error", error="gone")))
    )
    board = leaderboard([cell("m", records=(unread, refused))])
    assert (board.rows[0].unparsable, board.rows[0].unanswered) == (1.0, (("u", "gone"),))
    [shown] = [each for each in figures(board) if isinstance(each, Items)]
    assert [item.answers["m"].correct for item in shown.items] == [None, False]
    assert "gone" in shown.items[1].answers["m"].text


def test_a_note_of_a_suite_is_said_once() -> None:
    board = leaderboard([cell(model, notes=("mind the gap",)) for model in ("a", "b")])
    assert [note for note in board.notes if "mind" in note] == ["s: mind the gap"]
