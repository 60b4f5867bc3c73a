"""Self-Rewarding, Meta-Rewarding, SELF, Humpback and GRPO: what each trains on, compares and leaves.

A scripted model stands for weights (see ``scripted``); one run of each on real ones is slow.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import biddable
from biddable.errors import FileError, InputError
from biddable.experiments.repairs import MENDED
from biddable.experiments.stages import Answers
from biddable.judges.lm_judge import judge_chat, verdict_of_votes
from biddable.methods.base import configure
from biddable.methods.improve.grpo import Grpo
from biddable.methods.improve.humpback import BACKTRANSLATE, Humpback, backward_lessons, passing_chats
from biddable.methods.improve.meta_rewarding import MetaRewarding, judgement_pairs
from biddable.methods.improve.self_evolution import SelfEvolution, evolved
from biddable.methods.improve.self_rewarding import SelfRewarding
from biddable.runs.tables import read_parquet
from biddable.tasks.data import read_conversations
from biddable.types import Check, Message, Preference, Task, Verdict, user
from tests.methods.improve.scripted import COMPOSED, script

METHODS = (Grpo, Humpback, MetaRewarding, SelfEvolution, SelfRewarding)
NAMES = {
    Grpo: "grpo",
    Humpback: "humpback",
    MetaRewarding: "meta-rewarding",
    SelfEvolution: "self-evolution",
    SelfRewarding: "self-rewarding",
}
TASKS = [Task(f"t{i}", user(f"Do thing {i}. No commas."), (Check("punctuation:no_comma"),)) for i in range(3)]
PASS, FAIL = Verdict(1.0, True), Verdict(0.0, False)


@pytest.fixture
def given(monkeypatch) -> dict[str, list]:
    """What each training was given, by its stage."""
    return script(monkeypatch)


def arms(results) -> set[tuple[str, str]]:
    return {(c.baseline_name, c.method_name) for c in results.comparisons}


@pytest.mark.parametrize("method", METHODS, ids=NAMES.get)
def test_every_preset_is_sound_and_every_method_says_what_it_takes_and_leaves(method) -> None:
    for preset in ("default", *method.presets):
        configure(method, preset)
    assert {"smoke", "full", "gpu"} <= {*method.presets}
    assert "--model" in method.about.takes
    assert "artifacts/model" in method.about.leaves


def test_self_rewarding_answers_with_the_model_of_the_iteration(given, tmp_path) -> None:
    results = biddable.run("self-rewarding", out=tmp_path / "run", prompts=12, **COMPOSED)
    assert {("base", "iteration-2"), ("iteration-1", "iteration-2")} <= arms(results)
    assert results.metrics["pairs"] == [len(given["seed0-dpo1"]), len(given["seed0-dpo2"])]
    asked = [{pair.prompt for pair in given[f"seed0-dpo{i}"]} for i in (1, 2)]
    assert asked[0].isdisjoint(asked[1]), "new tasks in each iteration"
    pairs = read_parquet(tmp_path / "run" / "artifacts" / "data" / "pairs.parquet", Preference)
    assert len(pairs) == sum(results.metrics["pairs"])


@pytest.mark.parametrize(("prompts", "copies"), [(3, 1), (5, 1), (4, 5)])
def test_of_a_few_own_tasks_two_prompts_are_held_out_and_compared(given, tmp_path, prompts, copies) -> None:
    rows = [
        {"prompt": f"Say {n}.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
        for n in range(prompts)
        for _ in range(copies)
    ]
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = biddable.run("self-rewarding", out=tmp_path / "run", prompts=12, tasks=file)
    assert results.comparisons[0].n == 2 * copies
    if copies > 1:
        assert f"2 clusters of {2 * copies} cases" in results.comparisons[0].interval_kind


@pytest.mark.parametrize(("meta", "upheld"), [("majority", "Yes"), ("checks", "No")])
def test_the_meta_judge_settles_disputed_judgements(meta, upheld) -> None:
    votes = ["a\nFinal Judgement: No", "b\nFinal Judgement: Yes", "c\nFinal Judgement: Yes"]
    disputed, agreed = verdict_of_votes(votes), verdict_of_votes(votes[1:])
    answers = Answers(TASKS[:2], [["No, never."], ["No, never."]], [[disputed], [agreed]])
    pairs = judgement_pairs(answers, meta)
    assert len(pairs) == 1, "nothing is learned from what all votes agree on"
    assert pairs[0].prompt == judge_chat(TASKS[0], "No, never.")
    assert pairs[0].chosen.endswith(upheld)
    assert not pairs[0].rejected.endswith(upheld)


def test_meta_rewarding_trains_a_judge_and_stands_beside_self_rewarding(given, tmp_path) -> None:
    settings = {"prompts": 12, "teaching.tasks": 6, "votes": 3, "sampling.max_tokens": 32}
    results = biddable.run("meta-rewarding", out=tmp_path / "run", **settings, **COMPOSED)
    assert {("base", "meta-rewarding-2"), ("self-rewarding-2", "meta-rewarding-2")} <= arms(results)
    assert ("first judge", "last judge") in arms(results)
    assert [chat for chat in given["judge0"] if len(chat) != 2] == [], "the first judge learns to judge alone"
    assert given["seed0-dpo1"] == given["seed0-self1"], "the same answers, the same pairs"
    assert given["seed0-dpo1-judge"]
    left = tmp_path / "run" / "artifacts"
    assert (left / "model" / "weights").read_text() == "seed0-dpo2"
    assert (left / "judge" / "weights").read_text() == "seed0-dpo2-judge"
    judgements = read_parquet(left / "data" / "judgements.parquet", Preference)
    assert len(judgements) == sum(results.metrics["judgements"])


def test_what_passed_at_once_is_learned_as_it_is_and_the_rest_refined() -> None:
    answers = Answers(TASKS, [["a", "b"], ["c", "d"], ["e", "f"]], [[FAIL, PASS], [PASS, FAIL], [FAIL, FAIL]])
    pairs = [
        Preference(TASKS[1].prompt, "refined", "d", {"task": "t1"}),
        Preference(TASKS[2].prompt, "refined", "e", {"task": "t2"}),
    ]
    learned = {chat[0].content: chat[-1].content for chat in evolved(answers, pairs)}
    assert learned == {
        "Do thing 0. No commas.": "b",
        "Do thing 1. No commas.": "c",
        "Do thing 2. No commas.": "refined",
    }


def test_self_starts_anew_on_all_that_stood(given, tmp_path) -> None:
    settings = {"prompts": 12, "teaching.tasks": 6, "samples": 1, "refined_tasks": 4}
    results = biddable.run("self-evolution", out=tmp_path / "run", **settings, **COMPOSED)
    assert {("base", "self-2"), ("self-1", "self-2"), ("untrained refiner", "taught refiner")} <= arms(
        results
    )
    first, second = given["seed0-self-1"], given["seed0-self-2"]
    assert second[: len(first)] == first
    assert len(second) > len(first)
    of_rounds = results.metrics["iterations"]["seed0"]
    assert [row["conversations"] for row in of_rounds] == [len(first), len(second)]
    assert of_rounds[0]["refined"] > 0
    assert MENDED in results.metrics["scores"]
    rows = read_conversations(tmp_path / "run" / "artifacts" / "data" / "conversations.jsonl")
    assert [(row.chat, row.trained) for row in rows] == [(chat, (False, True)) for chat in second]


@pytest.mark.parametrize("refined_tasks", [0, 1])
def test_self_compares_no_refiners_on_a_single_failure(given, tmp_path, refined_tasks) -> None:
    settings = {"prompts": 12, "teaching.tasks": 6, "iterations": 1, "refined_tasks": refined_tasks}
    results = biddable.run("self-evolution", out=tmp_path / "run", **settings, **COMPOSED)
    assert ("base", "self-1") in arms(results)
    assert ("untrained refiner", "taught refiner") not in arms(results)


def test_humpback_learns_backwards_from_what_passed() -> None:
    chats = passing_chats(
        Answers(TASKS, [["a", "b"], ["c", "d"], ["e", "f"]], [[FAIL, PASS], [PASS, PASS], [FAIL] * 2])
    )
    assert [chat[-1].content for chat in chats] == ["b", "c"]
    assert backward_lessons(chats)[0] == (
        *user(BACKTRANSLATE.format(text="b")),
        Message("assistant", "Do thing 0. No commas."),
    )


@pytest.mark.parametrize("own", [False, True])
def test_humpback_stands_beside_its_seed_and_what_was_not_curated(given, tmp_path, own) -> None:
    texts = [f"A text about boat {number}." for number in range(8)]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, texts[0], "x" * 2000]))
    settings = {"prompts": 8, **({"texts": file} if own else {})}
    results = biddable.run("humpback", out=tmp_path / "run", **settings, **COMPOSED)
    assert {("base", "humpback"), ("seed-only", "humpback"), ("uncurated", "humpback")} <= arms(results)
    seed, trained = given["seed0-seed-only"], given["seed0-humpback2"]
    assert trained[: len(seed)] == seed
    assert len(trained) == len(given["seed0-uncurated"])
    if own:
        assert results.metrics["data"]["seed0"] == {"seed": len(seed), "texts": 8, "curated": 4}
        assert {chat[-1].content for chat in trained[len(seed) :]} <= {*texts}
    assert trained[-1][0].content.endswith("letters about boats.")
    assert len(read_conversations(tmp_path / "run" / "artifacts" / "data" / "conversations.jsonl")) == len(
        trained
    )


def test_grpo_stands_beside_spar_at_its_budget(given, tmp_path) -> None:
    results = biddable.run("grpo", out=tmp_path / "run", beside_spar=True, **COMPOSED)
    assert {("base", "grpo"), ("spar", "grpo"), ("base", "spar")} <= arms(results)
    spent = results.metrics["tokens"]
    assert spent["seed0-grpo"]["prompts"] == spent["seed0-spar"]["prompts"] > 8
    assert spent["seed0-grpo"].keys() == spent["seed0-spar"].keys() == {"generated", "trained", "prompts"}
    assert (tmp_path / "run" / "artifacts" / "model" / "weights").read_text() == "seed0-grpo"


def test_one_first_refiner_serves_spar_beside_grpo_in_all_seeds(given, tmp_path) -> None:
    results = biddable.run("grpo", out=tmp_path / "run", beside_spar=True, seeds=2, **COMPOSED)
    assert next(c.seeds for c in results.comparisons if c.method_name == "grpo") == (0, 1)
    assert {"seed0-spar", "seed1-spar", "seed0-grpo", "seed1-grpo"} == results.metrics["tokens"].keys()


def test_epochs_and_updates_of_grpo_cost_tokens_of_the_same_budget(given, tmp_path) -> None:
    prompts = {}
    for epochs, updates in ((1, 1), (3, 1), (1, 3)):
        settings = {"grpo.epochs": epochs, "grpo.updates": updates, "beside_spar": True, **COMPOSED}
        results = biddable.run("grpo", out=tmp_path / f"{epochs}-{updates}", **settings)
        prompts[epochs, updates] = results.metrics["tokens"]["seed0-grpo"]["prompts"]
    assert prompts[3, 1] == pytest.approx(prompts[1, 1] / 3, abs=1)
    assert prompts[1, 3] < 0.6 * prompts[1, 1], "a group drawn once and trained on three times: 4 / 2 as much"


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ('{"prompt": "Write."}\n' * 2, InputError, "expected rows with a column text"),
        ('{"text": "One."}\n', InputError, "expected at least two different texts"),
        ('{"text": "One."}\n{', FileError, "texts.jsonl:2: not JSON"),
        ("", FileError, "texts.jsonl: "),
    ],
)
def test_texts_that_are_none_are_refused_in_one_line(content, error, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts.jsonl").write_text(content)
    with pytest.raises(error) as caught:
        biddable.run("humpback", out="run", texts=Path("texts.jsonl"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("method", METHODS, ids=NAMES.get)
def test_a_smoke_run_on_real_weights_leaves_a_model(method, smollm2, tmp_path) -> None:
    results = biddable.run(NAMES[method], preset="smoke", out=tmp_path / "run")
    assert results.comparisons
    assert (tmp_path / "run" / "artifacts" / "model" / "model.safetensors").is_file()
