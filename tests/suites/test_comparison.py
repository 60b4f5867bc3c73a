"""Logs are joined by what fits, compared item by item, and refused where they have nothing in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError
from biddable.runs.significance import mcnemar
from biddable.runs.statistics import mean_interval
from biddable.suites.comparison import Paired, compare_logs
from biddable.suites.joining import join
from biddable.suites.logs import Log, Logged


def log(name: str, items: Sequence[Logged], suite: str = "s", **settings: Any) -> Log:
    return Log(name, f"{name}.jsonl", suite, "a tool", tuple(items), settings)


def scored(name: str, values: Sequence[float], suite: str = "s", **fields: Any) -> Log:
    """A log of one metric; items have their place as id and prompt."""
    made = [
        Logged(place, {"acc": float(value)}, id=str(place), prompt=f"prompt {place}", **fields)
        for place, value in enumerate(values)
    ]
    return log(name, made, suite)


def only_row(*logs: Log, **options: Any) -> Paired:
    [part] = compare_logs(logs, **options)
    [row] = part.rows
    return row


RNG = np.random.default_rng(0)
FIRST = (RNG.random(200) < 0.4).astype(float)
SECOND = np.where(RNG.random(200) < 0.3, 1.0, FIRST)


def test_a_difference_is_paired() -> None:
    row = only_row(scored("a", FIRST), scored("b", SECOND))
    assert (row.mean, row.baseline_mean) == (SECOND.mean(), FIRST.mean())
    assert row.difference == pytest.approx((SECOND - FIRST).mean())
    assert row.interval == pytest.approx(mean_interval(SECOND - FIRST))
    gained = int(((SECOND == 1) & (FIRST == 0)).sum())
    assert (row.gained, row.lost, row.test) == (gained, 0, "McNemar")
    assert row.p == row.p_holm == mcnemar(gained, 0)
    assert row.seen is not None
    assert row.needed is not None
    assert row.needed > 200


def test_one_model_on_several_suites_is_nothing_to_compare() -> None:
    logs = [replace(scored("m", FIRST, suite), path="evals/x") for suite in ("mmlu", "bbh")]
    with pytest.raises(InputError, match=r"logs is 'evals/x', expected two models on one suite: .*mmlu"):
        compare_logs(logs)


def test_the_baseline_is_who_is_named() -> None:
    logs = scored("a", FIRST), scored("b", SECOND)
    assert only_row(*logs, baseline="b").difference == -only_row(*logs).difference
    assert only_row(*logs, baseline="b.jsonl").baseline == "b"
    with pytest.raises(InputError, match="baseline is 'c', expected one of the logs: a, b"):
        compare_logs(logs, baseline="c")
    with pytest.raises(InputError, match="expected at least two"):
        compare_logs(logs[:1])


def test_items_of_one_source_count_together() -> None:
    first = [Logged(i, {"acc": FIRST[i // 10]}, id=str(i), source=f"passage {i // 10}") for i in range(200)]
    second = [replace(item, metrics={"acc": SECOND[i // 10]}) for i, item in enumerate(first)]
    row = only_row(log("a", first), log("b", second))
    assert row.interval_kind == "t over 20 clusters of 200 cases"
    assert row.test == "t"
    alone = only_row(
        log("a", [replace(item, source="") for item in first]),
        log("b", [replace(item, source="") for item in second]),
    )
    assert row.interval is not None
    assert alone.interval is not None
    assert row.interval[1] - row.interval[0] > 2 * (alone.interval[1] - alone.interval[0])


def test_one_source_has_no_interval() -> None:
    row = only_row(scored("a", FIRST, source="p"), scored("b", SECOND, source="p"))
    assert (row.interval, row.p, row.p_holm) == (None, None, None)


def test_weights_make_means_of_instructions() -> None:
    first = [
        Logged(0, {"m": 0.5}, {"m": 2.0}, id="0"),
        Logged(1, {"m": 1.0}, id="1"),
        Logged(2, {"m": 0}, id="2"),
    ]
    second = [replace(item, metrics={"m": 1.0}) for item in first]
    row = only_row(log("a", first), log("b", second))
    assert (row.baseline_mean, row.mean) == (0.5, 1.0)
    assert row.gained is None
    low, high = row.interval or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(0.5)


def test_p_values_are_corrected_for_all_that_is_compared() -> None:
    logs = [scored("a", FIRST), scored("b", SECOND), scored("c", FIRST[::-1])]
    [part] = compare_logs(logs)
    p = [row.p or 0.0 for row in part.rows]
    assert [row.p_holm for row in part.rows] == pytest.approx([2 * min(p), max(p)])
    two = compare_logs([*logs[:2], *(replace(each, suite="t") for each in logs[:2])])
    assert [row.p_holm for part in two for row in part.rows] == pytest.approx([2 * min(p)] * 2)


def test_where_few_items_differ_the_interval_still_has_a_width() -> None:
    row = only_row(scored("a", [1.0] * 10), scored("b", [1.0] * 10))
    assert row.interval is not None
    assert row.interval[0] < 0 < row.interval[1]
    assert row.interval_kind == "Bonett–Price over 10 cases"
    same = only_row(scored("a", [0.3] * 10), scored("b", [0.4] * 10))
    assert (same.interval, same.p) == (None, None)


def test_items_are_found_by_id_else_by_document_else_by_prompt() -> None:
    items = [Logged(i, {"acc": 1.0}, id=f"i{i}", document=f"d{i}", prompt=f"p{i}") for i in range(3)]
    turned = [replace(item, position=9 - i) for i, item in enumerate(items[::-1])]
    for fields, by in (({}, "id"), ({"id": ""}, "document"), ({"id": "", "document": ""}, "prompt")):
        joined = join(log("a", items), log("b", [replace(item, **fields) for item in turned]))
        assert (joined.by, [theirs.prompt for _, theirs in joined.pairs]) == (by, ["p0", "p1", "p2"])
    same = [replace(item, id="one", document="") for item in turned]
    assert join(log("a", items), log("b", same)).by == "prompt"


def test_places_are_taken_where_a_log_says_nothing_else_and_both_are_as_long() -> None:
    items = [Logged(i, {"acc": 1.0}, prompt=f"p{i}") for i in range(3)]
    bare = [Logged(i, {"acc": 1.0}) for i in range(3)]
    assert join(log("a", items), log("b", bare)).by == "position"
    [part] = compare_logs([log("a", items), log("b", bare)])
    assert "b is joined by place: a log does not say what was asked." in part.notes
    with pytest.raises(FileError, match=r"b.jsonl: no item in common with a.jsonl"):
        join(log("a", items), log("b", bare[:2]))
    other = [replace(item, prompt="else") for item in items]
    with pytest.raises(FileError, match="2 items here, 3 there"):
        join(log("a", items), log("b", other[:2]))


def test_ids_of_other_items_are_not_taken() -> None:
    first, second = scored("a", FIRST[:5]), scored("b", FIRST[:5])
    other = log("b", [replace(item, prompt=f"quite another {i}") for i, item in enumerate(second.items)])
    with pytest.raises(FileError, match="5 ids in both, with other prompts: --by id joins them"):
        join(first, other)
    assert join(first, other, "id").reworded == 5


def test_a_reworded_item_and_items_of_one_log_are_told() -> None:
    first = scored("a", FIRST[:6])
    items = [
        replace(item, prompt="edited upstream" if item.id == "2" else item.prompt) for item in first.items
    ]
    [part] = compare_logs([first, log("b", items[1:])])
    assert part.joins[0].by == "id"
    assert "b: 5 items shared with a; 1 only in a: left out." in part.notes
    assert "1 item joined by id, whose prompt differs between a and b." in part.notes


def test_a_prompt_within_a_template_or_after_examples_is_the_same() -> None:
    first = scored("a", FIRST[:3])
    items = [replace(item, prompt=f"Q: x\nA: y\n\nQ:  {item.prompt}\nA:") for item in first.items]
    assert join(first, log("b", items)).reworded == 0


def test_prompts_within_a_template_find_what_stands_without_one() -> None:
    texts = ["How many eggs are left?", "How far is it?", "How far is it?", "What does Ann pay?", "Who won?"]
    ours = [
        Logged(i, {"acc": 1.0}, id=f"gsm8k/{i}", document=f"d{i}", prompt=f"Question: {text}\nAnswer:")
        for i, text in enumerate(texts)
    ]
    other = [3, 0, 1, 2, 4]
    theirs = [Logged(i, {"acc": 0.0}, document=f"h{i}", prompt=texts[place]) for i, place in enumerate(other)]
    found = join(log("a", ours), log("b", theirs))
    assert (found.by, found.reworded, found.repeated) == ("prompt", 0, 2)
    assert [pair[1].position for pair in found.pairs] == [1, 2, 3, 0, 4]
    [part] = compare_logs([log("a", ours), log("b", theirs)])
    told = "b: 2 items whose prompt stands several times in a log: joined in the order in which they stand."
    assert told in part.notes
    german = [replace(item, prompt=f"In German: {item.prompt} Now.") for item in theirs]
    with pytest.raises(FileError, match="no item in common"):
        join(log("a", ours), log("b", german))


def test_settings_that_differ_are_told_and_other_task_files_first() -> None:
    first = replace(scored("a", FIRST), settings={"tasks": "1f", "shots": 0, "template": "chat"})
    second = replace(scored("b", SECOND), settings={"tasks": "2c", "shots": 5, "template": "chat"})
    [part] = compare_logs([first, second])
    assert part.settings == (("tasks", ("1f", "2c")), ("shots", ("0", "5")))
    assert part.notes[0] == "Their task files differ: only items that both have are compared."


def test_metrics_of_one_log_alone_are_told() -> None:
    first, second = scored("a", FIRST[:4]), scored("b", SECOND[:4])
    extra = [replace(item, metrics=item.metrics | {"f1": 0.5}) for item in second.items]
    [part] = compare_logs([first, log("b", extra)])
    assert [row.metric for row in part.rows] == ["acc"]
    assert "Only one of a and b has f1: not compared." in part.notes
    renamed = [replace(item, metrics={"match": item.metrics["acc"]}) for item in second.items]
    [part] = compare_logs([first, log("b", renamed)])
    assert part.rows[0].metric == "acc / match"
    both = [replace(item, metrics={"x": 1.0, "y": 1.0}) for item in second.items]
    with pytest.raises(FileError, match=r"no metric in common: it has x, y, a.jsonl acc"):
        compare_logs([first, log("b", both)])


def test_an_item_without_a_score_is_left_out_and_counted() -> None:
    first, second = scored("a", FIRST[:9]), scored("b", SECOND[:9])
    items = [replace(item, metrics={} if item.id == "3" else item.metrics) for item in second.items]
    [part] = compare_logs([first, log("b", items)])
    assert part.rows[0].n == 8
    assert "acc: 1 item without a score in one log, left out." in part.notes


def test_so_few_items_see_no_difference_that_a_share_can_have() -> None:
    assert only_row(scored("a", [0, 1, 0]), scored("b", [1, 0, 1])).seen is None
    seen = only_row(scored("a", FIRST), scored("b", SECOND)).seen
    assert seen is not None
    assert 0.05 < seen < 0.2


def test_logs_are_compared_suite_by_suite() -> None:
    logs = [scored(name, FIRST, suite) for name in "ab" for suite in ("s", "t")]
    assert [part.suite for part in compare_logs([*logs, scored("a", FIRST, "u")])] == ["s", "t"]
    assert "Only one log is of u: not compared." in compare_logs([*logs, scored("a", FIRST, "u")])[0].notes
    [part] = compare_logs([scored("a", FIRST, "s"), scored("b", FIRST, "t")])
    assert part.notes[0] == "They call what they measured differently: s, t."


def test_one_log_that_does_not_fit_leaves_the_others_compared() -> None:
    odd = log("c", [Logged(0, {"acc": 1.0}, id="x", prompt="y")])
    [part] = compare_logs([scored("a", FIRST), scored("b", SECOND), odd])
    assert [each.name for each in part.logs] == ["a", "b"]
    assert any(note.startswith("Left out: c.jsonl: no item in common") for note in part.notes)


def test_logs_of_one_name_are_told_apart() -> None:
    first, second = scored("m", FIRST), replace(scored("m", SECOND), path="other.jsonl")
    assert [each.name for each in compare_logs([first, second])[0].logs] == ["m (m.jsonl)", "m (other.jsonl)"]
    assert only_row(first, first).difference == 0.0


def test_ids_that_count_from_one_are_not_those_of_another_file() -> None:
    first = scored("a", FIRST[:9])
    items = [
        replace(item, prompt=item.prompt if item.id == "4" else f"quite another {item.id}")
        for item in first.items
    ]
    [only] = join(first, log("b", items)).pairs
    assert only[0].id == "4"
