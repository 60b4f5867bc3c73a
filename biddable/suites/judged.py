"""FollowBench, whose responses a model judges, and LLMBar, which asks the model to judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from biddable.errors import InputError
from biddable.judges.followbench import FollowBenchJudge, followbench_scores
from biddable.models.base import LanguageModel, Sampling
from biddable.models.lazy import LazyModel
from biddable.suites.base import Metric, Suite
from biddable.suites.metrics import ACC, chosen, decided
from biddable.types import Record, Task, last_turn


class _WhenAsked:
    """A judging model that is loaded when it is first asked."""

    def __init__(self, spec: str):
        self.name, self._model = spec, LazyModel(spec)

    def generate(self, prompts: Any, **how: Any) -> Any:
        return self._model().generate(prompts, **how)

    def score(self, prompts: Any, continuations: Any, **how: Any) -> Any:
        return self._model().score(prompts, continuations, **how)


def followbench(path: str, judge: str = "") -> Suite:
    """FollowBench (Jiang et al. 2024, arXiv 2310.20410): instructions that grow by a constraint, five times.

    ``judge`` is the model that says which constraints a response satisfies (the paper: GPT-4). Without one,
    the tasks of the kind *example* are asked, which a rule judges. Scores: responses that satisfy all (hsr),
    the share satisfied (ssr), and levels passed in a row (csl, of whole groups). What the judging model says
    nothing valid of is left out of each.
    """
    from biddable.tasks.followbench import load_followbench

    tasks = load_followbench(path)
    notes: tuple[str, ...] = ()
    if not judge:
        ruled = [task for task in tasks if "template" in task.meta]
        if others := len(tasks) - len(ruled):
            notes = (f"{others:,} of {len(tasks):,} tasks need a model to judge (judge=MODEL): left out.",)
        tasks = ruled
        if not tasks:
            raise InputError(
                "judge", judge, f"a model to judge with, as in followbench:{path}?judge=runs/judge"
            )
    model: LanguageModel = _WhenAsked(judge or "none")
    return Suite(
        "followbench",
        tuple(map(_laddered, tasks)),
        (
            Metric("hsr", decided(lambda verdict: verdict.passed)),
            Metric("ssr", decided(lambda verdict: verdict.score)),
        ),
        judge=FollowBenchJudge(model),
        sampling=Sampling(max_tokens=1024, temperature=0.0),
        totals=_consistent_levels,
        version=f"2 {judge or 'rules'}",
        notes=notes,
        source="YJiangcm/FollowBench on GitHub",
        license="Apache-2.0",
    )


def _laddered(task: Task) -> Task:
    """The task reported by level; those of one instruction are not independent."""
    ladder = task.meta["group"]
    return replace(
        task, meta={**task.meta, "ladder": ladder, "source": ladder, "group": f"level {task.meta['level']}"}
    )


def _consistent_levels(records: Sequence[Record]) -> dict[str, float]:
    """CSL, over the groups that were asked whole."""
    ladders: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        ladders[str(record.task.meta["ladder"])].append(record)
    rows = [
        (replace(record.task, meta={**record.task.meta, "group": ladder}), record.verdicts[0])
        for ladder, of in ladders.items()
        if len(of) == 5
        for record in of
    ]
    csl = followbench_scores(rows)["csl"] if rows else None
    return {} if csl is None else {"csl": csl}


PAIR = """\
Which of two outputs follows the instruction better? How well an output reads does not count.

Instruction:
{instruction}

Output 1:
{first}

Output 2:
{second}

The better output is number"""


def llmbar(path: str) -> Suite:
    """LLMBar (Zeng et al. 2024, arXiv 2310.07641): which of two outputs follows the instruction?

    The model judges, by the likelier number; each pair is shown in both orders. ``consistent`` is the share
    of pairs in which it names the same output both times. The wording of the request is ours.
    """
    from biddable.tasks.llmbar import load_llmbar

    pairs: defaultdict[str, list[Task]] = defaultdict(list)
    for task in load_llmbar(path):
        pairs[task.id.rpartition("/")[0]].append(task)
    return Suite(
        "llmbar",
        tuple(_pair(name, both, turned) for name, both in pairs.items() for turned in (False, True)),
        (ACC,),
        "choose",
        totals=_consistent,
        source="princeton-nlp/LLMBar on GitHub",
        license="MIT",
    )


def _pair(name: str, both: Sequence[Task], turned: bool) -> Task:
    shown = both[::-1] if turned else both
    instruction = last_turn(both[0].prompt)
    first, second = (str(task.meta["response"]) for task in shown)
    better = "1" if shown[0].meta["follows"] else "2"
    return Task(
        f"{name}/{'turned' if turned else 'as-is'}",
        PAIR.format(instruction=instruction, first=first, second=second),
        references=(better,),
        meta={"group": both[0].meta["subset"], "source": name},
        choices=("1", "2"),
    )


def _consistent(records: Sequence[Record]) -> dict[str, float]:
    """The share of pairs whose orders are both judged right, or both wrong; of those judged in both."""
    pairs: defaultdict[str, list[float]] = defaultdict(list)
    for record in records:
        if chosen(record) is not None:
            pairs[str(record.task.meta["source"])].append(record.metrics["acc"])
    whole = [numbers for numbers in pairs.values() if len(numbers) == 2]
    return {"consistent": fmean(numbers[0] == numbers[1] for numbers in whole)} if whole else {}
