"""``eval`` and ``judge``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from biddable.methods.evaluate import load_suite

from biddable.errors import InputError
from biddable.experiments import answers as experiment_answers
from biddable.methods import evaluate
from biddable.runs.figures import load_figures
from biddable.types import Chat, Response
from tests.doubles import Fickle, Parrot

from .conftest import Command
from .fakes import assert_one_line, write_lines

DATA = Path(__file__).parents[2] / "../shared/data/ifeval/input_data.jsonl"
ACCURACIES = {"prompt_strict", "inst_strict", "prompt_loose", "inst_loose"}
KEYS = ACCURACIES | {"per_type", "n_prompts", "n_instructions"}
COUNTED = {"cut_off", "empty", "thinking"}

WORDS = "length_constraints:number_words"
NO_COMMA, LOWER, JSON = (
    "punctuation:no_comma",
    "change_case:english_lowercase",
    "detectable_format:json_format",
)


def example(key: int, prompt: str, *ids: str, **changes: Any) -> dict[str, Any]:
    row = {"key": key, "prompt": prompt, "instruction_id_list": list(ids), "kwargs": [{} for _ in ids]}
    return {**row, **changes}


@pytest.fixture
def files(biddable: Command) -> tuple[str, ...]:
    """Two prompts with three instructions. Followed: the first strictly, half of the second, loosely all."""
    tasks = [example(1, "Say it.", NO_COMMA), example(2, "Write it.", NO_COMMA, JSON)]
    responses = [
        {"prompt": "Say it.", "response": "No commas here."},
        {"prompt": "Write it.", "response": 'Here you are:\n{"it": 1}\nGood luck!'},
    ]
    return ("--tasks", write_lines("t.jsonl", tasks), "--responses", write_lines("r.jsonl", responses))


def test_judge_prints_one_object_with_these_keys(biddable: Command, files: tuple[str, ...]) -> None:
    result = biddable("judge", "ifeval", *files, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found.keys() == KEYS | COUNTED | {"missing", "missing_tasks"}
    assert (found["missing"], found["missing_tasks"], found["cut_off"], found["thinking"]) == (0, [], 0, 0)
    assert (found["n_prompts"], found["n_instructions"]) == (2, 3)
    assert found["prompt_strict"] == 0.5
    assert found["inst_strict"] == pytest.approx(2 / 3)
    assert (found["prompt_loose"], found["inst_loose"]) == (1.0, 1.0)
    assert found["per_type"] == {
        JSON: {"strict": 0.0, "loose": 1.0, "n": 1},
        NO_COMMA: {"strict": 1.0, "loose": 1.0, "n": 2},
    }


def test_judge_prints_a_table(biddable: Command, files: tuple[str, ...]) -> None:
    table = biddable("judge", "ifeval", *files).stdout
    lines = [line.split() for line in table.splitlines()]
    assert [NO_COMMA, "1.000", "1.000", "2"] in lines
    [prompts] = [line for line in lines if line[:1] == ["prompts"]]
    assert prompts[1] == "0.500"
    assert "50.0% of the responses repeat themselves" in table


def test_fixed_rules_are_those_that_mean_what_they_say(biddable: Command) -> None:
    rule = example(1, "p", "keywords:existence", kwargs=[{"keywords": ["art"]}])
    files = ("--tasks", write_lines("t", [rule]),
             "--responses", write_lines("r", [{"prompt": "p", "response": "a party"}]))  # fmt: skip
    published, fixed = (
        json.loads(biddable("judge", "ifeval", *files, "--json", *more).stdout) for more in ((), ("--fixed",))
    )
    assert (published["inst_strict"], fixed["inst_strict"]) == (1.0, 0.0)


GOOD_TASK = json.dumps(example(1, "p", NO_COMMA)).encode()
GOOD_RESPONSE = b'{"prompt": "p", "response": "r"}'


@pytest.mark.parametrize("damaged", ["tasks", "responses"])
@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "no such file"),
        ("folder", "director"),
        (b"", "holds no rows"),
        (b"\n\n", "holds no rows"),
        (b"{", ":1: not JSON"),
        (b"[1]", "row 1: "),
        (b"\xff\xff", ":1: not UTF-8"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "is a Git LFS pointer, not the file",
        ),
        (b"{}", ":1: "),
        (b'{"prompt": 3, "response": "r"}', ":1: "),
    ],
    ids=str,
)
def test_files_that_cannot_be_read(biddable: Command, damaged: str, content: Any, part: str) -> None:
    Path("tasks").write_bytes(GOOD_TASK)
    Path("responses").write_bytes(GOOD_RESPONSE)
    Path(damaged).unlink()
    if content == "folder":
        Path(damaged).mkdir()
    elif content is not None:
        Path(damaged).write_bytes(content)
    result = biddable("judge", "ifeval", "--tasks", "tasks", "--responses", "responses")
    assert_one_line(result, damaged, part)


@pytest.mark.parametrize(
    ("task", "part"),
    [
        (example(1, "p", "keywords:magic"), "keywords:magic"),
        (example(1, "p", "keywords:existence"), "keywords"),
        (
            example(1, "p", "keywords:forbidden_words", kwargs=[{"forbidden_words": ["(?i)foo"]}]),
            "kwargs[0].forbidden_words is ['(?i)foo'], expected ",
        ),
        (example(1, "other", NO_COMMA), "other"),
        (example(1, "p", NO_COMMA, kwargs=[]), ":1: kwargs"),
    ],
    ids=str,
)
def test_tasks_that_cannot_be_judged(biddable: Command, task: dict[str, Any], part: str) -> None:
    Path("responses").write_bytes(GOOD_RESPONSE)
    result = biddable("judge", "ifeval", "--tasks", write_lines("tasks", [task]), "--responses", "responses")
    assert_one_line(result, part)


def test_eval_answers_scores_and_keeps_the_answers(biddable: Command, parrot: Parrot) -> None:
    tasks = [example(1, "no commas", NO_COMMA), example(2, "one, two", NO_COMMA), example(3, "ABC", LOWER)]
    arguments = (
        "eval",
        "parrot",
        "--tasks",
        write_lines("t.jsonl", tasks),
        "--max-tokens",
        "7",
        "--out",
        "run",
    )
    result = biddable(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    facts = {
        "model",
        "suite",
        "folder",
        "report",
        "next_steps",
        "degenerate",
        "max_tokens",
        "thinking_removed",
    }
    assert found.keys() == KEYS | COUNTED | facts | {"refused", "refused_tasks"}
    assert (found["n_prompts"], found["prompt_strict"]) == (3, pytest.approx(1 / 3))
    assert {how.temperature for how in parrot.samplings} == {0.0}
    assert {how.max_tokens for how in parrot.samplings} == {7}

    answers = str(Path("run/artifacts/data/responses.jsonl"))
    judged = biddable("judge", "ifeval", "--tasks", "t.jsonl", "--responses", answers, "--json")
    again = json.loads(judged.stdout)
    assert {key: again[key] for key in KEYS} == {key: found[key] for key in KEYS}
    environment = json.loads(Path("run/environment.json").read_text())
    assert environment["model_source"] == "parrot"
    assert environment["sentence_splitter"] in ("punkt_tab", "built-in")
    assert Path("run/report.html").exists()
    [shown] = [figure for figure in load_figures(Path("run/figures.json")) if figure.kind == "trees"]
    assert [tree.prompt for tree in shown.trees] == ["no commas", "one, two", "ABC"]
    assert shown.trees[1].root.failed == (NO_COMMA, "answer:not_degenerate")
    assert biddable("compare", "run", "run").exit_code == 0


def followable(*prompts: str) -> str:
    return write_lines("t.jsonl", [example(i, prompt, NO_COMMA) for i, prompt in enumerate(prompts, 1)])


def test_a_task_without_an_answer_is_named_counted_and_asked_again(biddable: Command, fickle: Fickle) -> None:
    arguments = (
        "eval",
        "fickle",
        "--tasks",
        followable("say it now", "refuse it", "say it then"),
        "--out",
        "r",
    )
    result = biddable(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["prompt_strict"], found["refused"]) == (pytest.approx(2 / 3), 1)
    assert found["refused_tasks"] == [{"task": "2", "reason": "400 Bad Request: content filter"}]
    assert "task 2 has no answer: 400 Bad Request: content filter\n" in result.stderr
    assert "1 of 3 tasks have no answer and count as not followed." in result.stderr
    assert found["degenerate"] == pytest.approx(2 / 3)  # a parrot's answers, not the one that is missing
    lines = Path("r/artifacts/data/responses.jsonl").read_text().splitlines()
    refused = json.loads(lines[1])
    assert (refused["key"], refused["response"]) == ("2", "")
    assert (refused["error"], refused["finish_reason"]) == ("400 Bad Request: content filter", "error")
    assert "content filter" in Path("r/report.html").read_text()

    judged = biddable(
        "judge", "ifeval", "--tasks", "t.jsonl", "--responses", "r/artifacts/data/responses.jsonl"
    )
    assert "task 2 has no answer: 400 Bad Request" in judged.stderr
    assert "1 of 3 tasks have no answer" in judged.stdout

    fickle.refuses = False
    again = json.loads(biddable(*arguments, "--json").stdout)
    assert (again["prompt_strict"], again["refused"]) == (1.0, 0)
    assert len(fickle.chats) == 4  # only the one that had no answer
    assert "1 of 3 tasks" not in Path("r/report.html").read_text()


def test_nothing_answered_is_an_error_and_the_same_command_asks_again(
    biddable: Command, fickle: Fickle
) -> None:
    arguments = ("eval", "fickle", "--tasks", followable("refuse it", "refuse that"), "--out", "r")
    assert_one_line(biddable(*arguments), "fickle", "none of 2 tasks", "400 Bad Request", exit_code=1)
    assert not Path("r/results.json").exists()
    fickle.refuses = False
    assert biddable(*arguments).exit_code == 0


def test_a_batch_that_a_model_refuses_whole_does_not_end_the_others(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = parrot.generate

    def generate(chats: Sequence[Chat], **options: Any) -> list[list[Response]]:
        if all("long" in chat[-1].content for chat in chats):
            raise InputError("prompt", f"{chats[0][-1].content}: 9000 tokens", "at most 8192")
        return answers(chats, **options)

    monkeypatch.setattr(parrot, "generate", generate)
    monkeypatch.setattr(experiment_answers, "BATCH", 2)
    tasks = followable("say it now", "say it then", "long one", "long two")
    found = json.loads(biddable("eval", "parrot", "--tasks", tasks, "--json").stdout)
    assert (found["prompt_strict"], found["refused"]) == (0.5, 2)
    assert ["long one" in task["reason"] for task in found["refused_tasks"]] == [True, False]


def test_cut_off_answers_are_counted_with_the_limit(biddable: Command, fickle: Fickle) -> None:
    arguments = ("eval", "fickle", "--tasks", followable("say it now", "cut it here"))
    result = biddable(*arguments)
    assert "1 of 2 answers (50.0%) were cut off at 1280 tokens" in " ".join(result.stdout.split())
    assert {how.max_tokens for how in fickle.samplings} == {1280}
    found = json.loads(biddable(*arguments, "--json").stdout)
    assert (found["cut_off"], found["max_tokens"]) == (1, 1280)
    assert "were cut off at 1280 tokens" in Path(found["report"]).read_text()


def test_thinking_is_counted_and_taken_off_on_demand(biddable: Command, fickle: Fickle) -> None:
    arguments = ("eval", "fickle", "--tasks", followable("say it now", "think of it now"), "--json")
    result = biddable(*arguments)
    found = json.loads(result.stdout)
    assert (found["prompt_strict"], found["thinking"], found["thinking_removed"]) == (0.5, 1, False)
    assert "1 of 2 answers hold a block of thinking" in result.stderr
    assert "--strip-thinking takes it off" in result.stderr
    calls = fickle.calls
    found = json.loads(biddable(*arguments, "--strip-thinking").stdout)
    assert (found["prompt_strict"], found["thinking"], found["thinking_removed"]) == (1.0, 1, True)
    assert found["empty"] == 0
    assert fickle.calls == calls  # the answers were kept, whole

    answers = "runs/eval-ifeval-fickle/artifacts/data/responses.jsonl"
    judge = ("judge", "ifeval", "--tasks", "t.jsonl", "--responses", answers)
    assert json.loads(biddable(*judge, "--json").stdout)["prompt_strict"] == 0.5
    assert "1 of 2 answers hold a block of thinking" in biddable(*judge).stderr
    stripped = biddable(*judge, "--json", "--strip-thinking")
    assert json.loads(stripped.stdout)["prompt_strict"] == 1.0


def test_other_weights_under_the_same_name_are_told(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("eval", "mine", "--tasks", followable("say it"), "--out", "r")
    monkeypatch.setattr(evaluate, "model_identity", lambda model: "first")
    assert biddable(*arguments).exit_code == 0
    monkeypatch.setattr(evaluate, "model_identity", lambda model: "second")
    assert_one_line(biddable(*arguments), "r: the weights of mine are not those", "--out", "remove")
    monkeypatch.setattr(evaluate, "model_identity", lambda model: "first")
    assert biddable(*arguments).exit_code == 0


def test_a_tasks_file_changed_in_place_is_told(biddable: Command, parrot: Parrot) -> None:
    arguments = ("eval", "parrot", "--tasks", followable("say it"), "--out", "r")
    assert biddable(*arguments).exit_code == 0
    write_lines("t.jsonl", [example(1, "say it", LOWER)])
    assert_one_line(biddable(*arguments), "tasks")


def test_a_model_made_for_few_tokens_is_given_half_of_them(parrot: Parrot) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    assert evaluate.default_max_tokens(parrot) == 1280

    class Small(Parrot):
        module = GPT2LMHeadModel(
            GPT2Config(n_positions=64, n_layer=1, n_head=1, n_embd=8, vocab_size=8, bos_token_id=0)
        )
        tokenizer = None

        def score(self, chats: Any, continuations: Any) -> Any: ...
        def save(self, folder: Any) -> Any: ...

    assert evaluate.default_max_tokens(Small()) == 32


def test_names_are_shown_as_they_are(biddable: Command, parrot: Parrot) -> None:
    result = biddable("eval", "[/bold]", "--tasks", followable("say it"), "--out", "r")
    assert result.exit_code == 0, result.output
    assert "[/bold] on ifeval" in result.stdout


@pytest.mark.parametrize(
    ("kwargs", "ids", "score"),
    [
        ([{"num_words": 5.0, "relation": "at least", "keyword": None}], [WORDS], 1.0),
        ([{"num_words": "5", "relation": "at least"}], [WORDS], 1.0),
        ({"num_words": 5, "relation": "at least"}, [WORDS], 1.0),
        ({"num_words": 5, "relation": "at least"}, [WORDS, NO_COMMA], 1.0),
        ({"num_words": 9, "relation": "at least"}, [WORDS, NO_COMMA], 0.0),
        ([None], [NO_COMMA], 1.0),
        (["{}"], [NO_COMMA], 1.0),
    ],
    ids=str,
)
def test_arguments_as_others_write_them(biddable: Command, kwargs: Any, ids: list[str], score: float) -> None:
    answers = write_lines("r", [{"prompt": "p", "response": "one two three four five"}])
    files = ("--tasks", write_lines("t", [example(1, "p", *ids, kwargs=kwargs)]), "--responses", answers)
    assert json.loads(biddable("judge", "ifeval", *files, "--json").stdout)["prompt_strict"] == score


@pytest.mark.parametrize(
    ("kwargs", "ids", "part"),
    [
        ([{"num_words": 5.5, "relation": "at least"}], [WORDS], "kwargs[0].num_words is 5.5"),
        ([{"colour": "red"}], [NO_COMMA], "kwargs[0].colour is 'red', expected no such argument"),
        ({"num_words": 5, "relation": "at least", "colour": "red"}, [WORDS, NO_COMMA], "kwargs[0].colour"),
        ([{}, {"num_words": 5, "relation": "at least"}], [WORDS, NO_COMMA], "kwargs[0].num_words is missing"),
    ],
    ids=str,
)
def test_arguments_that_no_rule_takes_are_never_passed_over(
    biddable: Command, kwargs: Any, ids: list[str], part: str
) -> None:
    files = ("--tasks", write_lines("t", [example(1, "p", *ids, kwargs=kwargs)]),
             "--responses", write_lines("r", [{"prompt": "p", "response": "one"}]))  # fmt: skip
    assert_one_line(biddable("judge", "ifeval", *files), "task 1", part)


def test_missing_responses_are_counted_and_those_to_other_tasks_too(biddable: Command) -> None:
    tasks = followable(*(f"Prompt {i}" for i in range(15)))
    answers = [{"prompt": f"Prompt {i}", "response": "Hills are quiet and green."} for i in (0, 1, 2, 99)]
    files = ("--tasks", tasks, "--responses", write_lines("r.jsonl", answers))
    result = biddable("judge", "ifeval", *files, "--json")
    found = json.loads(result.stdout)
    assert (found["prompt_strict"], found["missing"], len(found["missing_tasks"])) == (0.2, 12, 12)
    assert "12 of 15 tasks have no answer" in result.stderr
    assert "1 responses belong to none of the tasks." in result.stderr
    assert result.stderr.count("has no answer") == 10
    table = " ".join(biddable("judge", "ifeval", *files).stdout.split())
    assert "12 of 15 tasks have no answer and count as not followed." in table


def test_eval_again_asks_the_model_nothing(biddable: Command, parrot: Parrot) -> None:
    arguments = ("eval", "parrot", "--suite", "composed", "--limit", "5")
    first, loads = biddable(*arguments), parrot.loads
    again = biddable(*arguments)
    assert loads == parrot.loads == 1
    assert again.stdout == first.stdout
    assert "5 prompts" in first.stdout
    assert Path("runs/eval-composed-parrot/results.json").exists()


def test_composed_tasks_are_the_same_every_time(biddable: Command, parrot: Parrot) -> None:
    biddable("eval", "parrot", "--suite", "composed", "--limit", "4", "--out", "a")
    biddable("eval", "parrot", "--suite", "composed", "--limit", "6", "--out", "b")
    assert parrot.chats[:4] == parrot.chats[4:8]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((), ("--tasks", "input_data.jsonl", "google-research", "composed")),
        (("--tasks", "gone.jsonl"), ("gone.jsonl", "no such file")),
        (("--tasks", "."), ("director",)),
        (("--suite", "composed", "--tasks", "t.jsonl"), ("--tasks",)),
        (("--tasks", "half.jsonl"), ("half.jsonl:1", "surrogates")),
        (("--tasks", "rules.jsonl"), ("keywords:magic",)),
    ],
    ids=str,
)
def test_eval_refuses_before_any_model_is_asked(
    biddable: Command, parrot: Parrot, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    write_lines("half.jsonl", [example(1, "half a \ud83d", NO_COMMA)])
    write_lines("rules.jsonl", [example(1, "p", "keywords:magic")])
    assert_one_line(biddable("eval", "parrot", *arguments), *parts)
    assert parrot.loads == 0
    assert not Path("runs").exists()


CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts.md"
STRANGE = """
def unruly(path, limit):
    return [biddable.Task("t", biddable.user("p"))]

def void(path, limit):
    return []
"""


@pytest.fixture
def others(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Suites of another package, one of which is the manual's."""
    [manual] = re.findall(r"```python\n(def first_steps.*?)```", CONCEPTS.read_text("utf-8"), re.DOTALL)
    folder = tmp_path_factory.mktemp("others")
    (folder / "other_suites.py").write_text(f"import biddable\n\n{manual}\n{STRANGE}", "utf-8")
    information = folder / "other_suites-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: other-suites\nVersion: 1\n")
    names = {"first-steps": "first_steps", "unruly": "unruly", "void": "void", "composed": "void"}
    lines = [f"{name} = other_suites:{function}\n" for name, function in names.items()]
    (information / "entry_points.txt").write_text("[biddable.suites]\n" + "".join(lines))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "other_suites", raising=False)


@pytest.mark.usefixtures("others")
def test_a_suite_of_another_package_is_answered_and_scored(biddable: Command, parrot: Parrot) -> None:
    result = biddable("eval", "parrot", "--suite", "first-steps", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["suite"], found["n_prompts"], found["prompt_strict"]) == ("first-steps", 1, 1.0)
    assert Path("runs/eval-first-steps-parrot/report.html").exists()
    assert "[ifeval|composed|first-steps|unruly|void]" in biddable("eval", "--help").stdout


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    ("suite", "parts"),
    [
        ("unruly", ("task t", "at least one check")),
        ("void", ("--tasks is None", "the suite void finds tasks in")),
        ("followbench", ("'followbench' is not one of 'ifeval', 'composed', 'first-steps'",)),
    ],
)
def test_a_suite_that_rules_cannot_score_is_refused_before_any_model_is_asked(
    biddable: Command, parrot: Parrot, suite: str, parts: tuple[str, ...]
) -> None:
    assert_one_line(biddable("eval", "parrot", "--suite", suite), *parts)
    assert parrot.loads == 0
    assert not Path("runs").exists()


@pytest.mark.usefixtures("others")
def test_others_cannot_take_the_name_of_a_suite_of_ours() -> None:
    assert len(load_suite("composed", None, None)) == 200


def test_an_unknown_suite_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"suite is 'ifevel', expected one of \d suites: ifeval"):
        load_suite("ifevel", None, None)


def test_a_model_that_is_not_there_is_one_line(biddable: Command) -> None:
    Path("empty").mkdir()
    assert_one_line(biddable("eval", "empty", "--suite", "composed", "--limit", "2"), "empty", "no model")
    assert_one_line(biddable("eval", "gpt", "--suite", "composed", "--limit", "2"), "'gpt'", "smollm2")


@pytest.mark.skipif(not DATA.exists(), reason="the published IFEval prompts are not beside the project")
def test_the_published_prompts_are_read(biddable: Command, parrot: Parrot) -> None:
    result = biddable("eval", "parrot", "--tasks", str(DATA), "--limit", "10", "--json")
    assert json.loads(result.stdout)["n_prompts"] == 10
