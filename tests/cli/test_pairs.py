"""``judge pairwise`` and ``judge rate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.models import load
from biddable.suites import answers
from tests.judges.test_labels import Scorer
from tests.judges.test_pairwise import Taste, says

from .conftest import Command
from .fakes import assert_one_line, write_lines

PROMPTS = [f"Name {n} things." for n in ("two", "three", "four", "five")]
MINE = ["one, two", "one two three", "1, 2, 3, 4", "no"]
BASE = ["one two", "one, two, three", "one 2", "no"]
PAIR = ("judge", "pairwise", "--responses", "a.jsonl", "--baseline", "b.jsonl", "--judge")


def rows(texts: list[str], **more: Any) -> list[dict[str, Any]]:
    return [
        {"key": key, "prompt": prompt, "response": text, **more}
        for key, (prompt, text) in enumerate(zip(PROMPTS, texts, strict=True), 1)
    ]


@pytest.fixture
def files(biddable: Command) -> None:
    write_lines("a.jsonl", [*rows(MINE), {"prompt": "Only here.", "response": "x"}])
    write_lines("b.jsonl", rows(BASE))


@pytest.fixture
def taste(monkeypatch: pytest.MonkeyPatch) -> Taste:
    """What every model name stands for: it likes commas."""
    model = Taste()
    monkeypatch.setattr(load, "load_model", lambda name: model)
    return model


def test_a_table(biddable: Command, files: None, taste: Taste) -> None:
    result = biddable(*PAIR, "pairwise:any")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["a.jsonl", "beside", "b.jsonl:", "4", "pairs,", "judged", "by", "pairwise:any"]
    assert ["wins", "0.500", "2"] in lines
    assert ["ties", "0.250", "1"] in lines
    assert any(line[:3] == ["win", "rate", "0.625"] for line in lines)
    assert any(line[:4] == ["first", "place", "chosen", "0.500"] and line[-1] == "3" for line in lines)
    assert "Only a.jsonl answers 1 prompt, left out: line-5." in result.stdout
    assert "warning: Only a.jsonl answers 1 prompt" in result.stderr


def test_json_and_a_file_that_reads_back(biddable: Command, files: None, taste: Taste) -> None:
    result = biddable(*PAIR, "pairwise:any", "--out", "v/out.jsonl", "--json")
    found = json.loads(result.stdout)
    assert (found["rate"], found["wins"], found["ties"], found["losses"]) == (0.625, 2, 1, 1)
    assert (found["model"], found["baseline"], found["judge"]) == ("a.jsonl", "b.jsonl", "pairwise:any")
    assert found["only_responses"] == ["line-5"]
    assert [verdict["win"] for verdict in found["verdicts"]] == [1, 0, 1, 0.5]
    assert found["order"]["consistent"]["value"] == 1
    written = [json.loads(line) for line in Path("v/out.jsonl").read_text().splitlines()]
    assert [row["preference"] for row in written] == [2, 1, 2, 1.5]
    assert (written[0]["prompt"], written[0]["output_1"], written[0]["output_2"]) == (
        PROMPTS[0],
        BASE[0],
        MINE[0],
    )
    again = json.loads(biddable("judge", "pairwise", "--annotations", "v/out.jsonl", "--json").stdout)
    assert again["rate"] == found["rate"]
    assert (again["model"], again["baseline"]) == ("a.jsonl", "b.jsonl")


def test_a_judge_that_always_says_a(biddable: Command, files: None, taste: Taste) -> None:
    taste.rule = lambda text, place: -place
    result = biddable(*PAIR, "pairwise:any")
    assert "win rate 0.500" in " ".join(result.stdout.split())
    assert "No length-controlled win rate: every pair came out alike." in result.stdout


def test_a_lasting_favour_for_a_place_is_said(biddable: Command, taste: Taste) -> None:
    taste.rule = lambda text, place: -place
    many = [{"prompt": f"p{n}", "response": "x"} for n in range(20)]
    write_lines("a.jsonl", many)
    write_lines("b.jsonl", [{**row, "response": "y"} for row in many])
    assert "The judge favours the first place" in biddable(*PAIR, "pairwise:any").stdout


def test_rules_and_ratings_are_compared_by_score(
    biddable: Command, files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruled = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    write_lines("a.jsonl", rows(MINE, **ruled))
    found = json.loads(biddable(*PAIR, "rules", "--json").stdout)
    assert [verdict["win"] for verdict in found["verdicts"]] == [0, 1, 0, 0.5]
    assert found["order"] is None
    monkeypatch.setattr(load, "load_model", lambda name: Scorer(**{str(n): 0.2 for n in range(1, 6)}))
    found = json.loads(biddable(*PAIR, "rating:any", "--json").stdout)
    assert (found["rate"], found["ties"]) == (0.5, 4)


def test_criteria_are_passed_on_as_they_are(biddable: Command, files: None, taste: Taste) -> None:
    text = "Is it 100 % right? Colour & form = all + more"
    for spec in ("pairwise:my model", "pairwise:my model?max_tokens=9"):
        result = biddable(*PAIR, spec, "--criteria", text, "--json")
        assert json.loads(result.stdout)["judge"].startswith(spec)
        assert f"What counts: {text}.\n" in taste.calls[-1][0][0].content


def test_thinking_is_taken_off(biddable: Command, taste: Taste) -> None:
    write_lines("a.jsonl", rows(["<think>a, b, c</think>x"] * 4))
    write_lines("b.jsonl", rows(["x,"] * 4))
    assert json.loads(biddable(*PAIR, "pairwise:any", "--json").stdout)["rate"] == 1
    found = json.loads(biddable(*PAIR, "pairwise:any", "--json", "--strip-thinking").stdout)
    assert (found["rate"], found["length"]) == (0, 1)


def test_responses_that_could_not_be_had_lose(biddable: Command, taste: Taste) -> None:
    write_lines("a.jsonl", rows(MINE))
    broken = rows(BASE)
    broken[1] = {**broken[1], "response": "", "error": "400 refused"}
    write_lines("b.jsonl", broken)
    result = biddable(*PAIR, "pairwise:any")
    assert "0 responses and 1 of the baseline could not be had, and lose." in result.stdout
    assert ["wins", "0.750", "3"] in [line.split() for line in result.stdout.splitlines()]


def test_where_neither_could_be_had_nobody_loses(biddable: Command, taste: Taste) -> None:
    gone = {"response": "", "error": "400 refused"}
    for name, texts in (("a.jsonl", MINE), ("b.jsonl", BASE)):
        write_lines(name, [{**rows(texts)[0], **gone}, *rows(texts)[1:]])
    result = biddable(*PAIR, "pairwise:any")
    assert "and lose" not in result.stdout
    assert "1 of 4 pairs are undecided and left out (1: no answer: 400 refused)." in result.stdout


@pytest.mark.parametrize("command", ["pairwise", "rate"])
def test_what_was_killed_goes_on_and_other_work_is_refused(
    biddable: Command, files: None, taste: Taste, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(answers, "BATCH", 2)
    if command == "rate":
        taste = Scorer(**{str(digit): 0.1 * digit for digit in range(1, 6)})
        monkeypatch.setattr(load, "load_model", lambda name: taste)
    line = {
        "pairwise": (*PAIR, "pairwise:any"),
        "rate": ("judge", "rate", "--responses", "a.jsonl", "--judge", "rating:any"),
    }[command]
    assert biddable(*line, "--out", "whole.jsonl").exit_code == 0
    score, asked = taste.score, list[int]()

    def killed(prompts: Any, continuations: Any, **how: Any) -> Any:
        if len(asked) == 1:
            raise KeyboardInterrupt
        asked.append(len(prompts))
        return score(prompts, continuations, **how)

    monkeypatch.setattr(taste, "score", killed)
    assert biddable(*line, "--out", "out.jsonl").exit_code == 130
    assert (Path("out.jsonl").exists(), Path("out.jsonl.part").is_dir()) == (False, True)
    kept = Path("out.jsonl.part/stages/verdicts.jsonl").read_bytes()
    monkeypatch.setattr(taste, "score", lambda *given, **how: asked.append(0) or score(*given, **how))
    for other, named in (
        ((*line[:-1], f"{line[-1]}?max_tokens=9"), "judge was"),
        ((*line, "--criteria", "x"), "judge was"),
        ((*line, "--strip-thinking"), "responses was"),
    ):
        if "--strip-thinking" in other:
            write_lines("a.jsonl", rows(["<think>x</think>y", *MINE[1:]]))
        assert_one_line(biddable(*other, "--out", "out.jsonl"), "out.jsonl.part: ", named)
    assert Path("out.jsonl.part/stages/verdicts.jsonl").read_bytes() == kept
    write_lines("a.jsonl", [*rows(MINE), {"prompt": "Only here.", "response": "x"}])
    asked.clear()
    result = biddable(*line, "--out", "out.jsonl")
    assert result.exit_code == 0, result.output
    assert len(asked) == {"pairwise": 1, "rate": 2}[command], "the batches that were not finished"
    assert Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert not Path("out.jsonl.part").exists()


@pytest.mark.parametrize("out", ["a.jsonl", "./b.jsonl", "link"])
def test_what_is_judged_is_not_overwritten(biddable: Command, files: None, taste: Taste, out: str) -> None:
    Path("link").symlink_to("a.jsonl")
    before = Path("a.jsonl").read_bytes(), Path("b.jsonl").read_bytes()
    result = biddable(*PAIR, "pairwise:any", "--out", out)
    assert_one_line(result, f"--out is '{out}', expected another file than the one that is judged")
    if out != "./b.jsonl":
        result = biddable("judge", "rate", "--responses", "a.jsonl", "--judge", "answer", "--out", out)
        assert_one_line(result, "--out is")
    assert before == (Path("a.jsonl").read_bytes(), Path("b.jsonl").read_bytes())
    assert taste.calls == []


def test_undecided_pairs_are_left_out_and_said(biddable: Command) -> None:
    write_lines("ann.jsonl", [
        {"instruction": str(n), "output_1": "x" * n, "output_2": "y", "preference": preference}
        for n, preference in enumerate((1, 2, None, 1.5))
    ])  # fmt: skip
    result = biddable("judge", "pairwise", "--annotations", "ann.jsonl")
    assert "output_2 beside output_1: 4 pairs, preferences of ann.jsonl" in result.stdout
    assert "1 of 4 pairs are undecided and left out (1: no preference)." in result.stdout


def test_where_nothing_is_decided_the_verdicts_say_why(
    biddable: Command, files: None, monkeypatch: Any
) -> None:
    monkeypatch.setattr(load, "load_model", lambda name: says("No comment."))
    write_lines("a.jsonl", rows(MINE)[:3])
    result = biddable(*PAIR, "pairwise:any", "--out", "out.jsonl")
    assert_one_line(
        result, "3 undecided", "expected one that is decided (3: the answer cannot be read: 'No com"
    )
    written = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["preference"] for row in written] == [None] * 3


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--annotations", "ann.jsonl", "--judge", "rules"), ("--judge is 'rules'", "beside --annotations")),
        (
            ("--responses", "a.jsonl", "--judge", "rules"),
            ("--baseline is None", "--annotations FILE instead"),
        ),
        ((*PAIR[2:], "nobody"), ("judge is 'nobody', expected pairwise:MODEL, rules",)),
        ((*PAIR[2:], "rules", "--criteria", "x"), ("judge rules: option is 'criteria'",)),
        ((*PAIR[2:], "rules"), ("task 1: checks",)),
        ((*PAIR[2:], "rules", "--out", "."), ("--out is '.', expected a file",)),
        (("--annotations", "a.jsonl"), ("a.jsonl:1: output_2 is None, expected a text",)),
        (("--annotations", "none.jsonl"), ("none.jsonl: no such file",)),
    ],
)
def test_what_cannot_be_done(
    biddable: Command, files: None, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_one_line(biddable("judge", "pairwise", *arguments), *parts)


def test_a_bad_line_leaves_nothing_written(biddable: Command, files: None, taste: Taste) -> None:
    write_lines("b.jsonl", [*rows(BASE), {"prompt": "p"}])
    result = biddable(*PAIR, "pairwise:any", "--out", "out.jsonl")
    assert_one_line(result, "b.jsonl:5: response: field required")
    assert not Path("out.jsonl").exists()
    assert taste.calls == []


def test_files_without_a_common_prompt(biddable: Command, files: None, taste: Taste) -> None:
    write_lines("b.jsonl", [{"prompt": "Other.", "response": "x"}])
    assert_one_line(biddable(*PAIR, "pairwise:any"), "b.jsonl: no prompt in common with a.jsonl")


def test_rate(biddable: Command, files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    chances = {str(digit): 0.1 for digit in range(1, 5)} | {"5": 0.6}
    monkeypatch.setattr(load, "load_model", lambda name: Scorer(**chances))
    write_lines("a.jsonl", [*rows(MINE), {"prompt": "p", "response": "", "error": "400 refused"},
                            {"prompt": "p", "response": "too long"}])  # fmt: skip
    result = biddable("judge", "rate", "--responses", "a.jsonl", "--judge", "rating:any", "--out", "o.jsonl")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["6", "responses,", "judged", "by", "rating:any"]
    assert any(line[:2] == ["score", "0.750"] for line in lines)
    assert "1 of 6 responses could not be had and do not pass." in result.stdout
    assert "1 of 6 got no score; the first: no rating: prompt is '9 tokens', expected" in result.stdout
    assert "warning: prompt line-5 has no answer: 400 refused" in result.stderr
    written = [json.loads(line) for line in Path("o.jsonl").read_text().splitlines()]
    assert written[0]["score"] == pytest.approx(0.75)
    assert (written[0]["prompt"], written[0]["response"]) == (PROMPTS[0], MINE[0])
    summary = json.loads(
        biddable("judge", "rate", "--responses", "a.jsonl", "--judge", "rating:any", "--json").stdout
    )
    assert (summary["n"], summary["missing"], summary["undecided"]) == (6, 1, 1)


def test_ratings_of_one_prompt_are_counted_together(
    biddable: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    chances = {str(digit): 0.1 for digit in range(1, 5)} | {"5": 0.6}
    monkeypatch.setattr(load, "load_model", lambda name: Scorer(**chances))
    write_lines("a.jsonl", [{"prompt": prompt, "responses": MINE} for prompt in PROMPTS])
    result = biddable("judge", "rate", "--responses", "a.jsonl", "--judge", "rating:any")
    assert "4 prompts: responses to one prompt are counted together." in result.stdout
    assert any(line.split()[:2] == ["score", "0.750"] for line in result.stdout.splitlines())
    assert "passed 1.000 [0.510, 1.000] 16" in " ".join(result.stdout.split())


def test_rating_needs_prompts(biddable: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lines("a.jsonl", [{"id": 1, "response": "x"}])
    result = biddable("judge", "rate", "--responses", "a.jsonl", "--judge", "answer")
    assert_one_line(result, "a.jsonl:1: prompt is None, expected a prompt")
