"""Chains, from end to end on a model of two layers that learns what it is shown."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import BiddableError, InputError, RunError
from biddable.methods.chain import steps
from biddable.methods.chain.file import Chain, read_chain, references, resolved
from biddable.methods.chain.run import plan_chain, run_chain
from biddable.methods.chain.select import SelectSettings, candidates, select
from biddable.methods.chain.verdict import Consumed, beyond_budget, unlike_amounts
from biddable.models import load
from biddable.models.base import Sampling
from biddable.models.load import load_model
from biddable.runs.results import Results, read_results
from biddable.tasks.compose import Composer
from biddable.tasks.data import write_tasks
from biddable.types import user
from tests.doubles import Fickle
from tests.train.tiny import local

ASKED, SHOWN = range(12), range(10)
SUITE = """
data = "asked.jsonl"
template = "{{ q }}"
columns = { answer = "a" }
metric = "exact_match"
max_tokens = 2
"""
CHAIN = """
out = "run"

[steps.choose]
select = "rows.jsonl"
rows = 10

[steps.sft]
train = "sft"
model = "tiny"
data = "{choose}"
held-out = 0
lr = 2e-2
epochs = 12
batch_size = 4
precision = "fp32"

[steps.test]
eval = ["tiny", "{sft}"]
suite = "asked.toml"

[arms.random]
[arms.selected.steps.choose]
judge = "reference:exact_match"

[compare]
baseline = "random"
method = "selected"
predicted = "higher"

[budget]
equal = "rows"
"""
QUICK = CHAIN.replace("epochs = 12", "epochs = 1")
PLACES = ["choose", "sft", "test", "selected/choose", "selected/sft", "selected/test"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, rows with wrong responses and a right one, and a suite that asks for more."""
    monkeypatch.chdir(tmp_path)
    _prepare()
    return tmp_path


def _prepare() -> None:
    local().save(Path("tiny"))
    rows = [
        {
            "prompt": f"w{n}",
            "responses": [f"w{n + k}" for k in (40, 20, 41, 42)],
            "references": [f"w{n + 20}"],
        }
        for n in SHOWN
    ]
    _write("rows.jsonl", rows)
    _write("asked.jsonl", [{"q": f"w{n}", "a": f"w{n + 20}"} for n in ASKED])
    Path("asked.toml").write_text(SUITE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """The chain, computed to its end with one epoch, and its results."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _prepare()
        return folder, ran(written(QUICK))


@pytest.fixture
def again(here: Path, finished: tuple[Path, Results]) -> str:
    """The file of a chain that was finished here."""
    shutil.copytree(finished[0], here, symlinks=True, dirs_exist_ok=True)
    return "chain.toml"


def _write(name: str, rows: list[Any]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def written(text: str = CHAIN, *changes: tuple[str, str], name: str = "chain.toml") -> str:
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    Path(name).write_text(text)
    return name


def ran(path: str, **how: Any) -> Results:
    results = run_chain(path, **how)
    assert results is not None
    return results


def timeless(results: Results) -> dict[str, Any]:
    return {name: value for name, value in results.model_dump().items() if name != "timing"}


# From end to end


def test_it_ends_in_a_model_and_a_verdict(here: Path) -> None:
    told: list[tuple[str, str]] = []
    results = ran(written(), on_step=lambda node, event: told.append((node.place, event)))
    assert told == [(place, event) for place in PLACES for event in ("started", "finished")]
    claim, *questions = results.comparisons
    assert (claim.baseline_name, claim.method_name, claim.role) == ("random", "selected", "claim")
    assert claim.verdict == "held"
    assert claim.method >= 10 / 12 > claim.baseline
    assert (claim.n, claim.seeds) == (12, (0,))
    beside = [(each.baseline_name, each.method_name, each.role, each.verdict) for each in questions]
    assert beside == [("tiny", "selected", "question", None), ("tiny", "random", "question", None)]
    assert results.notes == []
    counts = {"rows": 12 * 10, "tokens": 12 * 10 * 8, "steps": 36}
    assert results.metrics["consumed"] == {"random": counts, "selected": counts}
    assert results.metrics["model"] == "selected/sft"
    answer = load_model("run").generate([user("w3")], sampling=Sampling(max_tokens=4))[0][0]
    assert answer.text.split()[0] == "w23"
    assert {path.name for path in Path("run/test/cells").iterdir() if path.name.startswith("asked-tiny")}
    assert len([*Path("run/test/cells").iterdir()]) == 3  # the model that both arms share is asked once


def test_again_it_computes_nothing_and_ends_the_same(
    again: str, finished: tuple[Path, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [(step.node.place, step.state) for step in plan_chain(again).steps] == [
        (place, "finished") for place in PLACES
    ]
    monkeypatch.setattr(load, "load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    assert timeless(ran(again)) == timeless(finished[1])


def test_over_seeds(here: Path) -> None:
    path = written(
        CHAIN,
        ('out = "run"', 'out = "run"\nseeds = [3, 5]'),
        ("epochs = 12", "epochs = 4"),
        ("rows = 10", "rows = 8"),
    )
    results = ran(path)
    claim = results.comparisons[0]
    assert claim.seeds == (3, 5)
    assert claim.interval_kind in ("t over 2 seeds and 12 cases", "t over 12 cases")
    assert results.metrics["consumed"]["random"]["rows"] == 2 * 8 * 4
    assert results.metrics["model"] == "seed3/selected/sft"
    assert {"seed3", "seed5", "test"} < {each.name for each in Path("run").iterdir()}
    assert results.metrics["scores"][claim.metric]["tiny"].get("seeds") is None
    assert [*candidates("run/seed3/choose")[0]] != [*candidates("run/seed5/choose")[0]]


def test_without_arms_models_are_compared(here: Path) -> None:
    text = CHAIN.partition("[arms.random]")[0]
    results = ran(written(text + '[compare]\nmethod = "sft"\npredicted = "higher"\n'))
    [claim] = results.comparisons
    assert (claim.baseline_name, claim.method_name, claim.role) == ("tiny", "sft", "claim")


def test_a_prediction_of_which_nothing_came_is_told(here: Path) -> None:
    text = QUICK.replace('judge = "reference:exact_match"', "")
    results = ran(written(text))
    assert not any(each.role == "claim" for each in results.comparisons)
    assert results.notes[0].startswith("compare.predicted: nothing is claimed")


def test_arms_that_are_asked_otherwise_are_told(here: Path) -> None:
    results = ran(written(QUICK + "[arms.selected.steps.test]\nmax-tokens = 3\n"))
    assert any("a limit of tokens" in note for note in results.notes)


def test_an_unequal_budget_claims_nothing(here: Path) -> None:
    results = ran(
        written(
            CHAIN, ("[arms.random]", "[arms.random.steps.choose]\nrows = 9"), ("epochs = 12", "epochs = 1")
        )
    )
    assert [each.role for each in results.comparisons] == ["question"] * 3
    assert results.notes[0] == (
        "budget.equal is rows, but arms differ by more than 2 %: random 9, selected 10."
    )
    assert "nothing is claimed" in results.notes[1]


@pytest.mark.parametrize(
    ("budget", "arms", "told"),
    [
        ({"equal": "steps"}, {"a": Consumed(1, 1, 100), "b": Consumed(9, 9, 102)}, ""),
        ({"equal": "steps"}, {"a": Consumed(1, 1, 100), "b": Consumed(9, 9, 103)}, "a 100, b 103"),
        ({"tokens": 5}, {"a": Consumed(1, 5, 1), "b": Consumed(9, 6, 1)}, "consumed were: b 6."),
        ({"rows": 5}, {"a": Consumed(None, 5, 1), "b": Consumed(5, 6, 1)}, "rows of a are not known"),
        ({}, {"a": Consumed(1, 1, 1), "b": Consumed(1, 9, 9)}, "unlike amounts (tokens from 1 to 9, steps"),
        ({}, {"a": Consumed(1, None, 100), "b": Consumed(1, 9, 101)}, ""),
    ],
)
def test_budgets(here: Path, budget: dict[str, Any], arms: dict[str, Consumed], told: str) -> None:
    table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in budget.items())
    chain = read_chain(written(CHAIN.partition("[budget]")[0] + f"[budget]\n{table}"))
    said = " ".join([*beyond_budget(chain, arms), *unlike_amounts(chain, arms)])
    assert told in said if told else said == ""


def test_a_dry_run_and_a_part(here: Path) -> None:
    path = written()
    assert {step.state for step in plan_chain(path).steps} == {"to do"}
    assert not Path("run").exists()
    assert run_chain(path, until="sft") is None
    steps = plan_chain(path, until="sft").steps
    assert {step.node.place for step in steps if step.runs} == {*PLACES} - {"test", "selected/test"}
    assert {step.node.place for step in steps if step.state == "finished"} == {*PLACES} - {
        "test",
        "selected/test",
    }
    assert not Path("run/results.json").exists()


# Going on


def killed_at(place: str) -> Any:
    def on_step(node: Any, event: str) -> None:
        if (node.place, event) == (place, "started"):
            raise KeyboardInterrupt

    return on_step


@pytest.mark.parametrize("place", ["sft", "selected/choose", "selected/test"])
def test_stopped_before_a_step_it_goes_on(place: str, here: Path, finished: tuple[Path, Results]) -> None:
    path = written(QUICK)
    with pytest.raises(KeyboardInterrupt):
        run_chain(path, on_step=killed_at(place))
    assert timeless(ran(path)) == timeless(finished[1])


@pytest.mark.slow
def test_killed_for_good_it_goes_on_and_ends_the_same(here: Path) -> None:
    path = written(CHAIN, ("epochs = 12", "epochs = 4\ncheckpoint_every = 1"))
    whole = ran(path, out="whole")
    command = [sys.executable, "-m", "biddable", "chain", path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for moment in ("sft", "selected/test"):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert process.stderr
        for line in process.stderr:
            if f": {moment} (" in line:
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    again = read_results("run")
    assert again.comparisons == whole.comparisons
    assert again.metrics == whole.metrics
    assert Path("run/report.html").is_file()
    weights = "artifacts/model/model.safetensors"
    assert Path("run", weights).read_bytes() == Path("whole", weights).read_bytes()


def test_a_changed_step_is_named_with_what_to_remove(again: str) -> None:
    written(QUICK, ("epochs = 1", "epochs = 2"))
    with pytest.raises(RunError, match=r"steps\.sft: epochs was 1, is now 2; remove run/sft to compute"):
        plan_chain(again)
    written(QUICK, ("rows = 10", "rows = 9"))
    message = r"steps\.choose: rows was 10, is now 9; remove run/choose and run/sft to compute it anew"
    with pytest.raises(RunError, match=message):
        run_chain(again)
    for folder in ("choose", "selected/choose"):
        shutil.rmtree(Path("run", folder))
    with pytest.raises(RunError, match="remove run/sft to compute"):
        run_chain(again)
    for folder in ("sft", "selected/sft"):
        shutil.rmtree(Path("run", folder))
    assert ran(again).metrics["consumed"]["random"]["rows"] == 9
    written(QUICK, ("epochs = 1", "epochs = 1\nwarmup = 0.1"), ("rows = 10", "rows = 9"))
    plan_chain(again)  # a default that is written down is no change


def test_a_file_that_changed_is_no_step_of_before(again: str) -> None:
    lines = Path("rows.jsonl").read_text().splitlines(keepends=True)
    Path("rows.jsonl").write_text("".join(reversed(lines)))
    message = r"chain\.toml: steps\.choose has changed since .*data was .*remove run/choose and run/sft to"
    with pytest.raises(RunError, match=message):
        run_chain(again)


def test_an_evaluation_may_change(again: str) -> None:
    written(QUICK, ('suite = "asked.toml"', 'suite = "asked.toml"\nlimit = 6'))
    assert ran(again).comparisons[0].n == 6


# What stands in the file


def test_equal_steps_are_computed_once(here: Path) -> None:
    text = CHAIN.partition("[compare]")[0] + '[arms.again.steps.choose]\njudge = "reference:exact_match"\n'
    chain = read_chain(written(text))
    assert list(chain.nodes) == PLACES
    assert chain.chains["again", 0] == chain.chains["selected", 0]
    with_seeds = read_chain(written("seeds = [1, 2]\n" + text.replace("rows = 10", "rows = 10\nseed = 7")))
    assert [place for place in with_seeds.nodes if place.endswith("choose")] == ["choose", "selected/choose"]
    assert [place for place in with_seeds.nodes if place.endswith("sft")] == [
        "seed1/sft", "seed1/selected/sft", "seed2/sft", "seed2/selected/sft",
    ]  # fmt: skip


def test_steps_are_ordered_by_what_they_need(here: Path) -> None:
    chain = read_chain(
        written('[steps.b]\nselect = "{a}"\nrows = 1\n[steps.a]\ngenerate = "tiny"\nprompts = "rows.jsonl"\n')
    )
    assert list(chain.nodes) == ["a", "b"]
    assert chain.out == "runs/chain"
    assert chain.nodes["b"].inputs == {"a": "a"}


def test_the_chain_of_the_manual_can_be_computed(here: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "chains.md").read_text("utf-8")
    [text] = re.findall(r'```toml title="select.toml"\n(.*?)```', page, re.DOTALL)
    write_tasks("tasks.jsonl", Composer("train", brief=True).sample(4))
    plan = plan_chain(written(text))
    assert [step.node.place for step in plan.steps][-3:] == PLACES[-3:]
    assert plan.chain.settings.compare.predicted == "higher"


def test_references() -> None:
    value = {"a": ["{x}/artifacts", "{{x}}"], "b": {"c": "lm:{y}?votes=3"}, "d": "{ x } {}", "n": 3}
    assert references(value) == ["x", "y"]
    assert resolved(value, {"x": "X", "y": "Y"}) == {
        "a": ["X/artifacts", "{x}"], "b": {"c": "lm:Y?votes=3"}, "d": "{ x } {}", "n": 3,
    }  # fmt: skip


STEP = '[steps.a]\ngenerate = "tiny"\nprompts = "rows.jsonl"\n'
TRAIN = '[steps.a]\ntrain = "sft"\nmodel = "tiny"\ndata = "{b}"\n' + STEP.replace(".a]", ".b]")
EVAL = TRAIN + '[steps.test]\neval = ["tiny", "{a}"]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "steps is {}, expected at least one step"),
        ("steps = 3", "steps is 3, expected tables"),
        ("[steps.a\n", "chain.toml:1: not TOML"),
        ('[steps.a]\ntrian = "sft"', r"steps.a is ['trian'], expected what the step is: one of run, train"),
        ('[steps.a]\ntrain = 3', "steps.a.train is 3, expected a text"),
        ('[steps.a]\ntrain = "sff"', "steps.a.train is 'sff', expected sft?"),
        (TRAIN + "[steps.c]\nrun = 'spat'", "steps.c.run is 'spat', expected one of"),
        (TRAIN + "[steps.c]\nrun = 'spar'\niteration = 2", "steps.c.iteration is 2, expected iterations"),
        (TRAIN + "[steps.c]\nrun = 'spar'\npreset = 'smok'", "steps.c.preset is 'smok', expected one of"),
        (TRAIN.replace("model", "modle"), "steps.a.modle is 'tiny', expected model?"),
        (TRAIN.replace('model = "tiny"\n', ""), "steps.a.model is None, expected a value"),
        (TRAIN.replace('data = "{b}"\n', ""), "steps.a.data is None, expected a file"),
        (TRAIN.replace("data", "tasks"), "steps.a.tasks is '{b}', expected data instead"),
        (TRAIN.replace('"{b}"', '"no.jsonl"'), "steps.a: no.jsonl: no such file"),
        (TRAIN.replace('"{b}"', '"{c}"'), "steps.a is '{c}', expected a step: one of a, b"),
        (TRAIN.replace('"{b}"', '"{b}"\nlora.rank = -1'), "steps.a.lora.rank is -1, expected an integer"),
        (TRAIN.replace('"{b}"', '"{b}"\nlora.rnk = 1'), "steps.a.lora.rnk is 1, expected"),
        (TRAIN.replace('"{b}"', '"{b}"\nturns = "all"'), "steps.a.turns is 'all', expected nothing"),
        (TRAIN.replace('generate = "tiny"', 'generate = "{a}"'), "steps.a is 'a -> b -> a', expected steps"),
        (STEP + "max_tokens = 0", "steps.a.max_tokens is 0, expected an integer of at least 1"),
        (STEP + "max_tokens = 1\nmax-tokens = 2", "steps.a.max-tokens is 2, expected one value"),
        (STEP + 'stop = ["{end}"]', "steps.a is '{end}', expected a step: one of a ({{end}} is the text"),
        (STEP + "retries = 2", "steps.a.retries is 2, expected nothing: tiny is not served"),
        (STEP.replace("tiny", "gone/far/away"), "steps.a.generate is 'gone/far/away', expected smollm2"),
        ('[steps.a]\nselect = "rows.jsonl"\nrows = 11', "steps.a.rows is 11, expected at most 10"),
        ('[steps.a]\nselect = "asked.jsonl"\nrows = 2', "asked.jsonl:1"),
        ('[steps.a]\nselect = "rows.jsonl"\nrows = 2\njudge = "no"', "steps.a.judge is 'no', expected rules"),
        ('[steps.a]\neval = []', "steps.a.eval is [], expected at least one model"),
        ('[steps.a]\neval = ["tiny", "tiny"]', "expected at least one model, each once"),
        ('[steps.a]\neval = "tiny"\nsuite = "compose"', "steps.a.suite is 'compose', expected composed?"),
        ('[steps.a]\neval = "tiny"\nbaseline = "x"', "steps.a.baseline is 'x', expected one of the models"),
        (STEP.replace(".a]", ".stages]"), "steps.stages is 'stages', expected another name"),
        (STEP.replace(".a]", ".seed0]"), "steps.seed0 is 'seed0', expected another name"),
        (STEP.replace(".a]", ".A]"), "steps.A is 'A', expected a name of up to 60"),
        (STEP + "[arms.a]", "arms.a is 'a', expected a name that no step has"),
        (STEP + "[arms.x]\nstep = 3", "arms.x.step is 3, expected steps alone"),
        (STEP + "[arms.x.steps.a]\nn = 0", "arms.x.steps.a.n is 0, expected an integer of at least 1"),
        (STEP + "[arms.x]\n[compare]\nbaseline = 'y'", "compare.baseline is 'y', expected an arm"),
        (STEP + "[arms.x]\n[compare]\nmethod = 'x'", "compare.method is 'x', expected a second arm"),
        (EVAL + "[compare]\nbaseline = 'tny'", "baseline is 'tny', expected a model of an eval step: tiny?"),
        (EVAL + "[compare]\nmethod = '{aa}'", "method is '{aa}', expected a model of an eval step: one of"),
        (EVAL + "[compare]\nmethod = 'b'", "compare.method is 'b', expected a model of an eval step: one of"),
        (EVAL + "[compare]\nbaseline = 'a'\nmethod = '{a}'", "method is '{a}', expected another than the"),
        (STEP + "[compare]\nmethod = 'a'", "compare.method is 'a', expected arms, or an eval step"),
        (STEP + '[steps.d]\ndata = "{a}"\nagainst = ["no"]', "steps.d.against is 'no', expected"),
        (STEP + "[compare]\npredicted = 'higher'", "expected compare.method beside it"),
        (STEP + "[compare]\npredicted = 'more'", "compare.predicted is 'more', expected"),
        (STEP + "[budget]\nequal = 'row'", "budget.equal is 'row', expected"),
        (STEP + "[arms.x]\n[budget]\nequal = 'rows'", "budget.equal is 'rows', expected two arms or more"),
        (EVAL + "[compare]\nmargin = 0.1", "compare.margin is 0.1, expected compare.predicted = \"equal\""),
        (EVAL + "[compare]\nmethod = 'a'", "compare.method is 'a', expected compare.predicted beside it"),
        ("seeds = []\n" + STEP, "seeds is [], expected each seed once"),
        ("seeds = [1, 1]\n" + STEP, "seeds is [1, 1], expected each seed once"),
        ("seed = 1\nseeds = [2]\n" + STEP, "no seed beside them"),
        ("seed = -1\n" + STEP, "seed is -1, expected an integer of at least 0"),
        ("sede = 1\n" + STEP, "sede is 1, expected seed"),
        ('out = " "\n' + STEP, "out is ' ', expected the name of a folder"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_before_anything_is_written(text: str, told: str, here: Path) -> None:
    path = written(text)
    before = sorted(here.rglob("*"))
    with pytest.raises(BiddableError) as error:
        run_chain(path)
    assert told in str(error.value)
    assert str(error.value).startswith("chain.toml")
    assert error.value.exit_code == 2
    assert sorted(here.rglob("*")) == before


# Steps


def test_selecting_takes_the_best_response_of_each_row(here: Path) -> None:
    results = select("rows.jsonl", SelectSettings(rows=5, judge="reference:exact_match"), out="best")
    chosen = [each.learned.chat for each in candidates("best")[0]]
    assert len(chosen) == 5
    assert all(int(chat[1].content[1:]) == int(chat[0].content[1:]) + 20 for chat in chosen)
    assert results.metrics["passed"] == {"all": 0.25, "chosen": 1.0}
    anyone = select("rows.jsonl", SelectSettings(rows=10), out="any")
    texts = [each.text for each in candidates("any")[0]]
    assert len(texts) == 10
    assert 0 < sum(int(text[1:]) >= 40 for text in texts) < 10
    assert anyone.metrics["rows"] == {"came": 10, "kept": 10, "responses": 40, "not_answered": 0}
    other = select("rows.jsonl", SelectSettings(rows=10, seed=1), out="other")
    assert [each.text for each in candidates("other")[0]] != texts
    assert other.comparisons == []


def test_blank_answers_are_not_selected_and_counted(here: Path) -> None:
    _write(
        "gaps.jsonl", [{"prompt": "w1", "responses": ["", " "]}, {"prompt": "w2", "responses": ["", "w3"]}]
    )
    results = select("gaps.jsonl", SelectSettings(rows=1), out="gaps")
    assert [each.text for each in candidates("gaps")[0]] == ["w3"]
    assert results.metrics["rows"]["not_answered"] == 3
    assert "3 answers are blank" in results.notes[0]
    with pytest.raises(InputError, match="rows is 2, expected at most 1"):
        select("gaps.jsonl", SelectSettings(rows=2), out="more")
    assert not Path("more").exists()


def test_conversations_are_selected_by_their_last_answer(here: Path) -> None:
    no_comma = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    answers = ("yes", "no, no, no", "no")
    _write("chats.jsonl", [{"prompt": f"Say {each}.", "response": each, **no_comma} for each in answers])
    select("chats.jsonl", SelectSettings(rows=2, judge="rules"), out="best")
    assert [each.learned.chat[-1].content for each in candidates("best")[0]] == ["yes", "no"]
    _write("alpaca.jsonl", [{"instruction": f"Say {each}.", "output": each} for each in answers])
    with pytest.raises(InputError, match="expected at least one check"):
        select("alpaca.jsonl", SelectSettings(rows=2, judge="rules"), out="none")
    select("alpaca.jsonl", SelectSettings(rows=3), out="all")
    assert [each.learned.chat[-1].content for each in candidates("all")[0]] == [*answers]


def test_prompts_without_an_answer_are_left_out_of_the_data(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "load_model", Fickle().load)
    _write("prompts.jsonl", [{"prompt": "one"}, {"prompt": "refuse"}, {"prompt": "two"}])
    written('[steps.a]\ngenerate = "tiny"\nprompts = "prompts.jsonl"\n')
    run_chain("chain.toml")
    results = read_results("runs/chain/a")
    assert results.metrics == {"prompts": 3, "answered": 2, "responses": 2}
    assert any("1 prompts are left out of the data" in note for note in results.notes)
    assert [each.task.prompt for each in candidates("runs/chain/a")[0]] == [user("one"), user("two")]
    assert len(Path("runs/chain/a/responses.jsonl").read_text().splitlines()) == 3


def test_one_answer_of_several_is_enough(here: Path) -> None:
    assert steps._answered({"responses": ["", "yes"], "error": "timed out"})
    assert not steps._answered({"responses": ["", ""], "error": "timed out"})
    assert steps._answered({"responses": [""]})


def test_each_seed_draws_its_own_answers(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Fickle()
    monkeypatch.setattr(load, "load_model", model.load)
    _write("prompts.jsonl", [{"prompt": "one"}])
    run_chain(written('seeds = [1, 2]\n[steps.a]\ngenerate = "tiny"\nprompts = "prompts.jsonl"\n'))
    texts = [candidates(f"runs/chain/seed{seed}/a")[0][0].text for seed in (1, 2)]
    assert len({*texts}) == 2


def test_an_error_of_a_step_names_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_model", Fickle().load)
    _write("prompts.jsonl", [{"prompt": "refuse"}])
    path = written('[steps.a]\ngenerate = "tiny"\nprompts = "prompts.jsonl"\n')
    with pytest.raises(BiddableError, match=r"^a: .*content filter"):
        run_chain(path)


def test_data_is_a_step_and_an_option(here: Path) -> None:
    _write("chats.jsonl", [{"prompt": f"w{n % 4}", "response": "w9"} for n in range(8)])
    path = written(
        '[steps.clean]\ndata = "chats.jsonl"\n[steps.sft]\ntrain = "sft"\nmodel = "tiny"\ndata = "{clean}"\n'
        'held-out = 0\n[arms.clean-data]\n[arms.all.steps.sft]\ndata = "chats.jsonl"\n'
    )
    results = ran(path)
    assert results.metrics["consumed"]["clean-data"]["rows"] == 4
    assert results.metrics["consumed"]["all"]["rows"] == 8
    assert results.comparisons == []


def test_a_method_is_a_step(here: Path) -> None:
    path = written(
        '[steps.better]\nrun = "spar"\npreset = "smoke"\niterations = 2\nmodel = "{sft}"\n'
        + TRAIN.replace(".a]", ".sft]")
    )
    chain: Chain = plan_chain(path).chain
    assert list(chain.nodes) == ["b", "sft", "better"]
    facts = steps.check(chain.nodes["better"].step)
    assert (facts["run"], facts["preset"], facts["iterations"]) == ("spar", "smoke", 2)
