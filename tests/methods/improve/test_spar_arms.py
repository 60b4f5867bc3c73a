"""Every arm, both judges, the search at inference and figure 5, with a scripted model in place of weights.

What is tested is SPaR's own logic: which data each arm trains on, that all of it goes together, and what
the results say. Nothing is trained; a model's "weights" are a folder with the name of its training.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.errors import BiddableError
from biddable.experiments.repairs import CLAIMED, MENDED
from biddable.judges.lm_judge import JUDGEMENT, START, judge_chat
from biddable.methods.base import run
from biddable.runs.figures import load_figures
from biddable.runs.results import Results
from biddable.types import Message, Response, Task, user
from tests.methods.improve.scripted import COMPOSED, Improvable, script, text

ARMS = ("independent", "no-tree-search", "no-iterating", "self-rewarding", "self", "humpback")
SETTINGS = {
    **COMPOSED,
    "iterations": 2,
    "seeds": 2,
    "prompts": 12,
    "bootstrap.tasks": 6,
    "inference_tasks": 6,
    "budget_tasks": 4,
}
SEARCHED = "held-out tasks: all rules followed in a proper answer, search at inference"


@pytest.fixture
def trained(monkeypatch) -> dict[str, list]:
    """What each training was given, by its name."""
    return script(monkeypatch)


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
    for seed in ("seed5000", "seed5001"):
        amounts = {name.removeprefix(f"{seed}-"): len(rows) for name, rows in trained.items()}
        assert amounts["independent"] == amounts["refined"], "at equal count"
        assert amounts["no-tree-search"] <= amounts["iter1-actor"]
        assert amounts["no-iterating"] > amounts["iter1-actor"]
        assert amounts["self"] == amounts["iter1-actor"]
        of_seed = results.metrics["seeds"][seed]
        for shares in of_seed["by_budget"].values():
            assert shares == sorted(shares), "more generations mend no fewer"
        assert of_seed["independent_pairs"] >= amounts["independent"]
        assert 0 < of_seed["independent_pair_similarity"] < 1
    scores = results.metrics["scores"]
    assert scores[MENDED] == scores[CLAIMED], "the judge is the checks"
    assert set(scores[SEARCHED]) == {"greedy", "tree search", "best of as many"}
    assert scores[SEARCHED]["tree search"]["mean"] >= scores[SEARCHED]["greedy"]["mean"]


def test_a_model_that_judges_itself_is_held_against_the_checks(trained, tmp_path) -> None:
    arms = ("independent", "self-rewarding", "meta-rewarding")
    results = outcome(tmp_path / "run", judge="self", votes=3, arms=arms, seeds=1)
    compared = {(c.baseline_name, c.method_name) for c in results.comparisons}
    assert {("meta-rewarding-1", "spar-1"), ("meta-rewarding-2", "spar-2")} <= compared
    assert trained["seed5000-meta-rewarding1-judge"], "disputed judgements, or nothing was tested"
    of_seed = results.metrics["seeds"]["seed5000"]
    bias = of_seed["iterations"][0]["judge"]
    assert bias["judged_passing"] != bias["checks_passing"]
    assert results.metrics["scores"][MENDED] != results.metrics["scores"][CLAIMED]
    titles = {figure.title for figure in load_figures(tmp_path / "run" / "figures.json")}
    assert {"The model as its own judge, beside the checks", "Failed answers mended by one repair"} <= titles


def test_a_judge_that_passes_everything_ends_the_run_in_one_line(trained, tmp_path, monkeypatch) -> None:
    def always(self, prompt, seed, sample) -> Response:
        return Response(f"{text(31 * (seed or 0) + 7 * sample)} {JUDGEMENT}: Yes")

    monkeypatch.setattr(Improvable, "say", always)
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
    ifeval = {"test.ifeval": file, "test.ifeval_arms": ("base", "spar-2")}
    results = outcome(tmp_path / "run", **ifeval, seeds=1, budget_tasks=0)
    found = results.metrics["accuracy"]["ifeval"]
    assert set(found) == {"base", "spar-2"}
    for name in found:
        four = [found[name][f"{unit}_{way}"] for unit in ("prompt", "inst") for way in ("strict", "loose")]
        assert found[name]["average"] == pytest.approx(sum(four) / 4)
    [table] = [one for one in load_figures(tmp_path / "run" / "figures.json") if "as published" in one.title]
    assert [row[-1] for row in table.rows] == [f"{100 * found[name]['average']:.1f} %" for name in found]
    [compared] = [c for c in results.comparisons if c.metric == "IFEval: mean of the four accuracies"]
    assert compared.difference == pytest.approx(found["spar-2"]["average"] - found["base"]["average"])
    assert {SEARCHED, "IFEval: all rules followed, search at inference"} <= set(results.metrics["scores"])


def test_the_script_plays_all_roles() -> None:
    model, task = Improvable(), Task("a", user("Say it."))
    judged = judge_chat(task, "an answer")
    repair = (*judged, Message("assistant", "No."), Message("user", "Repair it."))
    answers = [said.text for [said] in model.generate([task.prompt, judged, repair], seeds=[1, 1, 1])]
    assert answers[0].islower()
    assert answers[1].endswith("Yes")
    assert START in answers[2]
