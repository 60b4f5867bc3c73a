"""Instruct-SkillMix: from skills to rows, every failure with its reason, and the proof on composed rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import InputError, RunError
from biddable.experiments import skillmix, voting
from biddable.judges.pairwise import PairVerdict
from biddable.methods.base import run
from biddable.methods.data import instruct_skillmix
from biddable.models import load
from biddable.runs.run import Run
from biddable.tasks.data import read_conversations
from biddable.tasks.skillmix import Example, read_examples
from biddable.tasks.skillmix_turns import TURNS
from biddable.types import Prompt, Response, last_turn
from tests.doubles import Parrot

SMALL: dict[str, Any] = {"teacher": "teacher", "k": 2, "rows": 12}


class Teacher(Parrot):
    """Follows the five turns; every fourth conversation goes wrong, in a way of its own.

    ``weak`` never writes a heading, ``down`` cannot be reached.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kind = "teacher"

    def load(self, spec: object, **options: object) -> Teacher:
        made = Teacher()
        made.asked, made.kind, made.interrupt_after = self.asked, str(spec), self.interrupt_after
        return made

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        if self.kind == "down":
            return Response("", finish_reason="error", error="503: busy")
        text, seed = last_turn(prompt), seed or 0
        if text.startswith("List "):
            return Response("1. Cooking\n2. Money\n3. Friends")
        if text.startswith("Which skills"):
            topic = text.split('"')[1]
            return Response(f"1. planning {topic}\n2. Writing with warmth\n3. this, that\n4. asking {topic}")
        if text.startswith("Here is a request"):
            return Response("1. arithmetic\n2. explaining") if seed % 2 else Response("1. Arithmetic")
        if text.startswith("Which kinds"):
            return Response("* Facts * To know.\n###\n* Help * To be helped.")
        assert not isinstance(prompt, str)
        if text.startswith("Use "):  # a row's instruction, which models answer that were trained or not
            return Response(f"{'A longer answer to' if '/stages/' in self.kind else 'To'} {text} {seed}")
        return self.turn(len(prompt) // 2, prompt[0].content, seed)

    def turn(self, turn: int, opening: str, seed: int) -> Response:
        skills = opening.split("these 2 skills:\n\n")[1].splitlines()[0]
        if self.kind == "weak":
            return Response("Well, I would say so.")
        if turn == 3:
            return Response(
                f"### Refined Instruction:\nUse {skills} {seed % 1000}.\n### Refined Response:\nx"
            )
        if turn == 4:
            if seed % 4 == 0:
                return Response(" ")
            return Response(
                f"### Response:\nHere is a fine answer that uses {skills} as it should, number {seed}.",
                finish_reason="length" if seed % 4 == 1 else "stop",
            )
        return Response("something")


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Teacher:
    made = Teacher()
    monkeypatch.setattr(load, "load_model", made.load)
    monkeypatch.setattr(voting, "require_trainable", lambda name: None)
    return made


@pytest.fixture
def skills(tmp_path: Path) -> Path:
    path = tmp_path / "skills.txt"
    path.write_text("planning\n\nhumour\nempathy\nlists, tables\ncounting\n")
    return path


def results(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())


def test_rows_of_your_skills(tmp_path: Path, teacher: Teacher, skills: Path) -> None:
    out = tmp_path / "run"
    made = run("instruct-skillmix", out=out, skills=skills, **SMALL)
    rows, left_out = read_examples(out / "artifacts" / "skillmix" / "rows.json")
    chats = read_conversations(out)
    assert [(c.chat[0].content, c.chat[1].content) for c in chats] == [
        (r.instruction, r.output) for r in rows
    ]
    assert not left_out
    metrics = made.metrics
    steps = metrics["rows"]
    assert steps["conversation"]["came"] == 12
    assert len(rows) == steps["duplicates"]["kept"] > 6
    assert metrics["coverage"]["possible"] == 6
    assert 0 < metrics["coverage"]["share"] <= 1
    assert all(skill in row.instruction for row in rows for skill in row.skills)
    assert {row.generator for row in rows} == {"teacher"}
    assert "1 left out of skills.txt" in made.notes[0]
    assert any("end where the teacher's tokens did" in note for note in made.notes)
    assert made.comparisons == []
    assert (out / "artifacts" / "bank" / "skills.txt").read_text().splitlines() == [
        "planning", "humour", "empathy", "counting",
    ]  # fmt: skip


def test_only_the_last_turn_is_asked_for_again(tmp_path: Path, teacher: Teacher, skills: Path) -> None:
    run("instruct-skillmix", out=tmp_path / "run", skills=skills, **SMALL)
    chats = [tuple(prompt) for call in teacher.asked for prompt in call["prompts"]]
    assert sum(len(chat) == 1 for chat in chats) == 12
    assert sum(len(chat) == 9 for chat in chats) > 12
    assert all(len({len(chat) for chat in call["prompts"]}) == 1 for call in teacher.asked)
    # A turn that is asked for again has another seed.
    seeds = [seed for call in teacher.asked for seed in call["seeds"]]
    assert len({*seeds}) == len(seeds)


def test_a_weak_teacher_ends_in_one_line(tmp_path: Path, teacher: Teacher, skills: Path) -> None:
    with pytest.raises(
        RunError, match=r"none of 12 conversations with weak gave a row: no instruction .* \(12\)"
    ):
        run("instruct-skillmix", out=tmp_path / "a", skills=skills, **{**SMALL, "teacher": "weak"})
    asked = len(teacher.chats)
    assert asked == 12 * 5 + 3 * 12
    with pytest.raises(RunError, match=r"could not be had \(12\)"):
        run("instruct-skillmix", out=tmp_path / "b", skills=skills, **{**SMALL, "teacher": "down"})
    assert len(teacher.chats) - asked == 12 * 4


def test_skills_by_topics(tmp_path: Path, teacher: Teacher) -> None:
    out = tmp_path / "run"
    made = run("instruct-skillmix", out=out, topics=4, **SMALL)
    named = (out / "artifacts" / "bank" / "skills.txt").read_text().splitlines()
    assert named[0].casefold() == "writing with warmth"
    assert sorted(named[1:]) == sorted(
        f"{what} {topic}" for what in ("planning", "asking") for topic in ("Cooking", "Money", "Friends")
    )
    assert "3 of 4 topics were listed." in made.notes
    assert "* Facts * To know." in (out / "artifacts" / "bank" / "queries.txt").read_text()
    dropped = (out / "artifacts" / "dropped" / "skills.jsonl").read_text().splitlines()
    assert {json.loads(line)["reason"] for line in dropped} == {"holds a comma", "named before"}


def test_skills_of_data(tmp_path: Path, teacher: Teacher) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(f'{{"instruction": "Question {i}", "output": "A"}}\n' for i in range(8)))
    made = run("instruct-skillmix", out=tmp_path / "run", data=data, requests=6, **SMALL)
    assert "Skills were named for 6 of 8 different requests (--requests)." in made.notes
    named = (tmp_path / "run" / "artifacts" / "bank" / "skills.txt").read_text().splitlines()
    assert [name.casefold() for name in named] == ["arithmetic", "explaining"]


def longer(tasks: Any, first: Any, second: Any) -> list[PairVerdict]:
    return [PairVerdict(float(len(a.text) > len(b.text))) for a, b in zip(first, second, strict=True)]


def test_a_student_is_compared_on_combinations_it_did_not_learn(
    tmp_path: Path, teacher: Teacher, skills: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons: list[Any] = []

    def finetuned(run: Any, name: str, start: str, chats: Any, config: Any) -> Path:
        lessons.extend(chats)
        return run.stage_folder(name, lambda folder: (folder / "weights").write_text("w"))

    monkeypatch.setattr(instruct_skillmix, "finetuned", finetuned)
    monkeypatch.setattr(instruct_skillmix, "require_trainable", lambda name: None)
    monkeypatch.setattr(instruct_skillmix, "load_pair_judge", lambda spec: longer)
    out, options = tmp_path / "run", {**SMALL, "rows": 60, "student": "student", "judge": "longer"}
    made = run("instruct-skillmix", out=out, skills=skills, **options)
    learned, _ = read_examples(out / "artifacts" / "skillmix" / "rows.json")
    held, _ = read_examples(out / "artifacts" / "held-out" / "rows.json")
    assert len(lessons) == len(learned)
    assert not {frozenset(row.skills) for row in learned} & {frozenset(row.skills) for row in held}
    win = made.comparisons[0]
    assert (win.metric, win.method, win.n) == ("win rate", 1.0, len(held))
    assert any("Not compared at equal lengths" in note for note in made.notes)
    assert not any("undecided" in note for note in made.notes)
    assert (out / "artifacts" / "model").exists()


def test_verdicts_that_a_judge_does_not_give_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(tasks: Any, first: Any, second: Any) -> list[PairVerdict]:
        lost = PairVerdict(None, critique="the answer cannot be read: 'Hm'")
        return [lost, *[PairVerdict(0.5, (0.9, 0.9)) for _ in tasks[1:]]]

    said = iter(("long ago", "now"))

    def answered(run: Any, name: str, ask: Any, prompts: Any) -> list[list[Response]]:
        text = next(said)
        return [[Response(f"{text} {place}")] for place, _ in enumerate(prompts)]

    monkeypatch.setattr(skillmix, "answers", answered)
    rows = [Example(f"Do {n}.", "Done.", ("a",), "help", "t") for n in range(20)]
    notes: list[str] = []
    with Run.open(tmp_path / "run", "test", {}, 0) as folder:
        [made] = skillmix.judged(folder, torn, rows, {"base": "a", "student": "b"}, 9, notes)
    assert (made.method, made.n, made.verdict) == (0.5, 19, "not shown")
    assert notes[:2] == [
        "1 of 20 pairs are undecided and left out (1: the answer cannot be read: 'Hm').",
        "The judge favours the first place; where that decides, a pair is a tie.",
    ]


def test_a_student_that_there_is_not(tmp_path: Path, teacher: Teacher, skills: Path) -> None:
    with pytest.raises(InputError, match="student is 'none', expected"):
        run("instruct-skillmix", out=tmp_path / "run", skills=skills, **{**SMALL, "student": "none"})


def test_rows_made_before_are_reported(tmp_path: Path, teacher: Teacher, skills: Path) -> None:
    run("instruct-skillmix", out=tmp_path / "a", skills=skills, **SMALL)
    path = tmp_path / "a" / "artifacts" / "skillmix" / "rows.json"
    made = run("instruct-skillmix", out=tmp_path / "b", made=path)
    assert made.metrics["coverage"]["rows"] == len(read_examples(path)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0, expected an integer from 1 to 4, the number of skills"),
        ({"k": 5}, "k is 5, expected an integer from 1 to 4"),
        ({"rows": -1}, "rows is -1, expected an integer of at least 1"),
        ({"topics": 3}, "no other source of skills beside --skills"),
        ({"judge": "rules"}, "judge is .* an effect only with --student"),
        ({"rows": 7, "unique": True}, "rows is 7, expected at most 6"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, teacher: Teacher, skills: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run("instruct-skillmix", out=tmp_path / "run", skills=skills, **{**SMALL, **options})
    assert not (tmp_path / "run").exists()


def test_what_the_proof_refuses(tmp_path: Path, teacher: Teacher) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("* a * b")
    for options, message in (
        ({"k": 1}, "k is 1, expected 2 or more"),
        ({"k": 9}, "k is 9"),
        ({"queries": queries}, "only with --skills or with --topics or with --data"),
        ({"proof.types": ("no:such",)}, "no:such"),
        ({"proof.shirkers": 0.0}, "proof.shirkers is 0"),
        ({"proof.shirkers": 1.1}, "proof.shirkers is 1.1"),
    ):
        with pytest.raises(InputError, match=message):
            run("instruct-skillmix", out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_killed_run_ends_the_same(tmp_path: Path, teacher: Teacher, skills: Path) -> None:
    whole = run("instruct-skillmix", out=tmp_path / "whole", skills=skills, **SMALL)
    for after in (2, 5):
        teacher.asked.clear()
        teacher.interrupt_after = after
        with pytest.raises(KeyboardInterrupt):
            run("instruct-skillmix", out=tmp_path / f"killed{after}", skills=skills, **SMALL)
        teacher.interrupt_after = -1
        again = run("instruct-skillmix", out=tmp_path / f"killed{after}", skills=skills, **SMALL)
        assert again.metrics == whole.metrics
        assert teacher.calls < 1 + after + 8


def test_the_wording_of_the_turns_holds_the_headings() -> None:
    assert "### Instruction:" in TURNS[0]
    assert "### Refined Response:" in TURNS[3]
    assert instruct_skillmix.InstructSkillMix.about.takes


@pytest.mark.slow
def test_the_proof_with_a_real_model(tmp_path: Path) -> None:
    out = tmp_path / "run"
    small = {
        **{"rows": 4, "proof.test": 4, "proof.samples": 1, "proof.sampling.max_tokens": 24, "talks": 1},
        **{"sampling.max_tokens": 8, "passes": 1, "sft.lora.rank": 4},
    }
    made = run("instruct-skillmix", out=out, preset="smoke", **small)
    roles = {(c.baseline_name, c.method_name, c.role) for c in made.comparisons}
    assert {("base", "k=2", "claim"), ("k=1", "k=2", "claim"), ("k=2", "junk", "claim")} <= roles
    seed = made.metrics["seed0"]
    rows = read_examples(out / "artifacts" / "skillmix" / "rows.json")[0]
    assert len(rows) == seed["rows"] == len(read_conversations(out))
    held = {frozenset(of) for of in made.metrics["held-out combinations"]}
    assert held
    assert not held & {frozenset(row.skills) for row in rows}
    assert seed["replaced answers"]["k=2"]["passing"] == seed["replaced answers"]["k=2"]["answers"]
    again = run("instruct-skillmix", out=out, preset="smoke", **small)
    assert again.comparisons == made.comparisons
