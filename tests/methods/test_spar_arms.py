"""Every arm, both judges, the search at inference and figure 5, with a scripted model in place of weights.

What is tested is SPaR's own logic: which data each arm trains on, that all of it goes together, and what
the results say. Nothing is trained; a model's "weights" are a folder with the name of its training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from biddable.errors import BiddableError
from biddable.judges.lm_judge import END, JUDGEMENT, START, judge_chat
from biddable.methods.base import run
from biddable.methods.improve.spar import selfplay
from biddable.methods.improve.spar.selfplay import SelfPlay
from biddable.models.base import GREEDY, Sampling, TokenScores
from biddable.runs.figures import load_figures
from biddable.runs.results import Results
from biddable.types import Chat, Message, Response, Task, user

ARMS = ("independent", "no-tree-search", "no-iterating", "self-rewarding", "self", "humpback")
SETTINGS = {
    "types": ("change_case:english_lowercase", "punctuation:no_comma"),
    "held_out_types": (),
    "iterations": 2,
    "seeds": 2,
    "prompts": 12,
    "bootstrap": 6,
    "test_tasks": 10,
    "test_held_out": 0,
    "inference_search": 6,
    "curve": 4,
}
WORDS = "the boats leave this small harbour one by one while gulls circle above old men mend nets".split()  # noqa: SIM905


class Scripted:
    """Answers, judges and repairs by its seed alone: about half of what it says is right."""

    def generate(
        self,
        chats: Sequence[Chat],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        given = seeds if seeds is not None else [len(chat[-1].content) for chat in chats]
        return [
            [Response(self.say(chat, seed * 31 + 7 * sample)) for sample in range(n)]
            for chat, seed in zip(chats, given, strict=True)
        ]

    def say(self, chat: Chat, seed: int) -> str:
        if len(chat) == 3:
            return f"It missed something.\n{START}\n{text(seed)}\n{END}"
        if JUDGEMENT in chat[-1].content:
            return f"I looked at it.\n{JUDGEMENT}: {'Yes' if seed % 23 % 3 else 'No'}"
        return text(seed)

    def score(self, prompts: Sequence[Chat], texts: Sequence[str]) -> list[TokenScores]:
        return [TokenScores((1, 2), (-0.1 * len(text), -0.5)) for text in texts]


def text(seed: int) -> str:
    """An answer of its own: in lower case and without commas, or neither."""
    turned = WORDS[seed % 7 :] + WORDS[: seed % 7]
    return " ".join(turned) + "." if seed % 2 else " ".join(turned).title() + ", again."


@pytest.fixture
def trained(monkeypatch) -> dict[str, int]:
    """How much each training was given, by its name; nothing is loaded."""
    amounts: dict[str, int] = {}

    def note(self: SelfPlay, name: str, start: object, data: Sequence[object], **how: object) -> Path:
        amounts[name] = len(data)

        def fill(folder: Path) -> None:
            (folder / "weights").write_text(name)

        return self.run.stage_folder(name, fill)

    monkeypatch.setattr(selfplay, "load_model", lambda weights: Scripted())
    monkeypatch.setattr(SelfPlay, "train_actor", note)
    monkeypatch.setattr(SelfPlay, "finetune", note)
    return amounts


def outcome(folder: Path, **options: object) -> Results:
    return run("spar", out=folder, seed=5, **{**SETTINGS, **options})


def test_all_arms_where_rules_judge(trained, tmp_path) -> None:
    results = outcome(tmp_path / "run", arms=ARMS)
    compared = {(c.baseline_name, c.method_name) for c in results.comparisons}
    rewarding = {(f"self-rewarding-{i}", f"spar-{i}") for i in (1, 2)}
    assert {("base", "spar-2"), ("spar-1", "spar-2"), ("independent", "refined")} <= compared
    assert {("no-tree-search", "spar-1"), ("no-iterating", "spar-2"), *rewarding} <= compared
    assert {("self", "spar-1"), ("humpback", "spar-1")} <= compared
    assert {("greedy", "tree search"), ("best of as many", "tree search")} <= compared
    for seed in ("seed5", "seed6"):
        assert trained[f"{seed}-independent"] == trained[f"{seed}-refined"], "at equal count"
        assert trained[f"{seed}-no-tree-search"] <= trained[f"{seed}-iter1-actor"]
        assert trained[f"{seed}-no-iterating"] > trained[f"{seed}-iter1-actor"]
        assert trained[f"{seed}-self"] == trained[f"{seed}-iter1-actor"]
        of_seed = results.metrics["seeds"][seed]
        assert of_seed["repaired_once"] == of_seed["repaired_once_says_its_judge"], "the judge is the checks"
        assert set(of_seed["inference"]["composed"]) == {"greedy", "tree search", "best of as many"}
        assert of_seed["inference"]["composed"]["tree search"] >= of_seed["inference"]["composed"]["greedy"]
        for shares in of_seed["curve"].values():
            assert shares == sorted(shares), "more generations mend no fewer"
        assert of_seed["independent_pairs"] >= trained[f"{seed}-independent"]
        assert 0 < of_seed["independent_pair_similarity"] < 1


def test_a_model_that_judges_itself_is_held_against_the_checks(trained, tmp_path) -> None:
    arms = ("independent", "self-rewarding", "meta-rewarding")
    results = outcome(tmp_path / "run", judge="self", votes=3, arms=arms, seeds=1)
    compared = {(c.baseline_name, c.method_name) for c in results.comparisons}
    assert {("meta-rewarding-1", "spar-1"), ("meta-rewarding-2", "spar-2")} <= compared
    assert trained["seed5-meta-rewarding1-judge"] > 0, "disputed judgements, or nothing was tested"
    of_seed = results.metrics["seeds"]["seed5"]
    bias = of_seed["iterations"][0]["judge"]
    assert bias["judged_passing"] != bias["checks_passing"]
    assert of_seed["repaired_once"] != of_seed["repaired_once_says_its_judge"]
    titles = {figure.title for figure in load_figures(tmp_path / "run" / "figures.json")}
    assert {"The model as its own judge, beside the checks", "Failed answers mended by one repair"} <= titles


def test_a_judge_that_passes_everything_ends_the_run_in_one_line(trained, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Scripted, "say", lambda self, chat, seed: f"{text(seed)} {JUDGEMENT}: Yes")
    with pytest.raises(BiddableError) as caught:
        outcome(tmp_path / "run", judge="self", votes=3, seeds=1)
    said = str(caught.value)
    assert "of 60 answers the judge passes 60 (the checks " in said
    assert "0 of 0 failures were mended" in said


def test_ifeval_is_scored_as_published(trained, tmp_path) -> None:
    file = tmp_path / "input_data.jsonl"
    prompts = ("Describe a harbour without commas.", "Describe a harbour in lower case.", "Both, please.")
    rules = (["punctuation:no_comma"], ["change_case:english_lowercase"])
    lines = [
        {"key": i, "prompt": prompt, "instruction_id_list": ids, "kwargs": [{} for _ in ids]}
        for i, (prompt, ids) in enumerate(zip(prompts, (*rules, rules[0] + rules[1]), strict=True))
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ifeval = {"ifeval": file, "ifeval_arms": ("base", "spar-2")}
    results = outcome(tmp_path / "run", **ifeval, seeds=1, curve=0)
    found = results.metrics["accuracy"]["ifeval"]
    assert set(found) == {"base", "spar-2"}
    for name in found:
        four = [found[name][f"{unit}_{way}"] for unit in ("prompt", "inst") for way in ("strict", "loose")]
        assert found[name]["average"] == pytest.approx(sum(four) / 4)
    [table] = [one for one in load_figures(tmp_path / "run" / "figures.json") if "as published" in one.title]
    assert [row[-1] for row in table.rows] == [f"{100 * found[name]['average']:.1f} %" for name in found]
    [compared] = [c for c in results.comparisons if c.metric == "IFEval: mean of the four accuracies"]
    assert compared.difference == pytest.approx(found["spar-2"]["average"] - found["base"]["average"])
    assert set(results.metrics["seeds"]["seed5"]["inference"]) == {"composed", "ifeval"}


def test_the_script_plays_all_roles() -> None:
    model, task = Scripted(), Task("a", user("Say it."))
    judged = judge_chat(task, "an answer")
    repair = (*judged, Message("assistant", "No."), Message("user", "Repair it."))
    answers = [said.text for [said] in model.generate([task.prompt, judged, repair], seeds=[1, 1, 1])]
    assert answers[0].islower()
    assert answers[1].endswith("Yes")
    assert START in answers[2]
