"""Published benchmarks as suites, asked as lm-evaluation-harness asks them unless said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from biddable.errors import InputError
from biddable.judges.reference import ReferenceJudge
from biddable.models.base import Sampling
from biddable.suites.base import Ask, Suite
from biddable.suites.metrics import ACC, ACC_NORM, BITS_PER_BYTE, MC2, WORD_PERPLEXITY, met, passed
from biddable.types import Task

_STOPS = ("</s>", "<|im_end|>")


def mmlu(
    path: str, subjects: tuple[str, ...] = (), style: Literal["lm-eval", "official"] = "lm-eval"
) -> Suite:
    """MMLU (Hendrycks et al. 2021, arXiv 2009.03300): four options by letter; five solved examples."""
    from biddable.tasks.mmlu import read_mmlu

    tasks, shots = read_mmlu(path, subjects=subjects, style=style)
    source = "hendrycks/test on GitHub"
    return Suite("mmlu", tuple(tasks), (ACC,), "choose", shots=shots, k=5, source=source, license="MIT")


def bbh(path: str, tasks: tuple[str, ...] = (), ask: Ask = "generate", reasoning: bool = False) -> Suite:
    """BIG-Bench Hard (Suzgun et al. 2022, arXiv 2210.09261): three solved examples, answers written.

    With ``ask=choose`` the likeliest option is taken, of the tasks that list options or have fixed ones.
    """
    from biddable.tasks.bbh import read_bbh

    read, shots = read_bbh(path, tasks=tasks, reasoning=reasoning)
    facts = {"source": "suzgunmirac/BIG-Bench-Hard on GitHub", "license": "MIT"}
    if ask == "choose":
        some = _with_choices("bbh", read)
        return Suite("bbh", some, (ACC, ACC_NORM), "choose", shots=shots, k=3, **facts)  # type: ignore[arg-type]
    if ask != "generate":
        raise InputError("ask", ask, "generate or choose")
    judge = ReferenceJudge("exact_match", extract=r"(?:the answer is )?(.*?)\.?\s*$" if reasoning else "")
    return Suite(
        "bbh",
        tuple(read),
        (passed("exact_match"),),
        judge=judge,
        shots=shots,
        k=3,
        sampling=Sampling(max_tokens=512 if reasoning else 32, temperature=0.0, stop=(*_STOPS, "Q:", "\n\n")),
        **facts,  # type: ignore[arg-type]
    )


def gsm8k(path: str) -> Suite:
    """GSM8K (Cobbe et al. 2021, arXiv 2110.14168): sums in words; five solved examples.

    The number after "####" counts (exact_match), or the last number anywhere (flexible).
    """
    from biddable.tasks.gsm8k import read_gsm8k

    tasks, shots = read_gsm8k(path)
    return Suite(
        "gsm8k",
        tuple(tasks),
        (
            met("exact_match", "reference:gsm8k_strict"),
            met("exact_match_flexible", "reference:gsm8k_flexible"),
        ),
        judge=ReferenceJudge(("gsm8k_strict", "gsm8k_flexible")),
        shots=shots,
        k=5,
        sampling=Sampling(max_tokens=256, temperature=0.0, stop=("Question:", *_STOPS)),
        source="openai/grade-school-math on GitHub",
        license="MIT",
    )


def truthfulqa(path: str, form: Literal["mc1", "mc2"] = "mc1") -> Suite:
    """TruthfulQA (Lin et al. 2022, arXiv 2109.07958): the likeliest answer, or the share of the true ones."""
    from biddable.tasks.truthfulqa import read_truthfulqa

    tasks, shots = read_truthfulqa(path, form=form)
    metric = replace(ACC, name="mc1") if form == "mc1" else MC2
    source = "sylinrl/TruthfulQA on GitHub"
    return Suite(
        "truthfulqa", tuple(tasks), (metric,), "choose", shots=shots, k=6, source=source, license="Apache-2.0"
    )


def text(path: str) -> Suite:
    """Perplexity of texts: a text file is one, rows with a column ``text`` are one each."""
    from pathlib import Path

    from biddable.tasks.data import read_prompts

    if Path(path).suffix == ".txt":
        from biddable.tasks.rows import read_text

        texts = [read_text(Path(path))]
    else:
        texts = [prompt for prompt in read_prompts(path) if isinstance(prompt, str)]
    tasks = tuple(Task(str(index), each) for index, each in enumerate(texts) if each.strip())
    if not tasks:
        raise InputError("text", path, "a text, or rows with a column text")
    return Suite("text", tasks, (BITS_PER_BYTE, WORD_PERPLEXITY), "perplexity")


def _with_choices(name: str, tasks: Sequence[Task]) -> tuple[Task, ...]:
    some = tuple(task for task in tasks if task.choices)
    if not some:
        raise InputError("ask", "choose", f"generate: none of these tasks of {name} lists its options")
    return some
