"""Verbalizer manipulation: prompts, words, numbers, and the controls that the paper's protocol must pass."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from biddable.errors import InputError
from biddable.methods.base import run
from biddable.methods.measure import verbalizer_manipulation as module
from biddable.methods.measure.verbalizer_manipulation import (
    GROUPS,
    Verbalizer,
    binary_verbalizers,
    by_item,
    flip,
    flip_rate,
    parse_verbalized,
    render_prompt,
    said_word,
    validity,
    verbalizer_suite,
)
from biddable.suites.load import load_suite
from biddable.tasks.label_sets import composed_sets, label_set
from biddable.types import Record, Response, Task

SETS = composed_sets(8, seed=0)


def obeys(task: Task) -> str:
    """The word that the rules in the prompt give for the task's label, read from the prompt alone."""
    rules = dict(re.findall(r'If the text is (?:about )?(\w+), answer "(\w+)"', str(task.prompt)))
    label = "positive" if any(word in task_text(task) for word in GOOD) else "negative"
    return rules[label] if label in rules else rules[topic(task)]


GOOD = ("wonderful", "excellent", "delightful", "superb", "joy", "fantastic")
SPORT = ("goals", "tennis", "marathon", "swimming", "basketball", "football")


def task_text(task: Task) -> str:
    return str(task.prompt).partition("Text: ")[2]


def topic(task: Task) -> str:
    return "sport" if any(word in task_text(task) for word in SPORT) else "food"


def prefers(task: Task) -> str:
    """The word of the verbalizer that usually goes with the task's label, whatever the rules say."""
    natural = {"positive", "sport", "1", "yes"}
    usual = {"positive": True, "sport": True, "negative": False, "food": False}
    label = "positive" if any(word in task_text(task) for word in GOOD) else "negative"
    asked = usual[label if task.meta["set"] == "sentiment" else topic(task)]
    known = [word for word in task.choices if (word in natural) == asked]
    return known[0] if len(known) == 1 else sorted(task.choices)[0]


def records(answer) -> list[Record]:
    suite = verbalizer_suite(SETS, scoring="generate")
    made = []
    for task in suite.tasks:
        response = Response(answer(task))
        bare = Record(task, (response,), tuple(said_word([task], [response])))
        made.append(Record(task, (response,), bare.verdicts, metrics={"acc": suite.metrics[0].measure(bare)}))
    return made


def accuracy(of: list[Record], group) -> float:
    values = by_item(of, "acc", group)
    return sum(values) / len(values)


def test_who_obeys_is_always_right() -> None:
    made = records(obeys)
    assert [accuracy(made, group) for group in GROUPS] == [1.0, 1.0, 1.0]
    assert (flip_rate(made, "acc"), validity(made)) == (0.0, 1.0)


def test_who_says_the_usual_word_is_right_half_the_time_and_never() -> None:
    made = records(prefers)
    assert [accuracy(made, group) for group in GROUPS] == [1.0, 0.5, 0.0]
    assert flip_rate(made, "acc") == 1.0


def test_twelve_verbalizers_of_which_neutral_ones_come_in_both_orders() -> None:
    twelve = binary_verbalizers("good", "bad")
    assert Counter(each.group for each in twelve) == {"natural": 3, "neutral": 6, "unnatural": 3}
    assert {each.words for each in twelve if each.group == "unnatural"} == {
        ("bad", "good"),
        ("0", "1"),
        ("no", "yes"),
    }
    assert all(flip(each) in twelve for each in twelve)


def test_only_the_rules_differ_between_prompts() -> None:
    of = SETS[0]
    first = render_prompt(of, Verbalizer(("foo", "bar"), "neutral"), "It rains.")
    second = render_prompt(of, Verbalizer(("bar", "foo"), "neutral"), "It rains.")
    assert first != second
    assert first.replace("foo", "#").replace("bar", "foo").replace("#", "bar") == second


def test_the_order_of_the_rules_does_not_tell_the_label() -> None:
    suite = verbalizer_suite(SETS)
    counts = Counter(
        (task.meta["set"], task.references[0] == re.search(r'answer "(\w+)"', str(task.prompt))[1])
        for task in suite.tasks
    )
    assert len({*counts.values()}) == 1
    assert len(suite.tasks) == 2 * 8 * 12


@pytest.mark.parametrize(
    ("output", "word"),
    [(" Foo.", "foo"), ('"bar"', "bar"), ("The answer is foo", None), ("foo bar", None), ("", None)],
)
def test_a_response_is_one_of_the_words_or_none(output: str, word: str | None) -> None:
    assert parse_verbalized(output, ("foo", "bar")) == word


def test_a_label_with_punctuation_can_be_said(tmp_path: Path) -> None:
    words = ("non-toxic", "toxic")
    assert [parse_verbalized(text, words) for text in ("Non-toxic.", "toxic", "non")] == [*words, None]
    rows = [(f"t{i}", "not_entailment" if i % 2 else "entailment") for i in range(4)]
    suite = load_suite(f"verbalizer:{labelled(tmp_path / 'r.csv', *rows)}?items=4&scoring=generate")
    assert suite.sampling.max_tokens >= len("not_entailment"), "the whole word can be written"


def test_labels_that_are_natural_words_are_counted_once() -> None:
    for labels in (("yes", "no"), ("1", "0")):
        assert Counter(each.group for each in binary_verbalizers(*labels)) == {
            "natural": 2,
            "neutral": 6,
            "unnatural": 2,
        }


def test_a_served_model_that_chooses_by_what_it_writes_is_counted() -> None:
    task = Task("t", "?", references=("foo",), choices=("foo", "bar"), meta={"group": "unnatural"})
    made = [
        Record(task, (Response(text),), metrics={"acc": float(text == "foo")}) for text in ("foo", "bar", "")
    ]
    assert validity(made) == pytest.approx(2 / 3)
    assert flip_rate(made, "acc") == pytest.approx(1 / 3)


def test_words_that_cannot_be_told_apart_are_refused() -> None:
    for words in (("no", "not"), ("a", "a"), ("Yes", "yes"), ("+1", "-1"), ("!", "a")):
        with pytest.raises(InputError, match="words"):
            Verbalizer(words, "natural")


def labelled(path: Path, *rows: tuple[str, str]) -> str:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return str(path)


def test_a_file_of_two_labels_is_a_suite(tmp_path: Path) -> None:
    file = labelled(tmp_path / "r.csv", *((f"t{i}", "spam" if i % 3 else "ham") for i in range(12)))
    suite = load_suite(f"verbalizer:{file}?items=8")
    assert len(suite.tasks) == 8 * 12
    assert 'If the text is spam, answer "spam".' in str(suite.tasks[0].prompt)
    assert {task.meta["group"] for task in suite.tasks} == {*GROUPS}


@pytest.mark.parametrize(
    ("rows", "options", "problem"),
    [
        ([("a", "x"), ("b", "x")], "", "labels of .* is 'x', expected two"),
        ([("a", "x"), ("b", "y"), ("c", "z")], "", "expected two; of more, name two"),
        ([("a", "x"), ("b", "y"), ("c", "z")], "?keep=x+q", "keep is 'q', expected one of x, y, z"),
        ([("a", "x"), ("b", "y")], "?items=4", "items is 4, expected at most 2"),
        ([("a", "x"), ("b", "y")], "?items=3", "items is 3, expected an even number"),
        ([("a", "x"), ("b", "xx")], "?items=2", "words"),
        ([("a", "x"), ("b", "y")], "?items=2&positive=q", "positive is 'q'"),
        ([("a", "x"), ("b", "y")], "?colour=2", "option is 'colour'"),
    ],
)
def test_files_that_are_no_test(tmp_path: Path, rows, options: str, problem: str) -> None:
    file = labelled(tmp_path / "r.csv", *rows)
    with pytest.raises(InputError, match=problem):
        load_suite(f"verbalizer:{file}{options}")


def test_labels_by_number_get_names(tmp_path: Path) -> None:
    file = labelled(tmp_path / "r.csv", ("a", "0"), ("b", "1"))
    of = label_set(file, labels=("bad", "good"), positive="good", items=2)
    assert (of.labels, of.conditions[0]) == (("good", "bad"), "the text is good")


def test_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    files = [labelled(each / "r.csv", ("a", "x"), ("b", "y")) for each in (tmp_path, tmp_path / "a")]
    method = module.VerbalizerManipulation(
        module.VerbalizerConfig(data=(f"{files[0]}?items=2", f"{files[1]}?items=2"))
    )
    with pytest.raises(InputError, match=r"data is 'r', expected sets of different names"):
        method.check()


def test_a_real_model_is_measured_and_the_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NEUTRAL", module.NEUTRAL[:1])
    folder = tmp_path / "vm"
    results = run("verbalizer-manipulation", out=folder, preset="smoke", items=2)
    assert {each.metric for each in results.comparisons} == {"acc", "acc_mutual_info"}
    accuracy = results.metrics["accuracy"]["acc"]
    assert all(0 <= accuracy[group] <= 1 for group in GROUPS)
    assert 0 < results.metrics["validity"] <= 1
    before = (folder / "results.json").read_text()
    again = run("verbalizer-manipulation", out=folder, preset="smoke", items=2)
    assert again.metrics == results.metrics
    assert json.loads(before)["metrics"] == json.loads((folder / "results.json").read_text())["metrics"]
