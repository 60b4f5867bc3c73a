from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.errors import FileError, InputError
from biddable.judges.reference import ReferenceJudge
from biddable.tasks.bbh import read_bbh, read_cot_prompt
from biddable.tasks.fewshot import Shots, few_shot_prompt
from biddable.types import Response, Task

PUBLISHED = Path(__file__).parents[2] / "../shared/data/bbh"
LETTERED = "Which?\nOptions:\n(A) one\n(B) two\n(C) three"
COT = """A warning.
-----
Compare two things.

Q: Is it?
Options:
- Yes
- No
A: Let's think step by step.
It is said so. So the answer is Yes.

Q: Is it not?
A: Let's think step by step. The answer is hidden. So the answer is No.
"""


def folder(root: Path, prompts: dict[str, str] | None = None, **files: object) -> Path:
    for name, examples in files.items():
        path = root / "bbh" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"canary": "…", "examples": examples}))
    for name, text in (prompts or {}).items():
        (root / "cot-prompts").mkdir(exist_ok=True)
        (root / "cot-prompts" / f"{name}.txt").write_text(text)
    return root


def example(text: object, target: object) -> dict[str, object]:
    return {"input": text, "target": target}


def test_questions_are_written_as_lm_eval_writes_them(tmp_path):
    root = folder(tmp_path, {"snarks": COT}, snarks=[example(LETTERED, "(B)")])
    [task], shots = read_bbh(root)
    meta = {"group": "snarks"}
    expected = Task("snarks/0", f"Q: {LETTERED}\nA:", (), ("(B)",), meta, ("(A)", "(B)", "(C)"))
    assert task == expected
    first, second = "Q: Is it?\nOptions:\n- Yes\n- No\nA: Yes", "Q: Is it not?\nA: No"
    assert shots == {"snarks": Shots("Compare two things.", (first, second))}
    [task], shots = read_bbh(root, reasoning=True)
    assert task.prompt == f"Q: {LETTERED}\nA: Let's think step by step.\n"
    assert (
        shots["snarks"]
        .examples[0]
        .endswith("A: Let's think step by step.\nIt is said so. So the answer is Yes.")
    )
    assert read_bbh(root / "bbh" / "snarks.json", reasoning=True) == ([task], shots)


def test_instructeval_shows_the_first_three_questions_solved(tmp_path):
    root = folder(tmp_path, {"sorting": COT}, sorting=[example(str(n), f"t{n}") for n in range(4)])
    [task], shots = read_bbh(root, style="instructeval")
    assert (task.id, task.prompt) == ("sorting/3", "3\nAnswer:")
    assert shots == {"sorting": Shots(examples=("0\nAnswer: t0", "1\nAnswer: t1", "2\nAnswer: t2"))}


def test_what_is_chosen_among(tmp_path):
    listed = "Valid?\nOptions:\n- valid \n- invalid"
    root = folder(
        tmp_path,
        a=[example(LETTERED, "(A)"), example("Odd.\nOptions:\n(A) one", "(A)"), example(LETTERED, "one")],
        b=[example(listed, "invalid")],
        boolean_expressions=[example("not True is", "False")],
        word_sorting=[example("Sort: b a", "a b")],
    )
    tasks, shots = read_bbh(root)
    assert shots == {}
    assert [task.choices for task in tasks] == [
        ("(A)", "(B)", "(C)"),
        ("(A)", "(B)", "(C)"),
        (),
        ("valid", "invalid"),
        ("False", "True"),
        (),
    ]
    assert [task.id for task in read_bbh(root, tasks=["b", "a"])[0]][:2] == ["b/0", "a/0"]


def test_rows_of_the_hub(tmp_path):
    path = tmp_path / "navigate.jsonl"
    path.write_text(json.dumps(example("Go.", "Yes")) + "\n")
    assert read_bbh(path)[0][0].references == ("Yes",)
    assert read_bbh(tmp_path) == read_bbh(path)
    (tmp_path / "navigate.json").write_text("{}")
    with pytest.raises(FileError, match=r"navigate\.jsonl: is of the task navigate, as .*: read one"):
        read_bbh(tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no rows"),
        ("{", "snarks.json:1"),
        ("[]", "holds no rows"),
        ("{}", "examples: field required"),
        ('{"examples": []}', "examples: list should have at least 1 item"),
        ('{"examples": [{"input": "?"}]}', "examples.0.target: field required"),
        ('{"examples": [{"input": 3, "target": "x"}]}', "examples.0.input: input should be a valid string"),
        ('{"examples": [{"input": "?", "target": ""}]}', "examples.0.target: string should have at least 1"),
        ('{"examples": "x"}', "examples: input should be a valid list"),
        ("[1, 2]", "row 1: expected a JSON object"),
        ('{"input": "?", "target": null}', "target: input should be a valid string"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, problem):
    path = tmp_path / "snarks.json"
    path.write_text(text)
    with pytest.raises(FileError) as error:
        read_bbh(path)
    assert problem in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Compare.", 'holds no line that begins with "Q: "'),
        ("-----\nCompare.\n\nQ: Is it?\n", 'example 1: expected a line "A: …"'),
        ("-----\nCompare.\n\nQ: Is it?\nA: Yes.\n", 'with "the answer is …" after it'),
    ],
)
def test_prompts_that_cannot_be_used(tmp_path, text, problem):
    path = tmp_path / "snarks.txt"
    path.write_text(text)
    with pytest.raises(FileError) as error:
        read_cot_prompt(path)
    assert problem in str(error.value)


def test_what_is_asked_for_is_not_there(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_bbh(tmp_path / "bbh")
    with pytest.raises(FileError, match=r"holds no file named TASK\.json"):
        read_bbh(tmp_path)
    root = folder(tmp_path, snarks=[example("?", "x")] * 3)
    with pytest.raises(InputError, match="tasks is 'snark', expected one of 1: snarks"):
        read_bbh(root, tasks=["snark"])
    with pytest.raises(InputError, match="style is 'mine', expected lm-eval or instructeval"):
        read_bbh(root, style="mine")
    with pytest.raises(InputError, match="reasoning is True, expected false"):
        read_bbh(root, style="instructeval", reasoning=True)
    with pytest.raises(FileError, match="3 examples, expected more than the 3 that are shown solved"):
        read_bbh(root, style="instructeval")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published files")
def test_the_published_files():
    tasks, shots = read_bbh(PUBLISHED)
    assert (len(tasks), len(shots)) == (6511, 27)
    assert all(len(each.examples) == 3 for each in shots.values())
    free = [task for task in tasks if not task.choices]
    always = {"dyck_languages", "multistep_arithmetic_two", "word_sorting"}
    assert [task.meta["group"] for task in free if task.meta["group"] not in always] == [
        *("movie_recommendation", "ruin_names", "ruin_names")
    ]
    assert all(task.references[0] in task.choices for task in tasks if task.choices)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published files")
@pytest.mark.parametrize(("kind", "reasoning"), [("fewshot", False), ("cot_fewshot", True)])
def test_examples_are_those_of_lm_eval(kind, reasoning):
    harness = pytest.importorskip("lm_eval")
    yaml = pytest.importorskip("yaml")
    known = {}
    for file in (Path(harness.__file__).parent / "tasks" / "bbh" / kind).glob("[a-z]*.yaml"):
        config = yaml.safe_load(file.read_text())
        samples = config["fewshot_config"]["samples"]
        query = "Q: {}\nA: Let's think step by step.\n{}" if reasoning else "Q: {}\nA: {}"
        examples = [query.format(each["input"], each["target"]) for each in samples]
        known[config["dataset_name"]] = Shots(config["description"].strip(), tuple(examples))
    assert read_bbh(PUBLISHED, reasoning=reasoning)[1] == known


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published files")
@pytest.mark.parametrize("name", ["boolean_expressions", "object_counting", "word_sorting"])
def test_prompts_and_scores_are_those_of_the_published_outputs(name):
    folder = PUBLISHED / "code-davinci-002-outputs" / "code-davinci-002-direct"
    stem = f"{name}_few_shot_template_0-255000"
    outputs = json.loads((folder / f"{stem}.json").read_text())["outputs"]
    accuracy = json.loads((folder / f"{stem}_eval_metrics.jsonl").read_text())["accuracy"]
    tasks, shots = read_bbh(PUBLISHED, tasks=[name])
    for task, output in zip(tasks, outputs, strict=True):
        assert few_shot_prompt(task.prompt, shots[name], 3)[0] == output["input"]
        assert task.references == (output["target"],)
    verdicts = ReferenceJudge()(tasks, [Response(output["prediction"]) for output in outputs])
    assert sum(verdict.score or 0 for verdict in verdicts) / len(tasks) * 100 == pytest.approx(accuracy)
