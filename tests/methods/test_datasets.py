"""Data sets made better: steps with reasons, mixtures, what is held out, resumption, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError, RunError
from biddable.methods import curation, datasets
from biddable.methods.datasets import curate, export_data
from biddable.runs.figures import Bars, Items, load_figures
from biddable.tasks.data import read_conversations, read_preferences
from biddable.tasks.neighbours import by_words
from biddable.types import Verdict
from tests.train.tiny import local

FULL = "The river is long, wide and slow, and many towns stand on its banks."


def alpaca(asked: str, said: str = FULL, **more: Any) -> dict[str, Any]:
    return {"instruction": asked, "input": "", "output": said, **more}


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def dropped(folder: Path) -> dict[str, tuple[str, str]]:
    lines = (folder / "artifacts" / "dropped" / "rows.jsonl").read_text().splitlines()
    rows = map(json.loads, lines)
    return {Path(row["id"]).name: (row["step"], row["reason"]) for row in rows}


def written(folder: Path) -> list[str]:
    return (folder / "artifacts" / "data" / "conversations.jsonl").read_text().splitlines()


TASKS = [
    {
        "key": 7,
        "prompt": "Write a short story about a lighthouse keeper who has lost a lamp in a storm.",
    },
    {"key": 8, "prompt": "Name three rivers."},
]
ROWS = [
    alpaca("Tell me of the river."),
    "{not json",
    alpaca("Say nothing.", " "),
    alpaca("What is the Loire?", "A river."),
    alpaca("Tell me of the  river."),
    alpaca("Tell me of the river.", FULL + " It floods."),
    alpaca("Tell me of that river."),
    alpaca("Please write a short story about a lighthouse keeper who has lost a lamp in a storm, now."),
    alpaca("Describe a mountain.", "word " * 60),
    alpaca("How do boats float on water?", FULL + " They push it away."),
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write(tmp_path / "mine.jsonl", ROWS)


ALL: dict[str, Any] = {"skip_bad": True, "min_words": 3, "degenerate": True, "one_answer": True, "near": 0.75}


def test_each_row_is_kept_or_dropped_by_the_first_step_that_objects(rows: Path, tmp_path: Path) -> None:
    tasks = write(tmp_path / "tasks.jsonl", TASKS)
    results = curate([rows], out=tmp_path / "run", against=[str(tasks)], **ALL)
    assert dropped(tmp_path / "run") == {
        "mine.jsonl:2": ("read", "not a row of its file"),
        "mine.jsonl:3": ("read", "output: expected a text that is not blank"),
        "mine.jsonl:4": ("length", "too few words"),
        "mine.jsonl:9": ("degenerate", "the answer repeats itself"),
        "mine.jsonl:5": ("exact", "the same as an earlier row"),
        "mine.jsonl:6": ("one answer", "another response to the same prompt"),
        "mine.jsonl:7": ("near", "a near prompt"),
        "mine.jsonl:8": ("contamination", f"a task of {tasks}"),
    }
    assert results.metrics["rows"] == {"read": 10, "kept": 2, "held_out": 0, "dropped": 8}
    assert list(results.metrics["steps"]) == [
        *("read", "length", "degenerate", "exact", "one answer", "near", "contamination"),
    ]
    assert results.comparisons == []
    kept = [json.loads(line) for line in written(tmp_path / "run")]
    assert [(row["id"], row["source"]) for row in kept] == [
        (f"{rows}:1", str(rows)),
        (f"{rows}:10", str(rows)),
    ]
    assert len(read_conversations(tmp_path / "run")) == 2
    parquet = tmp_path / "run" / "artifacts" / "parquet" / "data" / "conversations.parquet"
    assert read_conversations(parquet) == read_conversations(tmp_path / "run")


def test_the_page_has_every_row_its_reason_and_its_neighbours(rows: Path, tmp_path: Path) -> None:
    curate([rows], out=tmp_path / "run", **ALL)
    figures = load_figures(tmp_path / "run" / "figures.json")
    assert isinstance(figures[0], Bars)
    assert figures[0].series["rows"] == (10, 8, 7, 6, 5, 4, 3)
    items = figures[-1]
    assert isinstance(items, Items)
    assert len(items.items) == len(ROWS)
    by_id = {Path(item.id).name: item for item in items.items}
    near = by_id["mine.jsonl:7"]
    assert (near.suite, near.group) == (str(rows), "near: a near prompt")
    assert near.answers["row"].notes == (
        "a near prompt: 0.80",
        f"near to {rows}:1",
        f"nearest kept: {rows}:1 (0.80): Tell me of the river.",
    )
    assert by_id["mine.jsonl:2"].prompt == "{not json"
    assert by_id["mine.jsonl:1"].answers["row"].notes == ()  # itself is no neighbour


def test_without_steps_only_copies_are_dropped(tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", [ROWS[0], ROWS[4], ROWS[5]])
    assert curate([rows], out=tmp_path / "a").metrics["rows"]["kept"] == 2
    assert curate([rows], out=tmp_path / "b", exact=False).metrics["rows"]["kept"] == 3


def test_a_row_that_cannot_be_read_ends_it_unless_bad_ones_are_skipped(rows: Path, tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.jsonl", ['{"instruction": "Hi"}', "[", "text"])
    with pytest.raises(FileError, match=r"bad.jsonl:1: has the columns 'instruction', expected messages"):
        curate([bad], out=tmp_path / "run")
    with pytest.raises(FileError, match=r"bad.jsonl:1: has the columns"):  # none is left
        curate([bad], out=tmp_path / "run", skip_bad=True)
    assert not (tmp_path / "run").exists()
    results = curate([rows, bad], out=tmp_path / "run", skip_bad=True)
    assert results.metrics["steps"]["read"]["reasons"] == {
        "not a row of its file": 3,
        "output: expected a text that is not blank": 1,
        "not of the shape of conversations": 1,
    }


def test_conversations_of_which_nothing_is_learned_are_dropped(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho", "weight": 0}]
    rows = write(tmp_path / "rows.jsonl", [{"messages": turns}, ROWS[0]])
    curate([rows], out=tmp_path / "run")
    assert dropped(tmp_path / "run") == {"rows.jsonl:1": ("length", "nothing in it is learned")}


def test_tokens_are_counted_by_a_models_own_template(tmp_path: Path) -> None:
    model = str(local().save(tmp_path / "tiny"))
    rows = [alpaca("w1 w2", "w3"), alpaca("w1 w2", "w3 w4")]
    chat = {"messages": [{"role": "system", "content": "w1"}, {"role": "assistant", "content": "w2 w3"}]}
    source = write(tmp_path / "rows.jsonl", [*rows, chat])
    results = curate([source], out=tmp_path / "run", max_tokens=9, model=model)
    # <turn> user w1 w2 <end>, <turn> assistant w3 <end> is 9, the second row has one more.
    assert results.metrics["rows"]["kept"] == 2
    assert results.metrics["steps"]["length"]["reasons"] == {"too many tokens": 1}


@pytest.mark.parametrize("near", [None, 0.6])
def test_nothing_that_is_held_out_is_near_to_what_is_learned(near: float | None, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [alpaca(" ".join(rng.choice(list("abcdefgh"), 6))) for _ in range(150)]
    source = write(tmp_path / "rows.jsonl", rows)
    results = curate([source], out=tmp_path / "run", held_out=0.2, near=near)
    learned = read_conversations(tmp_path / "run")
    held = read_conversations(tmp_path / "run" / "artifacts" / "held_out" / "conversations.jsonl")
    assert results.metrics["rows"] == {
        **{"kept": len(learned), "held_out": len(held), "read": 150},
        "dropped": 150 - len(learned) - len(held),
    }
    assert len(held) >= 0.2 * (len(held) + len(learned))
    prompts = [[row.chat[0].content for row in part] for part in (learned, held)]
    assert by_words(*prompts).max() < (near or 0.7)
    figures = load_figures(tmp_path / "run" / "figures.json")
    groups = [item.group for item in figures[-1].items]
    assert groups.count("held out") == len(held)


def test_rows_that_are_all_near_cannot_be_divided(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [alpaca(f"a b c d e {n}") for n in range(9)])
    with pytest.raises(InputError, match=r"held_out is 0.5, expected 0: the 9 rows that are left are"):
        curate([source], out=tmp_path / "run", held_out=0.5)


def test_a_mixture_is_drawn_from_what_is_left(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", [alpaca(f"one {n}") for n in range(40)])
    second = write(tmp_path / "b.jsonl", [alpaca(f"two {n}") for n in range(30)] + [alpaca("one 1")])
    results = curate([first, second], out=tmp_path / "run", mix=[3, 1], rows=20)
    lines = [json.loads(line) for line in written(tmp_path / "run")]
    assert [row["source"] for row in lines].count(str(second)) == 5 == len(lines) - 15
    assert results.metrics["steps"]["mixture"]["reasons"] == {"not drawn": 50}
    assert curate([first, second], out=tmp_path / "most", mix=[1, 1]).metrics["rows"]["kept"] == 60
    assert curate([first, second], out=tmp_path / "some", rows=7).metrics["rows"]["kept"] == 7
    with pytest.raises(InputError, match=r"rows is 60, expected at most 41: .*b.jsonl has 31"):
        curate([first, second], out=tmp_path / "much", mix=[1, 3], rows=60)
    copy = write(tmp_path / "c.jsonl", [alpaca("one 1")])
    with pytest.raises(InputError, match=r"mix is .*, expected rows of each source: none of .*c.jsonl is"):
        curate([first, copy], out=tmp_path / "none", mix=[1, 3])
    assert not (tmp_path / "much").exists()


def test_what_the_rows_turn_out_not_to_allow_is_corrected_in_the_same_folder(tmp_path: Path) -> None:
    rows = [alpaca(f"{word} is what about it all?") for word in ("one", "one", "two", "three", "four")]
    more = [alpaca("How do boats float on water?"), alpaca("Where does the river Rhine begin?")]
    source, run = write(tmp_path / "rows.jsonl", [*rows, *more]), tmp_path / "run"
    with pytest.raises(InputError, match=r"rows is 7, expected at most 6: so many there are"):
        curate([source], out=run, rows=7)
    results = curate([source], out=run, rows=6, held_out=0.3)
    assert results.config["rows"] == 6
    assert results.config["held_out"] == 0.3
    assert results.metrics == curate([source], out=tmp_path / "other", rows=6, held_out=0.3).metrics
    again = json.loads((run / "results.json").read_text())
    for changed in ({"rows": 5}, {"held_out": 0.5}, {"mix": [2]}, {"min_score": 1, "judge": "lm:x"}):
        with pytest.raises((RunError, InputError)):
            curate([source], out=run, **{"rows": 6, "held_out": 0.3, **changed})
    with pytest.raises(RunError, match=r"run: config.rows was 6, is now 5; use another folder"):
        curate([source], out=run, rows=5, held_out=0.3)
    assert json.loads((run / "results.json").read_text()) == again


def test_a_division_that_there_is_not_is_corrected_in_the_same_folder(tmp_path: Path) -> None:
    near = [alpaca(f"a b c d e {n}") for n in range(9)]
    source, run = write(tmp_path / "rows.jsonl", near), tmp_path / "run"
    other = write(tmp_path / "other.jsonl", [alpaca("How do boats float on water?")])
    with pytest.raises(InputError, match=r"held_out is 0\.5"):
        curate([source, other], out=run, held_out=0.5, rows=2)
    results = curate([source, other], out=run, held_out=0.05)
    assert results.metrics == curate([source, other], out=tmp_path / "b", held_out=0.05).metrics


def test_another_share_than_asked_for_is_said(tmp_path: Path) -> None:
    near = [alpaca(f"a b c d e {n}") for n in range(9)]
    alone = [alpaca(f"{word} {word} {word}") for word in ("one", "two", "three")]
    source = write(tmp_path / "rows.jsonl", [*near, *alone])
    by_seed = {seed: curate([source], out=tmp_path / f"{seed}", held_out=0.3, seed=seed) for seed in range(9)}
    found = {made.metrics["rows"]["held_out"]: made.notes for made in by_seed.values()}
    assert min(found) < 4 <= max(found)
    for held, notes in found.items():
        told = f"{held} of 12 rows ({held / 12:.1%}) are held out; 30.0% would be 4"
        assert notes == [f"{told}: rows that are near to one another stay together."] * (held != 4)
    assert curate([source], out=tmp_path / "none").notes == []


class Scorer:
    """Scores a text by its length, as a judge that decides nothing by itself; counts what it is asked."""

    asked = 0

    def __call__(self, tasks: Any, responses: Any, *, seeds: Any = None) -> list[Verdict]:
        assert len(seeds) == len(tasks)
        Scorer.asked += len(tasks)
        return [
            Verdict(None if "?" in each.text else float(len(each.text)), None, "long") for each in responses
        ]


def test_a_judges_threshold_is_resumed_by_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curation, "load_judge", lambda spec: Scorer())
    monkeypatch.setattr(datasets, "judge_identity", lambda spec: spec)
    monkeypatch.setattr(curation, "JUDGED", 2)
    curation.loaded_judge.cache_clear()
    said = ["four", "sixsix", "what?", "eighteight", "nine nine"]
    rows = write(tmp_path / "rows.jsonl", [alpaca(f"ask {n}", text) for n, text in enumerate(said)])
    with pytest.raises(InputError, match="min_score is None, expected a number: mine gives scores"):
        curate([rows], out=tmp_path / "none", judge="mine")
    assert curate([rows], out=tmp_path / "none", judge="mine", min_score=5).metrics["rows"]["kept"] == 3
    Scorer.asked = 0
    how: dict[str, Any] = {"out": tmp_path / "run", "judge": "mine", "min_score": 6}
    results = curate([rows], **how)
    assert Scorer.asked == 5
    assert dropped(tmp_path / "run") == {
        "rows.jsonl:1": ("judge", "a score below 6"),
        "rows.jsonl:3": ("judge", "the judge gave no score"),
    }
    again = curate([rows], **how)
    assert Scorer.asked == 5
    assert again.metrics == results.metrics
    items = load_figures(tmp_path / "run" / "figures.json")[-1].items
    assert {Path(item.id).name: item.answers["row"].score for item in items}["rows.jsonl:2"] == 6.0
    curation.loaded_judge.cache_clear()


def test_prompts_are_compared_by_vectors_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []

    def encode(texts: Any) -> Any:
        encoded.extend(texts)
        return np.array([[1.0, 0.0] if "river" in text else [0.0, 1.0] for text in texts], dtype=np.float32)

    monkeypatch.setattr(datasets, "_encoder", lambda: encode)
    rows = write(tmp_path / "rows.jsonl", [alpaca("the river"), alpaca("a river bank"), alpaca("boats")])
    how: dict[str, Any] = {"out": tmp_path / "run", "near": 0.9, "near_by": "vectors"}
    curate([rows], **how)
    assert dropped(tmp_path / "run") == {"rows.jsonl:2": ("near", "a near prompt")}
    curate([rows], **how)
    assert sorted(encoded) == ["a river bank", "boats", "the river"]


PAIRS = [{"prompt": f"ask {n}", "chosen": FULL, "rejected": "No river is there."} for n in range(8)]


def test_preferences_go_through_the_same_steps(tmp_path: Path) -> None:
    rows = write(tmp_path / "pairs.jsonl", [*PAIRS, {"prompt": "ask 9", "chosen": FULL, "rejected": "No."}])
    results = curate([rows], out=tmp_path / "run", min_words=3, held_out=0.3)
    assert dropped(tmp_path / "run") == {"pairs.jsonl:9": ("length", "too few words")}
    assert len(read_preferences(tmp_path / "run")) == results.metrics["rows"]["kept"]
    assert results.next_steps[0] == "biddable train dpo MODEL --data {run} --out FOLDER"
    with pytest.raises(InputError, match="judge is 'lm:x', expected none: preferences have two responses"):
        curate([rows], out=tmp_path / "judged", judge="lm:x")


def test_a_run_is_exported_with_what_is_held_out(tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", PAIRS)
    curate([pairs], out=tmp_path / "run", held_out=0.3, near=1.0)
    exported = export_data(tmp_path / "run", tmp_path / "out", "trl")
    assert list(exported.rows) == ["train.jsonl", "test.jsonl"]
    assert read_preferences(tmp_path / "out" / "train.jsonl") == read_preferences(tmp_path / "run")
    both = write(tmp_path / "both.jsonl", [alpaca("ask", chosen="a", rejected="b")])
    with pytest.raises(InputError, match=r"one of conversations and preferences: .*both.jsonl has both"):
        export_data(both, tmp_path / "more", "trl")
    assert export_data(both, tmp_path / "more", "trl", "preferences").rows == {"train.jsonl": 1}


def test_other_data_or_settings_are_another_run(rows: Path, tmp_path: Path) -> None:
    curate([rows], out=tmp_path / "run", skip_bad=True)
    with pytest.raises(RunError, match=r"near was None, is now 0.5"):
        curate([rows], out=tmp_path / "run", skip_bad=True, near=0.5)
    write(rows, ROWS[:1])
    with pytest.raises(RunError, match=r"data\[0\] was"):
        curate([rows], out=tmp_path / "run", skip_bad=True)


@pytest.mark.parametrize(
    ("sources", "settings", "message"),
    [
        (0, {}, r"sources is \[\], expected at least one"),
        (2, {}, "sources is .*, expected each source once"),
        (1, {"mix": [1, 2]}, r"mix is \(1.0, 2.0\), expected a share for each of 1 sources"),
        (1, {"max_tokens": 5}, "max_tokens is 5, expected a model beside it"),
        (1, {"model": "smollm2"}, "model is 'smollm2', expected max_tokens beside it"),
        (1, {"min_score": 0.5}, "min_score is 0.5, expected a judge beside it"),
        (1, {"min_words": 9, "max_words": 3}, "max_words is 3, expected at least 9"),
        (1, {"near": 0}, "near is 0, expected a number above 0"),
        (1, {"against": ["nosuch"]}, "against is 'nosuch'"),
        (1, {"judge": "nosuch"}, "judge is 'nosuch'"),
        (1, {"nears": 1}, "nears is 1, expected one of the settings near"),
    ],
)
def test_what_cannot_be_is_said_before_a_folder_is_made(
    sources: int, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    rows = write(tmp_path / "rows.jsonl", ROWS[:1])
    with pytest.raises(InputError, match=message):
        curate([rows] * sources, out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_file_and_its_folder_hold_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    rows = write(tmp_path / "set" / "rows.jsonl", ROWS[:1])
    with pytest.raises(InputError, match=r"expected rows that .*rows.jsonl has not"):
        curate([rows, tmp_path / "set"], out=tmp_path / "run")


def test_rows_of_the_same_texts_with_other_turns_learned_are_not_the_same(tmp_path: Path) -> None:
    def chat(first: float) -> dict[str, Any]:
        roles = ("user", "assistant", "user", "assistant")
        turns = [{"role": role, "content": f"{role} {i}"} for i, role in enumerate(roles)]
        return {"messages": [turns[0], {**turns[1], "weight": first}, *turns[2:]]}

    source = write(tmp_path / "c.jsonl", [chat(0), chat(1), chat(1)])
    made = curate([source], out=tmp_path / "run")
    assert made.metrics["rows"]["kept"] == 2
    assert [each.trained[1] for each in read_conversations(tmp_path / "run")] == [False, True]
