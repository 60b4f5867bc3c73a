"""Ensemble-Instruct: from seeds to conversations, each agreed on, and every drop with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from biddable.errors import FileError, InputError, RunError
from biddable.experiments import voting
from biddable.methods.base import configure, run
from biddable.methods.data import ensemble_instruct
from biddable.methods.data.ensemble_instruct import EnsembleInstruct
from biddable.models import load
from biddable.tasks.data import read_conversations
from biddable.types import Prompt, Response, last_turn
from tests.doubles import Parrot

SMALL: dict[str, Any] = {
    "make.number": 4, "make.requests": 4, "make.rounds": 3, "make.shown_input": 3, "make.shown_output": 3,
    "make.demos_input": 2, "make.demos_output": 2, "test": 12, "metrics": ("superni_exact_match",),
    "generator": "maker", "voters": ("good", "wordy"),
}  # fmt: skip
TOPICS = [f"{name}s" for name in ("apple", "bridge", "candle", "dragon", "engine", "forest")]
MORE = [f"{name}s" for name in ("garden", "hammer", "island", "jacket", "kettle", "lemon")]


class World(Parrot):
    """Generator and voters in one, by the name that they are loaded as.

    The generator numbers its instructions and answers each rightly but for every third, which it gets wrong;
    the voter ``good`` is right, ``wordy`` is so in a sentence, ``mute`` says nothing, and ``failing``
    cannot be reached at times.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spec = ""

    def load(self, spec: object, **options: object) -> World:
        made = World()
        made.asked, made.spec, made.name = self.asked, str(spec), str(spec)
        made.interrupt_after = self.interrupt_after
        return made

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        text = last_turn(prompt)
        if self.spec == "maker":
            return Response(self.written(text, seed or 0))
        if self.spec == "mute" or (self.spec == "failing" and (seed or 0) % 3 == 0):
            return Response(
                "", finish_reason="error" if self.spec == "failing" else "stop", error=self.error()
            )
        right = answer(text)
        return Response(f"That would be {right}." if self.spec == "wordy" else right)

    def error(self) -> str:
        return "503: busy" if self.spec == "failing" else ""

    def written(self, text: str, seed: int) -> str:
        block = text.rpartition("\n\n")[2]
        if text.endswith("Is it a classification?"):
            return " No"
        if block.startswith("Task: "):
            return "Output: something" if seed % 2 else "\n"
        if text.startswith("A series of tasks") or text.startswith("A list of different"):
            topic = [*TOPICS, *MORE][seed % 12]
            return f" Tell {topic} number {seed % 97} from others by {seed % 89} of {topic[::-1]}."
        lines = block.splitlines()
        wrong = seed % 3 == 0
        if lines[-1] == "output:":  # of an instruction with right outputs
            return " nonsense" if wrong else f" {answer(block)}"
        if "with an input" in text or "right output" in text:
            return f"input: {seed % 50}\noutput: {'nonsense' if wrong else answer(str(seed % 50))}"
        return f"output: {'nonsense' if wrong else answer(lines[0])}"


def answer(text: str) -> str:
    """The right output: the letters of the last word there is, backwards."""
    lines = [line for line in text.splitlines() if line != "output:"]
    return lines[-1].split()[-1].strip(".")[::-1]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(load, "load_model", made.load)
    monkeypatch.setattr(voting, "require_trainable", lambda name: None)
    return made


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    rows: list[Any] = [
        {
            "instruction": f"Turn the word {name} around.",
            "instances": [{"input": f"w{i}{j}", "output": f"{j}{i}w"} for j in range(3)],
        }
        for i, name in enumerate(TOPICS)
    ]
    rows += [{"instruction": f"Say {name} backwards.", "input": "", "output": name[::-1]} for name in MORE]
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def results(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_agreed_on_is_left_with_how(tmp_path: Path, world: World, seeds: Path) -> None:
    out = tmp_path / "run"
    made = run("ensemble-instruct", out=out, seeds=seeds, **SMALL)
    metrics, votes = results(out)["metrics"], lines(out / "artifacts" / "votes" / "votes.jsonl")
    chats = read_conversations(out)
    assert len(chats) == len(votes) == metrics["outputs"]["consensus"]["kept"] > 0
    for chat, vote in zip(chats, votes, strict=True):
        assert set(vote["outputs"]) == {"first", "good", "wordy"}
        assert chat.chat[-1].content == vote["outputs"][vote["taken"]]
        assert vote["branch"] in ("first agrees", "others agree", "overlap")
        assert "nonsense" not in chat.chat[-1].content
        assert "|EoS|" not in chat.chat[0].content
    dropped = lines(out / "artifacts" / "dropped" / "rows.jsonl")
    assert {row["reason"] for row in dropped} == {"no consensus"}
    assert sum(metrics["branches"].values()) == metrics["outputs"]["consensus"]["came"]
    assert all(row["output"] == "nonsense" for row in (each["row"] for each in dropped))
    # Of the seeds with three inputs two are to measure on.
    verdicts = {(c.baseline_name, c.method_name, c.metric.partition(":")[0]): c for c in made.comparisons}
    selected = verdicts["first", "agreed", "right outputs, all first ones beside those agreed on"]
    assert selected.n == 12
    assert selected.method == 1.0 > selected.baseline
    assert ("first", "agreed", "right outputs where there was agreement") in verdicts
    parsed = verdicts["self-instruct", "ensemble-instruct", "instances that parse"]
    assert parsed.method == 1.0 > parsed.baseline


def test_the_same_line_again_asks_nobody_and_a_killed_run_goes_on(
    tmp_path: Path, world: World, seeds: Path
) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    run("ensemble-instruct", out=whole, seeds=seeds, **SMALL)
    asked = len(world.asked)
    run("ensemble-instruct", out=whole, seeds=seeds, **SMALL)
    assert len(world.asked) == asked
    for after in (asked + 1, asked + 4, asked + 7):
        world.interrupt_after = after
        with pytest.raises(KeyboardInterrupt):
            run("ensemble-instruct", out=again, seeds=seeds, **SMALL)
    world.interrupt_after = -1
    run("ensemble-instruct", out=again, seeds=seeds, **SMALL)
    assert results(again)["metrics"] == results(whole)["metrics"]
    for name in ("data/conversations.jsonl", "votes/votes.jsonl", "dropped/instructions.jsonl"):
        assert (again / "artifacts" / name).read_text() == (whole / "artifacts" / name).read_text()


def test_a_voter_that_fails_at_times_ends_nothing(tmp_path: Path, world: World, seeds: Path) -> None:
    out = tmp_path / "run"
    made = run("ensemble-instruct", out=out, seeds=seeds, **{**SMALL, "voters": ("good", "failing")})
    assert any(note.startswith("failing: ") and "503: busy" in note for note in made.notes)
    assert read_conversations(out)


def test_nothing_left_is_one_line(tmp_path: Path, world: World, seeds: Path) -> None:
    options = {**SMALL, "voters": ("mute", "mute?temperature=1")}
    with pytest.raises(RunError, match=r"no sample is left.*consensus 0 of \d+ \(no consensus: a voter said"):
        run("ensemble-instruct", out=tmp_path / "run", seeds=seeds, **options)
    assert not (tmp_path / "run" / "results.json").exists()


def test_without_right_outputs_that_is_said(tmp_path: Path, world: World, seeds: Path) -> None:
    alone = tmp_path / "alone.jsonl"
    alone.write_text(
        "".join(f"{json.dumps({'instruction': f'Say {t} now.', 'output': t})}\n" for t in TOPICS)
    )
    made = run("ensemble-instruct", out=tmp_path / "run", seeds=alone, **SMALL, baseline=False)
    assert not made.comparisons
    assert any("--held-out" in note for note in made.notes)
    assert any("No seeds that need an input" in note for note in made.notes)
    other = run("ensemble-instruct", out=tmp_path / "other", seeds=alone, held_out=seeds, **SMALL)
    assert any("agreed" in each.method_name for each in other.comparisons)


def test_seeds_that_are_none_are_counted(tmp_path: Path, world: World, seeds: Path) -> None:
    seeds.write_text(seeds.read_text() + '{"instruction": "Add up.", "instances": []}\n')
    made = run("ensemble-instruct", out=tmp_path / "run", seeds=seeds, **SMALL)
    assert any(
        note.startswith("1 seeds were left out; the first: line 13: instances is []") for note in made.notes
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"voters": ("good", "good")}, "always agrees"),
        ({"voters": ("good?x=1",)}, "option is 'x'"),
        ({"metrics": ("accuracy",)}, "metrics is 'accuracy'"),
        ({"make.number": 0}, r"make\.number is 0"),
        ({"layout": "json"}, "layout"),
    ],
)
def test_settings_that_cannot_be(
    tmp_path: Path, world: World, seeds: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        run("ensemble-instruct", out=tmp_path / "run", seeds=seeds, **{**SMALL, **options})
    assert not (tmp_path / "run").exists()


def test_seeds_that_are_not_enough(tmp_path: Path, world: World) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"instruction": "Greet.", "output": "Hi!"}\n')
    with pytest.raises(InputError, match="two seeds or more of a kind"):
        run("ensemble-instruct", out=tmp_path / "run", seeds=path, **SMALL)
    with pytest.raises(FileError, match="nowhere"):
        run("ensemble-instruct", out=tmp_path / "run", seeds=tmp_path / "nowhere.jsonl", **SMALL)
    assert not (tmp_path / "run").exists()


def test_students_are_tuned_on_as_many_samples_of_both(
    tmp_path: Path, world: World, seeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: dict[str, int] = {}

    def finetuned(run: Any, name: str, start: Any, chats: Any, config: Any) -> Path:
        learned[name] = len(chats)
        return tmp_path / name

    monkeypatch.setattr(ensemble_instruct, "finetuned", finetuned)
    monkeypatch.setattr(ensemble_instruct, "require_trainable", lambda name: None)
    made = run("ensemble-instruct", out=tmp_path / "run", seeds=seeds, student_model="base", **SMALL)
    assert learned["student-self-instruct"] == learned["student-ensemble-instruct"] > 1
    told = {(c.baseline_name, c.method_name) for c in made.comparisons if "student" in c.metric}
    assert told == {("self-instruct", "ensemble-instruct"), ("untrained", "ensemble-instruct")}


@pytest.mark.parametrize("preset", ["default", "smoke", "full", "gpu"])
def test_every_preset_has_enough_of_what_comes_with_it(preset: str) -> None:
    method = EnsembleInstruct(configure(EnsembleInstruct, preset, {"voters": ("smollm2",)}))
    method.check()
    assert len(method.gold) > 20


def test_the_real_model_makes_data(tmp_path: Path, smollm2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_model", lambda name, **_: smollm2)
    options = {
        **{"make.number": 2, "make.requests": 2, "make.rounds": 1, "make.demos_input": 3, "test": 0},
        **{"make.shown_input": 4, "make.shown_output": 4, "make.demos_output": 3, "max_tokens": 16},
        **{"make.sampling.max_tokens": 20, "make.instance_sampling.max_tokens": 24},
    }
    out, voters = tmp_path / "run", ("smollm2", "smollm2?shots=2")
    made = run("ensemble-instruct", out=out, baseline=False, voters=voters, **options)
    assert any("no heterogeneous mixture" in note for note in made.notes)
    assert made.metrics["instructions"]["novelty"]["kept"] > 0
    assert read_conversations(out)


class Busy(World):
    """A world whose generator and voters refuse a third of what they are asked while ``busy`` is true."""

    busy: ClassVar = True

    def load(self, spec: object, **options: object) -> World:
        made = Busy()
        made.asked, made.spec, made.interrupt_after = self.asked, str(spec), self.interrupt_after
        return made

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        if self.busy and (seed or 0) % 3 == 1:
            return Response("", finish_reason="error", error="503: busy")
        return super().say(prompt, seed, sample)


@pytest.mark.parametrize("after", [2, 5, 8])
def test_what_could_not_be_had_stays_so_where_a_killed_run_goes_on(
    tmp_path: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    world = Busy()
    monkeypatch.setattr(load, "load_model", world.load)
    monkeypatch.setattr(voting, "require_trainable", lambda name: None)
    whole, again = tmp_path / "whole", tmp_path / "again"
    made = run("ensemble-instruct", out=whole, seeds=seeds, **SMALL)
    assert made.metrics["instructions"]["answers"]["reasons"]["could not be had"] > 0
    assert any("first outputs could not be had and count as wrong" in note for note in made.notes)
    asked = len(world.asked)
    world.interrupt_after = asked + after
    with pytest.raises(KeyboardInterrupt):
        run("ensemble-instruct", out=again, seeds=seeds, **SMALL)
    world.interrupt_after = -1
    run("ensemble-instruct", out=again, seeds=seeds, **SMALL)
    assert results(again)["metrics"] == results(whole)["metrics"]
    assert len(world.asked) == 2 * asked
    monkeypatch.setattr(Busy, "busy", False)  # what came of the others stands, and fits what is there
    run("ensemble-instruct", out=again, seeds=seeds, **SMALL)
    assert results(again)["metrics"] == results(whole)["metrics"]
    assert len(world.asked) == 2 * asked
