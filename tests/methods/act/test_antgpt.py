"""AntGPT: what is foreseen is scored, parts keep apart, bad input is one line, a cut run ends the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError, InputError
from biddable.experiments import anticipating, anticipation_prompts
from biddable.methods.act import antgpt
from biddable.methods.act.antgpt import AntGpt
from biddable.methods.base import configure, run
from biddable.models.base import Sampling
from biddable.tasks.actions import Taxonomy, action_text
from biddable.tasks.data import read_prompts
from biddable.types import Chat, Conversation, Task, last_turn

SMALL: dict[str, Any] = {
    "observed": 2, "ahead": 4, "candidates": 2, "temperatures": (0.3, 0.8), "train_windows": 12,
    "validation_windows": 4, "test_windows": 6, "seeds": 2, "scratch.epochs": 1, "scratch.width": 8,
}  # fmt: skip
STEPS = {
    "make tea": "take cup, boil water, pour water, add tea, mix tea, drink tea, wash cup, dry cup",
    "make toast": "take bread, cut bread, toast bread, spread jam, eat bread, wash plate, put plate",
    "make soup": "take pot, cut leek, boil leek, add salt, mix soup, eat soup, wash pot, dry pot",
}


def rows(number: int = 18, goals: bool = True) -> list[dict[str, Any]]:
    """Three goals in turn, each row of another person."""
    names = list(STEPS)
    made: list[dict[str, Any]] = []
    for at in range(number):
        goal = names[at % 3]
        row = {"id": f"s{at}", "source": f"p{at}", "actions": STEPS[goal]}
        made.append(row | {"goal": goal} if goals else row)
    return made


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines))
    return path


class Speaker:
    """In place of the tuned model: it continues the recipe of the goal that it is given, else says little.

    Attributes:
        asked: prompts by the name of the stage.
        learned: what each training was given.
        temperatures: of each stage.
        stop_at: the stage at which the user presses Ctrl-C.
    """

    def __init__(self) -> None:
        self.asked: dict[str, list[Chat]] = {}
        self.learned: dict[str, list[Conversation]] = {}
        self.temperatures: dict[str, float] = {}
        self.stop_at = ""

    def finetuned(self, run: Any, name: str, start: Any, lessons: Sequence[Any], config: Any) -> Path:
        if name == self.stop_at:
            raise KeyboardInterrupt

        def fill(folder: Path) -> None:
            self.learned[name] = list(lessons)
            (folder / "adapter_config.json").write_text("{}")

        path: Path = run.stage_folder(name, fill)
        return path

    def sampled(
        self, run: Any, name: str, weights: Any, tasks: Sequence[Task], samples: int, sampling: Sampling
    ) -> list[list[str]]:
        if name == self.stop_at:
            raise KeyboardInterrupt
        self.asked[name] = [task.prompt for task in tasks]  # type: ignore[misc]
        self.temperatures[name] = sampling.temperature
        texts: list[list[str]] = run.stage(
            f"{name}-answers", lambda: [[self.say(name, task)] * samples for task in tasks], list[list[str]]
        )
        return texts

    def say(self, name: str, task: Task) -> str:
        text = last_turn(task.prompt)
        if name == "goals":
            return "Make tea.\n"
        last = text.split("Observed actions: ")[1].split("\n")[0].split(", ")[-1]
        goal = text.split("\n")[0].removeprefix("Goal: ")
        if goal not in STEPS:
            return "The next actions are: 1. frobnicate cup, 2. stand around idly for a good long while"
        steps = STEPS[goal].split(", ")
        at = steps.index(last) + 1 if last in steps else 0
        return ", ".join((steps[at:] + steps)[:4])


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> Speaker:
    made = Speaker()
    monkeypatch.setattr(antgpt, "finetuned", made.finetuned)
    monkeypatch.setattr(anticipating, "sampled", made.sampled)
    monkeypatch.setattr(anticipation_prompts, "sampled", made.sampled)
    return made


def results(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())


def json_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_preset_is_sound() -> None:
    for preset in ("default", *AntGpt.presets):
        AntGpt(configure(AntGpt, preset))
    assert {"smoke", "full", "gpu"} <= {*AntGpt.presets}


def test_a_goal_that_tells_what_follows_is_seen_to(tmp_path: Path, speaker: Speaker) -> None:
    data, out = write(tmp_path / "d.jsonl", *rows()), tmp_path / "run"
    made = run("antgpt", out=out, data=data, **SMALL)
    found = {(c.baseline_name, c.method_name, c.metric): c for c in made.comparisons}
    true = found["LM", "LM, goal", "edit distance of pairs"]
    assert true.method == 0
    assert true.baseline == 1  # it only says what nobody knows
    assert true.verdict == "held"
    assert found["LM, goal", "LM, other goal", "edit distance of pairs"].verdict == "held"
    assert found["LM, goal", "LM, other goal", "nouns of the other goal"].difference > 0.5
    assert found["scratch, goal", "LM, goal", "edit distance of pairs"].verdict is None
    metrics = results(out)["metrics"]
    assert metrics["area_under_edit_distances"]["LM, goal"] == 0
    assert metrics["replies"]["LM"]["unknown verbs"] > 0
    assert any(note.startswith("LM: of ") and "unknown verbs" in note for note in made.notes)
    assert any("Levenshtein's (not Damerau's)" in note for note in made.notes)
    assert (out / "artifacts" / "model" / "adapter_config.json").is_file()
    assert {"verbs", "nouns"} == {*json.loads((out / "artifacts" / "taxonomy.json").read_text())}
    (first, *others) = json_lines(out / "artifacts" / "predictions" / "test.jsonl")
    assert len(read_prompts(out / "artifacts" / "prompts" / "test.jsonl")) == 1 + len(others)
    assert first["predictions"]["LM, goal"]["candidates"] == [first["future"]] * 2
    assert first["predictions"]["LM, other goal"]["goal"] != first["goal"]
    assert first["predictions"]["LM, inferred goal"]["goal"] == "Make tea"


def test_parts_share_no_source_and_lessons_come_with_and_without_goals(
    tmp_path: Path, speaker: Speaker
) -> None:
    data = write(tmp_path / "d.jsonl", *rows())
    run("antgpt", out=tmp_path / "run", data=data, **SMALL)
    tested = {row["source"] for row in json_lines(tmp_path / "run/artifacts/predictions/test.jsonl")}
    method = AntGpt(configure(AntGpt, "default", {"data": data, **SMALL}))
    method.check()
    parts = [{w.source for w in part} for part in (method._divided(antgpt.np.random.default_rng(5)).train,)]
    assert tested
    assert not tested & parts[0]
    asked = [last_turn(each.chat[:-1]) for each in speaker.learned["lm0"]]
    assert sum(text.startswith("Goal: ") for text in asked) == len(asked) // 2
    for text in asked:  # with a goal, too, the history is there
        history = text.split("Observed actions: ")[1].split("\n")[0]
        assert len(history.split(", ")) == 2
    for lesson in speaker.learned["lm0"]:
        assert lesson.trained == (False, False, True)
        assert len(lesson.chat[-1].content.split(", ")) == 4
    # Training and use ask in the same words.
    endings = {text.rsplit("\n", 1)[1] for text in asked}
    endings |= {last_turn(chat).rsplit("\n", 1)[1] for chat in speaker.asked["lm0"]}
    assert endings == {"Next 4 actions:"}


def test_the_temperature_is_chosen_before_the_test(tmp_path: Path, speaker: Speaker) -> None:
    run("antgpt", out=tmp_path / "run", data=write(tmp_path / "d.jsonl", *rows()), **SMALL)
    order = list(speaker.asked)
    assert order.index("validation1") < order.index("lm0")
    assert {speaker.temperatures[name] for name in ("validation0", "validation1")} == {0.3, 0.8}
    chosen = results(tmp_path / "run")["metrics"]["temperatures"]["LM"]
    assert [speaker.temperatures["lm0"]] == chosen
    shown = {text for name in ("validation0", "validation1") for text in map(last_turn, speaker.asked[name])}
    assert not any(text.startswith("Goal: ") for text in shown)


def test_histories_of_one_s_own_are_continued(tmp_path: Path, speaker: Speaker) -> None:
    ask = write(
        tmp_path / "ask.jsonl",
        {"id": "mine", "prompt": "open door, take cup, boil water", "goal": "make tea"},
        {"id": "other", "actions": "take pot, cut leek"},
        {"actions": "take the pot"},
    )
    data, out = write(tmp_path / "d.jsonl", *rows()), tmp_path / "run"
    made = run("antgpt", out=out, data=data, ask=ask, **SMALL)
    mine, other = json_lines(out / "artifacts" / "predictions" / "asked.jsonl")
    assert mine["history"] == "take cup, boil water"
    assert mine["candidates"] == ["pour water, add tea, mix tea, drink tea"] * 2
    assert other["id"] == "other"
    assert any("1 histories of --ask cannot be read" in note and "ask.jsonl:3" in note for note in made.notes)
    write(ask, {"actions": "take pot"})
    with pytest.raises(FileError, match=r"ask\.jsonl:1: 1 actions, expected at least 2"):
        run("antgpt", out=tmp_path / "short", data=data, ask=ask, **SMALL)
    assert not (tmp_path / "short").exists()


def test_histories_are_asked_in_the_words_that_were_learned(tmp_path: Path) -> None:
    ask = write(tmp_path / "ask.jsonl", {"actions": "place mug, lay mug, put cup"})
    words = Taxonomy.from_classes([["put", "place"], ["take"]], [["cup", "mug"]])
    [window], notes = anticipation_prompts.read_histories(ask, 3, words)
    assert window.history == (("put", "cup"), ("lay", "cup"), ("put", "cup"))
    assert notes == ["1 words of --ask are none of the taxonomy's: lay."]


def test_without_goals_no_arm_has_one(tmp_path: Path, speaker: Speaker) -> None:
    data = write(tmp_path / "d.jsonl", *rows(goals=False))
    ask = write(tmp_path / "ask.jsonl", {"actions": "take cup, boil water", "goal": "make tea"})
    made = run("antgpt", out=tmp_path / "run", data=data, ask=ask, **SMALL)
    assert not any("Goal:" in last_turn(chat) for chat in speaker.asked["asked"])
    assert any(note.startswith("Goals of --ask are left out") for note in made.notes)
    assert {c.method_name for c in made.comparisons} == {"LM"}
    assert any(note.startswith("No arm has a goal") for note in made.notes)
    assert "goals" not in speaker.asked


def test_short_and_bad_sequences_are_dropped_and_the_rest_goes_on(tmp_path: Path, speaker: Speaker) -> None:
    bad = ["{broken", {"actions": "take cup"}, {"actions": "take the cup, put cup"}, {"words": 3}]
    bad.append({"prompt": "take cup", "completion": STEPS["make tea"], "goal": "make tea"})
    data, out = write(tmp_path / "d.jsonl", *rows(), *bad), tmp_path / "run"
    run("antgpt", out=out, data=data, **SMALL)
    told = {row["id"]: row["reason"] for row in json_lines(out / "artifacts" / "dropped" / "sequences.jsonl")}
    assert len(told) == 5
    assert {"too few actions", "too few actions before or after", "not a row of its file"} <= {*told.values()}


def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path, speaker: Speaker) -> None:
    data = write(tmp_path / "d.jsonl", *rows())
    run("antgpt", out=tmp_path / "whole", data=data, **SMALL)
    for stop in ("goals", "lm1", "lm-goal1"):
        speaker.stop_at = stop
        with pytest.raises(KeyboardInterrupt):
            run("antgpt", out=tmp_path / "cut", data=data, **SMALL)
        assert not (tmp_path / "cut" / "results.json").exists()
    speaker.stop_at, speaker.learned = "", {}
    run("antgpt", out=tmp_path / "cut", data=data, **SMALL)
    assert not speaker.learned
    assert results(tmp_path / "cut")["metrics"] == results(tmp_path / "whole")["metrics"]
    name = "artifacts/predictions/test.jsonl"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_composed_sequences_make_the_goal_s_comparisons_controls(tmp_path: Path, speaker: Speaker) -> None:
    made = run("antgpt", out=tmp_path / "run", **{**SMALL, "goals": 12, "observed": 8})
    roles = {(c.baseline_name, c.method_name): c.role for c in made.comparisons}
    assert roles["LM", "LM, goal"] == roles["LM, goal", "LM, other goal"] == "control"
    assert roles["scratch", "LM"] == roles["LM", "LM, inferred goal"] == "claim"
    other = run("antgpt", out=tmp_path / "other", seed=1, **{**SMALL, "goals": 12, "observed": 8})
    texts = [(tmp_path / of / "artifacts/predictions/test.jsonl").read_text() for of in ("run", "other")]
    assert texts[0] != texts[1]
    assert other.comparisons


def test_a_taxonomy_says_what_there_is(tmp_path: Path, speaker: Speaker) -> None:
    actions = {tuple(step.split()) for steps in STEPS.values() for step in steps.split(", ")}
    verbs = [*sorted({verb for verb, _ in actions if verb != "drink"}), "consume_(drink)"]
    nouns = sorted({noun for _, noun in actions if noun != "soup"})
    words = write(tmp_path / "t.json", {"verbs": verbs, "nouns": nouns})
    data, out = write(tmp_path / "d.jsonl", *rows()), tmp_path / "run"
    run("antgpt", out=out, data=data, taxonomy=words, **SMALL)
    method = AntGpt(configure(AntGpt, "default", {"data": data, "taxonomy": words, **SMALL}))
    method.check()
    assert any(("consume", "tea") in each.actions for each in method.funnel.rows)
    assert json.loads((out / "artifacts/taxonomy.json").read_text())["verbs"]["consume"] == ["drink"]
    told = json_lines(out / "artifacts" / "dropped" / "sequences.jsonl")
    assert {row["reason"] for row in told} == {"an action outside the taxonomy"}
    assert len(told) == 6


def test_words_are_of_ones_own_sequences_alone(tmp_path: Path) -> None:
    words = write(tmp_path / "t.json", {"verbs": ["take"], "nouns": ["cup"]})
    with pytest.raises(InputError, match=r"taxonomy is .*an effect only with --data"):
        run("antgpt", out=tmp_path / "run", taxonomy=words, **SMALL)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperatures": ()}, "temperatures is"),
        ({"temperatures": (0.3, 0.3)}, "each once"),
        ({"temperatures": (0.0,)}, "above 0"),
        ({"held_out": 0.0}, "held_out is 0"),
        ({"observed": 30}, r"observed is 30, expected with ahead \(4\) at most 8"),
        ({"candidates": 0}, "candidates is 0"),
        ({"goals": 10**6}, "goals is 1000000"),
        ({"scratch.width": 9}, "scratch.width is 9"),
        ({"base": "openai:some@http://localhost:1"}, "a model whose weights are here"),
    ],
)
def test_settings_that_cannot_be_met_are_one_line_and_leave_nothing(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    data = write(tmp_path / "d.jsonl", *rows())
    with pytest.raises(InputError, match=told):
        run("antgpt", out=tmp_path / "run", data=data, **{**SMALL, **options})
    assert not (tmp_path / "run").exists()


def test_too_few_sources(tmp_path: Path) -> None:
    same = [row | {"source": "one person"} for row in rows()]
    with pytest.raises(InputError, match="data is '1 sources', expected sequences of at least 3 sources"):
        run("antgpt", out=tmp_path / "run", data=write(tmp_path / "d.jsonl", *same), **SMALL)


@pytest.mark.slow
def test_a_small_model_is_tuned_and_asked(tmp_path: Path) -> None:
    ask = write(
        tmp_path / "ask.jsonl", {"actions": "open fridge, take leek, close fridge", "goal": "make soup"}
    )
    out = tmp_path / "run"
    made = run("antgpt", out=out, preset="smoke", ask=ask, observed=3, train_windows=8)
    assert len(made.comparisons) >= 8
    (mine,) = json_lines(out / "artifacts" / "predictions" / "asked.jsonl")
    assert len(mine["candidates"]) == 2
    assert action_text([]) == ""
