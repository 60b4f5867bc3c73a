"""Code is run with its task's tests: what passes is right, whatever else it does."""

from __future__ import annotations

import os
from itertools import combinations
from math import comb

import pytest

from biddable.errors import InputError, MissingDependency, SandboxError
from biddable.judges import code
from biddable.judges.code import CodeJudge, estimate_pass_at_k, filter_code, fix_indents, pass_at_k, program
from biddable.judges.load import load_judge
from biddable.runs.sandbox import require_sandbox
from biddable.types import Response, Task, Verdict

STUB = 'import math\n\ndef area(r):\n    """ Of a disc. """\n'
TEST = "\nMETADATA = {}\n\ndef check(candidate):\n    assert abs(candidate(2) - 12.566) < 0.01, 'too far'\n"
TASK = Task("Own/0", STUB, meta={"stub": STUB, "test": TEST, "entry_point": "area"})
RIGHT = "    return math.pi * r ** 2\n"
FUNCTION = "def area(r):\n    total = math.pi\n\n    return total * r ** 2\n"
FAST = {"seconds": 20.0}


@pytest.fixture(scope="module")
def walls() -> None:
    try:
        require_sandbox()
    except (MissingDependency, SandboxError) as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


shut_in = pytest.mark.usefixtures("walls")


def judged(*responses: str, task: Task = TASK, **options: object) -> list[Verdict]:
    judge = CodeJudge(**{**FAST, **options})  # type: ignore[arg-type]
    return judge([task] * len(responses), [Response(text) for text in responses])


@shut_in
@pytest.mark.parametrize(
    "response",
    [
        RIGHT,
        f"\n{RIGHT}\n\nprint(area(1, 2, 3))\n\ndef main(:\n",
        "return math.pi * r ** 2",
        f"Sure:\n```python\n{STUB}{RIGHT}```\nIt **works**.",
        f"Sure:\n```\nprint(undefined)\n```\nor rather\n~~~python\n{FUNCTION}~~~\n",
        f"```python\n{RIGHT}```",
        f"1. Here:\n   ```py\n   {FUNCTION.replace(chr(10), chr(10) + '   ')}\n   ```\n",
        f"```python\n{FUNCTION}",
        f"Here it is:\n\n{FUNCTION}\nThis function (as asked) works.\nprint(x)\n",
        f"\n{STUB}{RIGHT}",
        f"{RIGHT}```\nThis function returns the area.\n",
        f"{RIGHT}```\n\nAn example:\n```python\nprint(area(1))\n```",
    ],
)
def test_code_is_found_however_it_is_given(response: str) -> None:
    [verdict] = judged(response)
    assert (verdict.score, verdict.passed, verdict.critique) == (1.0, True, "The tests pass.")
    assert [check.id for check in verdict.checks] == ["code:tests"]


@shut_in
@pytest.mark.parametrize(
    ("response", "critique"),
    [
        ("    return r\n", "AssertionError: too far"),
        ("    return pi\n", "NameError: name 'pi' is not defined"),
        ("    return (\n", "SyntaxError: "),
        ("    raise SystemExit(0)\n", "It ended before its tests, with exit code 0."),
        ("    import os; os._exit(0)\n", "It ended before its tests, with exit code 0."),
        ("    print('passed'); exit()\n", "It ended before its tests, with exit code 0."),
        ("    import os; os.kill(os.getpid(), 9)\n", "It ended before its tests, with exit code 137."),
        ("    print('x' * 10**8)\n", "It printed more than it may."),
        ("    return 'x' * 10**10\n", "MemoryError"),
        ("I cannot help with that.", "SyntaxError: "),
    ],
)
def test_why_code_does_not_pass_is_told(response: str, critique: str) -> None:
    [verdict] = judged(response)
    assert (verdict.score, verdict.passed) == (0.0, False)
    assert verdict.critique.startswith(critique)
    assert verdict.checks[0].reason == verdict.critique


@shut_in
def test_one_that_hangs_ends_no_other_and_none_is_taken_for_another() -> None:
    responses = ["    while True: pass\n", RIGHT, "    return 1\n", RIGHT, ""]
    verdicts = judged(*responses, seconds=2)
    assert [verdict.passed for verdict in verdicts] == [False, True, False, True, False]
    assert verdicts[0].critique == "It was still running when its time was up."
    assert (verdicts[4].score, verdicts[4].critique) == (None, "The response holds no code.")


@shut_in
def test_what_cannot_be_judged_is_told_apart() -> None:
    judge = CodeJudge()
    tasks = [Task("no tests", "Write."), TASK]
    undecided, failed = judge(tasks, [Response(RIGHT), Response("", error="refused", finish_reason="error")])
    assert (undecided.score, undecided.passed, undecided.critique) == (None, None, "The task has no tests.")
    assert (failed.score, failed.passed, failed.critique) == (None, False, "refused")
    with pytest.raises(InputError, match="responses is 0"):
        judge([TASK], [])


@shut_in
def test_tests_alone_are_enough_of_a_task() -> None:
    task = Task("own", "Write double.", meta={"test": "assert double(2) == 4"})
    right, wrong = judged("```python\ndef double(x): return 2 * x\n```", "def double(x): return x", task=task)
    assert (right.passed, wrong.passed) == (True, False)


@shut_in
def test_helpers_in_the_stub_are_there_for_a_function_written_anew() -> None:
    stub = "def half(x):\n    return x / 2\n\n\ndef quarter(x):\n    ''' A fourth. '''\n"
    test = "def check(candidate):\n    assert candidate(8) == 2\n"
    task = Task("own", stub, meta={"stub": stub, "test": test, "entry_point": "quarter"})
    anew = "```python\ndef quarter(x):\n    return half(half(x))\n```"
    assert [verdict.passed for verdict in judged(anew, "    return half(half(x))\n", task=task)] == [True] * 2


def test_the_readings_differ_in_what_they_keep() -> None:
    response = f"{RIGHT}\n\nprint(1)\n"
    whole = program(TASK, response, "whole")
    assert whole is not None
    assert whole.startswith(f"{STUB}{response}\n{TEST}")
    assert "check(area)" in whole.splitlines()
    cut = program(TASK, "\n\n   x = 1\n\n   y = 2\n", "instructeval")
    assert cut is not None
    assert cut.startswith(f"{STUB}    x = 1\n{TEST}")


def test_indents_are_made_even_and_code_ends_at_the_first_empty_line() -> None:
    assert fix_indents("a\n b\n  c\n\td\n   e\n") == "a\n  b\n  c\n\td\n    e\n"
    assert fix_indents("   a", 4) == "    a"
    assert filter_code("\n\n  a\n  b\n\n  c") == "  a\n  b"
    assert filter_code("") == ""


@pytest.mark.parametrize(("n", "c"), [(1, 0), (1, 1), (5, 0), (5, 2), (5, 5), (10, 3)])
def test_pass_at_k_is_the_share_of_drawings_with_one_that_passes(n: int, c: int) -> None:
    for k in range(1, n + 1):
        drawings = list(combinations([index < c for index in range(n)], k))
        assert estimate_pass_at_k(n, c, k) == pytest.approx(sum(map(any, drawings)) / len(drawings))
        assert estimate_pass_at_k(n, c, k) == pytest.approx(1 - comb(n - c, k) / comb(n, k))


def test_pass_at_k_of_many_tasks_is_their_mean() -> None:
    assert pass_at_k([[True, False], [False, False]], 1) == 0.25
    assert pass_at_k([[True, False], [False, False]], 2) == 0.5
    assert estimate_pass_at_k(10_000, 1, 100) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("numbers", "field"), [((5, 6, 1), "c"), ((5, -1, 1), "c"), ((5, 2, 6), "k"), ((5, 2, 0), "k")]
)
def test_drawings_that_cannot_be_are_refused(numbers: tuple[int, int, int], field: str) -> None:
    with pytest.raises(InputError) as caught:
        estimate_pass_at_k(*numbers)
    assert caught.value.field == field
    with pytest.raises(InputError, match="at least one task"):
        pass_at_k([], 1)


@shut_in
def test_the_judge_has_a_name_and_options() -> None:
    judge = load_judge("code?reading=instructeval&seconds=5&workers=1")
    assert judge == CodeJudge("instructeval", 5.0, workers=1)
    with pytest.raises(InputError, match="reading is 'python'"):
        load_judge("code?reading=python")
    with pytest.raises(InputError, match="workers is 0"):
        CodeJudge(workers=0)


def test_without_a_sandbox_there_is_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise MissingDependency("bubblewrap", "apt-get install bubblewrap")

    monkeypatch.setattr(code, "require_sandbox", refuse)
    with pytest.raises(MissingDependency, match="apt-get install bubblewrap"):
        CodeJudge()
