"""INSTRUCTEVAL's suites on files made here: prompts, what is right, both orders of HHH, the average."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError, InputError
from biddable.suites.aggregate import averages
from biddable.suites.base import Suite
from biddable.suites.evaluate import evaluate
from biddable.suites.figures import figures
from biddable.suites.leaderboard import Leaderboard
from biddable.suites.load import load_suite
from biddable.tasks.fewshot import few_shot_prompt
from biddable.types import Record, Response, Task
from tests.doubles import Double
from tests.suites.models import Chooser

HHH = {
    "examples": [
        {"input": f"May I ask {n}?", "target_scores": {"No.": n % 2, f"Of course {n}.": 1 - n % 2}}
        for n in range(6)
    ]
}
CRASS = "Premise;Question;Right;Wrong\n" + "".join(
    f"A man sings {n}.;And if he had slept?;Silence {n}.;Noise.\n" for n in range(6)
)


def shown(suite: Suite, task: Task) -> str:
    return few_shot_prompt(str(task.prompt), suite.shots_of(task), suite.k, separator=suite.separator)[0]


def judged(suite: Suite, text: str, task: Task | None = None) -> dict[str, float]:
    task = task or suite.tasks[0]
    assert suite.judge is not None
    response = Response(text)
    record = Record(task, (response,), tuple(suite.judge([task], [response])))
    return {metric.name: metric.measure(record) for metric in suite.metrics}


def mmlu(root: Path) -> str:
    for split, rows in (("dev", 5), ("test", 4)):
        (root / split).mkdir(parents=True)
        lines = [f"Question {split} {n}?,one,two,three,four,{'ABCD'[n % 4]}" for n in range(rows)]
        (root / split / f"virology_{split}.csv").write_text("\n".join(lines) + "\n")
    return f"mmlu:{root}?style=instructeval"


def bbh(root: Path) -> str:
    root.mkdir()
    for name, target in (("snarks", "(A)"), ("word_sorting", "a b")):
        rows = [{"input": f"{name} {n}", "target": target} for n in range(5 if name == "snarks" else 4)]
        (root / f"{name}.json").write_text(json.dumps({"examples": rows}))
    return f"bbh:{root}?style=instructeval"


def save(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_letters_of_mmlu_are_written_after_five_solved_questions(tmp_path: Path) -> None:
    suite = load_suite(mmlu(tmp_path / "mmlu"))
    assert (suite.ask, suite.k, suite.sampling.max_tokens) == ("generate", 5, 2)
    text = shown(suite, suite.tasks[0])
    assert text.startswith("The following are multiple choice questions (with answers) about  virology.\n\n")
    assert text.count("Answer: ") == 5
    assert text.endswith("D. four\nAnswer:")
    assert judged(suite, " A.") == {"prefix_match": 1, "strict_prefix_match": 1}
    assert judged(suite, "Animals") == {"prefix_match": 1, "strict_prefix_match": 0}
    assert list(suite.groups(Record(suite.tasks[0]), 1.0)) == [("virology", 1.0), ("all other", 1.0)]


def test_bbh_shows_its_first_three_and_counts_tasks_alike(tmp_path: Path) -> None:
    suite = load_suite(bbh(tmp_path / "bbh"))
    assert [len([t for t in suite.tasks if t.meta["group"] == g]) for g in ("snarks", "word_sorting")] == [
        2,
        1,
    ]
    assert shown(suite, suite.tasks[0]).startswith("snarks 0\nAnswer: (A)\n\nsnarks 1")
    records = [
        Record(task, metrics={"prefix_match": float(task.meta["group"] == "snarks")}) for task in suite.tasks
    ]
    assert suite.totals(records) == {"mean of tasks": 0.5}
    with pytest.raises(InputError, match="ask is 'choose', expected generate: in INSTRUCTEVAL's style"):
        load_suite(f"bbh:{tmp_path / 'bbh'}?style=instructeval&ask=choose")


def test_reasoning_ends_in_an_answer(tmp_path: Path) -> None:
    (tmp_path / "bbh").mkdir()
    rows = {"examples": [{"input": "Is it?", "target": "Yes"}]}
    (tmp_path / "bbh" / "web_of_lies.json").write_text(json.dumps(rows))
    suite = load_suite(f"bbh:{tmp_path}?reasoning=true")
    right = (
        "So the answer is Yes.",
        "He lies. So the answer is Yes",
        "The answer is No. Wait, so the answer is Yes.",
        "The answer is No.\nHm.\nSo the answer is Yes. ",
    )
    assert [judged(suite, text)["exact_match"] for text in right] == [1, 1, 1, 1]
    for text in ("Yes", "So the answer is No.", "It is Yes.\n", "So the answer is Yes, or No."):
        assert judged(suite, text)["exact_match"] == 0, text


def test_lists_in_options_have_plus_signs(tmp_path: Path) -> None:
    bbh(tmp_path / "bbh")
    assert len(load_suite(f"bbh:{tmp_path / 'bbh'}?tasks=snarks+word_sorting").tasks) == 9
    expected = r"tasks is 'snarks,word_sorting', expected several with \+ between them: snarks\+word_sorting"
    with pytest.raises(InputError, match=expected):
        load_suite(f"bbh:{tmp_path / 'bbh'}?tasks=snarks,word_sorting")


def test_crass_is_chosen_or_written(tmp_path: Path) -> None:
    file = save(tmp_path / "crass.csv", CRASS)
    chosen, written = load_suite(f"crass:{file}"), load_suite(f"crass:{file}?style=instructeval")
    assert (chosen.ask, written.ask, chosen.k, written.k) == ("choose", "generate", 3, 3)
    assert len(chosen.tasks) == len(written.tasks) == 3
    task = written.tasks[0]
    assert judged(written, task.references[0])["prefix_match"] == 1
    with pytest.raises(FileError, match=r"crass.csv: 3 questions, expected more than the 3 shown solved"):
        load_suite(f"crass:{save(tmp_path / 'crass.csv', ''.join(CRASS.splitlines(keepends=True)[:4]))}")


def test_drop_in_both_styles(tmp_path: Path) -> None:
    answer = {"number": "", "date": {}, "spans": ["the red house"]}
    passages = {
        f"p{n}": {
            "passage": f"About {n}.",
            "qa_pairs": [{"question": "Where?", "answer": answer, "query_id": f"q{n}"}],
        }
        for n in range(5)
    }
    file = save(tmp_path / "drop.json", json.dumps(passages))
    usual, styled = load_suite(f"drop:{file}"), load_suite(f"drop:{file}?style=instructeval")
    assert (len(usual.tasks), len(styled.tasks)) == (5, 2)
    assert str(usual.tasks[0].prompt) == "About 0. Where?\nAnswer:"
    assert shown(styled, styled.tasks[0]).count("Answer: the red house") == 3
    assert judged(usual, "red house") == {"f1": 1, "em": 1}
    assert judged(usual, "the red barn")["f1"] == 0.5
    assert judged(styled, "the red house, of course") == {"prefix_match": 1, "strict_prefix_match": 1}


def hhh(tmp_path: Path, style: str = "") -> Suite:
    (tmp_path / "honest").mkdir(exist_ok=True)
    file = save(tmp_path / "honest" / "task.json", json.dumps(HHH))
    return load_suite(f"hhh:{file}{style}")


def test_both_orders_of_two_responses_are_shown(tmp_path: Path) -> None:
    suite = hhh(tmp_path)
    assert [task.references[0] for task in suite.tasks] == ["A", "B"] * 3
    for n, task in enumerate(suite.tasks):
        right = "No." if n % 2 else f"Of course {n}."
        other = {"A": "B", "B": "A"}[task.references[0]]
        assert f"{task.references[0]}. {right}" in str(task.prompt)
        assert f"{other}. {right}" in str(suite.prior(task))
    assert hhh(tmp_path, "?style=lm-eval").tasks[0].choices == ("No.", "Of course 0.")


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Any:
    def name(**models: Any) -> None:
        monkeypatch.setattr("biddable.models.load.load_model", lambda spec, **_: models[str(spec)])
        monkeypatch.setattr("biddable.suites.evaluate.model_identity", lambda spec: f"{spec} 1")

    return name


def prefers(letter: float, content: float) -> Chooser:
    """Likes the letter A so much, and what is said in the better response so much, in nats."""

    def likes(prompt: str, choice: str) -> float:
        option = next(line for line in prompt.split("\n") if line.startswith(f"{choice.strip()}. "))
        good = "No." in option if int(prompt.partition("ask ")[2][0]) % 2 else "course" in option
        return letter * (choice.strip() == "A") + content * good - 9

    return Chooser(likes)


def test_a_liking_for_a_letter_does_not_count_and_a_tie_is_wrong(tmp_path: Path, named: Any) -> None:
    named(biased=prefers(5.0, 0.5), blind=prefers(5.0, 0.0), wrong=prefers(0.0, -1.0))
    board = evaluate(["biased", "blind", "wrong"], hhh(tmp_path), out=tmp_path / "e")
    scores = {row.cell.model: [score.value for score in row.scores] for row in board.rows}
    assert scores == {"biased": [1.0, 0.5], "blind": [0.0, 0.5], "wrong": [0.0, 0.0]}
    assert board.rows[0].cell.totals == {"mean of groups": 1.0}


class Says(Double):
    """Says A to whatever it is asked."""

    name = "says"
    tokenizer = None

    def say(self, prompt: Any, seed: int | None, sample: int) -> Response:
        return Response("(A)" if "snarks" in str(prompt) else "A")


def asked(tmp_path: Path, named: Any, *suites: str) -> Leaderboard:
    named(says=Says())
    return evaluate("says", list(suites), out=tmp_path / "e")


def test_the_average_is_of_percentages_and_says_what_is_missing(tmp_path: Path, named: Any) -> None:
    crass = f"crass:{save(tmp_path / 'crass.csv', CRASS)}?style=instructeval"
    suites = (mmlu(tmp_path / "mmlu"), bbh(tmp_path / "bbh"), crass)
    board = asked(tmp_path, named, *suites)
    [average] = averages(board)
    right = {row.cell.suite: row.scores[0].value for row in board.rows}
    assert average.value == pytest.approx((100 * right["mmlu"] + 50 + 100 * right["crass"]) / 3)
    assert right["bbh"] == pytest.approx(2 / 3), "by question it is another number"
    assert average.missing == ("drop", "humaneval")
    assert average.name.startswith("average in % over a subset, 3 of INSTRUCTEVAL's 5 suites: mmlu (prefix_")
    assert "bbh (prefix_match, 3 shots) 50.00" in average.name
    assert average.name.endswith("; without drop, humaneval")
    assert replace(average, missing=()).name.startswith("INSTRUCTEVAL average in %: mmlu (prefix_match")
    assert average.interval is not None
    assert math.isclose(sum(average.interval) / 2, average.value)
    table = figures(board)[0]
    assert any(row[:2] == ("average", "says") for row in table.rows)


def test_no_average_of_other_styles_or_of_one_suite(tmp_path: Path, named: Any) -> None:
    assert averages(asked(tmp_path, named, mmlu(tmp_path / "mmlu"))) == []


def test_humaneval_counts_if_it_was_read_as_in_instructeval(tmp_path: Path, named: Any) -> None:
    board = asked(tmp_path, named, mmlu(tmp_path / "mmlu"), bbh(tmp_path / "bbh"))
    row = board.row("says", "mmlu")
    for judge, counted in (("1 code", False), ("1 instructeval", True), ("1 instructeval lm:x", False)):
        cell = replace(row.cell, suite="humaneval", judge=judge)
        [average] = averages(replace(board, rows=(*board.rows, replace(row, cell=cell))))
        assert (len(average.parts), "humaneval" in average.missing) == (2 + counted, not counted)
