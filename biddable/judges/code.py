"""A judge that runs what a model wrote: a task's tests say whether its code is right.

Tasks are those of ``tasks.humaneval``, or others of which ``meta`` holds as much. Code runs in
``runs.sandbox``, or not at all.
"""

from __future__ import annotations

import ast
import re
import secrets
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from biddable.errors import InputError, one_line
from biddable.judges.base import require_equal_lengths
from biddable.runs.sandbox import MEMORY_MB, SECONDS, SandboxResult, require_sandbox, run_all
from biddable.types import CheckResult, Response, Task, Verdict

Reading = Literal["code", "instructeval", "whole"]

CHECK = "code:tests"

_FENCED = re.compile(r"^[ \t]*(```+|~~~+)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_INDENTED = re.compile(r"\n*(?: {2,}|\t)[^\s`~]")
_TOP_LEVEL = re.compile(r"\n(?=[^\s)\]}])")
_DEFINITION = re.compile(
    r"from\s+\S+\s+import\b|import\s+\w|(?:async\s+)?def\s|class\s|@\w|[A-Za-z_]\w*(?:\s*:[^=\n]+)?\s*=[^=]"
)
_STOPPED = {
    "time": "It was still running when its time was up.",
    "memory": "It took more memory than it may.",
    "output": "It printed more than it may.",
}


@dataclass(frozen=True)
class CodeJudge:
    """Runs the tests of a task on the code of a response: score 1 where they pass, 0 where they do not.

    Of a task's ``meta`` it takes ``test``, which is Python, and, where they are there, ``stub``, with which
    the program begins, and ``entry_point``, the function that ``check`` of the test is called with.

    Args:
        reading: how code is read out of a response.

            * ``code``: the block in backticks that defines the function, else an indented text up to its
              first fence, else the first block, else the text; it stands after the stub where it defines
              the function, and else goes on with it up to the next line at the margin;
            * ``instructeval``: INSTRUCTEVAL's rule: lines indented by an even number of blanks, then up to
              the first empty line, after the stub;
            * ``whole``: as it is, after the stub (what the authors of HumanEval do).
        seconds, memory_mb: what each program may take.
        workers: programs at a time.
    """

    reading: Reading = "code"
    seconds: float = SECONDS
    memory_mb: int = MEMORY_MB
    workers: int = 2

    def __post_init__(self) -> None:
        """Refuse where nothing can be judged, before a model has written anything.

        Raises:
            MissingDependency, SandboxError: untrusted programs cannot be shut in here.
            InputError: no such reading, or no such number of workers.
        """
        if self.reading not in _READINGS:
            raise InputError("reading", self.reading, f"one of {', '.join(_READINGS)}")
        if self.workers < 1:
            raise InputError("workers", self.workers, "an integer of at least 1")
        require_sandbox()

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """Run each response with its task's tests; ``seeds`` are ignored.

        A task without tests is not decided: score and passed are None. A response without code, or that is an
        error, has no score and does not pass.
        """
        require_equal_lengths(tasks, responses, seeds)
        # No code knows this: what ends before its tests are over, and well, does not pass.
        mark = secrets.token_hex(16)
        programs = [
            program(task, response.text, self.reading, mark)
            for task, response in zip(tasks, responses, strict=True)
        ]
        different = list(dict.fromkeys(filter(None, programs)))
        results = run_all(different, self.workers, seconds=self.seconds, memory_mb=self.memory_mb)
        by_program = dict(zip(different, results, strict=True))
        return [
            _verdict(task, response, by_program[each] if each else None, mark)
            for task, response, each in zip(tasks, responses, programs, strict=True)
        ]


def program(task: Task, response: str, reading: Reading = "code", mark: str = "") -> str | None:
    """What is run: the code of a response and its task's tests, which print ``mark`` when they have passed.

    None where there is no test or no code.
    """
    test, stub = task.meta.get("test"), str(task.meta.get("stub", ""))
    name = str(task.meta.get("entry_point", ""))
    if not test or not response.strip():
        return None
    code = _READINGS[reading](response, stub, name)
    call = f"check({name})" if name and "def check(" in test else ""
    return f"{code}\n{test}\n{call}\n__import__('os').write(1, b'\\n{mark}\\n')\n"


def estimate_pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that one of ``k`` responses passes, estimated without bias from ``n`` of which ``c`` passed.

    Source: Chen et al., 2021 (arXiv 2107.03374), 1 - C(n-c, k) / C(n, k).

    Raises:
        InputError: more are drawn than there are, or more passed.
    """
    if not 0 <= c <= n:
        raise InputError("c", c, f"from 0 to {n}, the number of responses")
    if not 1 <= k <= n:
        raise InputError("k", k, f"from 1 to {n}, the number of responses")
    missed = 1.0
    for failed in range(n - c, n):  # the product of 1 - k / m over m from n - c + 1 to n
        missed *= max(0.0, 1 - k / (failed + 1))
    return 1 - missed


def pass_at_k(passed: Sequence[Sequence[bool]], k: int) -> float:
    """The mean over tasks of ``estimate_pass_at_k``; ``passed`` [tasks, responses].

    Raises:
        InputError: there is no task, or one has fewer than ``k`` responses.
    """
    if not passed:
        raise InputError("passed", list(passed), "at least one task")
    return fmean(estimate_pass_at_k(len(each), sum(each), k) for each in passed)


def fix_indents(text: str, multiple: int = 2) -> str:
    """``text`` with as many blanks before each line as make its indentation a multiple."""
    lines = text.split("\n")
    return "\n".join(" " * (-(len(line) - len(line.lstrip(" "))) % multiple) + line for line in lines)


def filter_code(text: str) -> str:
    """``text`` from its first line that is not empty up to the first that is."""
    return text.lstrip("\n").split("\n\n")[0]


def code_judge(
    reading: Reading = "code", seconds: float = SECONDS, memory_mb: int = MEMORY_MB, workers: int = 2
) -> CodeJudge:
    """The judge by name: ``code``, ``code?reading=instructeval&seconds=10``."""
    return CodeJudge(reading, seconds, memory_mb, workers)


def _as_instructeval(response: str, stub: str, name: str) -> str:
    return stub + filter_code(fix_indents(response))


def _as_it_is(response: str, stub: str, name: str) -> str:
    return stub + response


def _as_code(response: str, stub: str, name: str) -> str:
    blocks = [block for _, block in _FENCED.findall(response)]
    defines = re.compile(rf"^(?:async\s+)?def\s+{re.escape(name)}\b" if name else "", re.MULTILINE)
    code = next(filter(defines.search, blocks), None)
    if code is None and stub and _INDENTED.match(response):
        # It goes on with the stub: a fence after that ends the code.
        blocks, response = [], _FENCE.split(response)[0]
    code = code if code is not None else blocks[0] if blocks else response
    code = (textwrap.dedent(code) if blocks else code).lstrip("\n")
    at_margin = bool(code[:1].strip())
    if not stub:
        return code
    if at_margin and defines.search(code):
        # The stub's imports and helpers are wanted; its function, a docstring only, is defined anew.
        return f"{stub if _parses(stub) else ''}\n{code if blocks else _definitions(code)}"
    return stub + (textwrap.indent(code, "    ") if at_margin else _TOP_LEVEL.split(code)[0])


def _definitions(text: str) -> str:
    """What a text that is no block defines, imports or sets; sentences and calls between are left out.

    It is not parsed: texts can be made that end a process which parses them.
    """
    return "\n".join(filter(_DEFINITION.match, _TOP_LEVEL.split(text)))


_READINGS = {"code": _as_code, "instructeval": _as_instructeval, "whole": _as_it_is}


def _parses(stub: str) -> bool:
    try:
        ast.parse(stub)
    except (SyntaxError, ValueError):
        return False
    return True


def _verdict(task: Task, response: Response, result: SandboxResult | None, mark: str) -> Verdict:
    if not task.meta.get("test"):
        return Verdict(None, None, "The task has no tests.")
    if response.error:
        return Verdict(None, False, response.error)
    if result is None:
        return Verdict(None, False, "The response holds no code.")
    passed = result.stopped is None and mark in result.stdout
    reason = "The tests pass." if passed else _problem(result)
    return Verdict(float(passed), passed, reason, (CheckResult(CHECK, passed, reason),))


def _problem(result: SandboxResult) -> str:
    if result.stopped:
        return _STOPPED[result.stopped]
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    return (
        one_line(lines[-1])[:300]
        if lines
        else f"It ended before its tests, with exit code {result.exit_code}."
    )
