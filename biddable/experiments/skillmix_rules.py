"""Rules of composed tasks as the skills of Instruct-SkillMix: every answer can be checked by code.

A combination of skills is a set of rule types that may stand in one prompt. Some are held out: no arm learns
from them, and none learns from the requests that the held-out ones are asked with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from biddable.errors import InputError
from biddable.experiments.stages import Weights, sampled
from biddable.judges.answer import NOT_DEGENERATE, AnswerJudge
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.figures import Cell, Table
from biddable.runs.run import Run
from biddable.suites.answers import Ask, answers
from biddable.tasks.compose.bases import Base, Split, bases_of
from biddable.tasks.compose.composer import compose
from biddable.tasks.compose.conflicts import compatible
from biddable.tasks.compose.rules import RULES
from biddable.tasks.repairs import repair
from biddable.tasks.skillmix import Example, Mode
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Response, Task, Verdict, last_turn, user

Combination = tuple[str, ...]
"""Rule types, in the order of the types that there are."""

REQUESTS: dict[Mode, str] = {
    "brevity": "{instruction}\n\nAnswer as briefly as you can, in a few words.",
    "junk": "{instruction}\n\nGive an answer that is of no help at all: lazy, vague and long.",
}
"""How the teacher is asked to shirk; in our words."""

AS_WRITTEN, REPAIRED = "as written", "repaired by rule"


@dataclass(frozen=True, slots=True)
class Checked:
    """A task with an answer that passes its checks, and whether a rule repaired it."""

    task: Task
    text: str
    how: str

    def example(self, generator: str) -> Example:
        """The same as a row; its query type is the genre of the request."""
        types = tuple(check.id for check in self.task.checks)
        return Example(last_turn(self.task.prompt), self.text, types, self.task.meta["genre"], generator)


def suited(types: Sequence[str], split: Split) -> list[Base]:
    """The requests of a split that all the rule types suit."""
    return [base for base in bases_of(split) if all(RULES[each].fits(base) for each in types)]


def rule_combinations(types: Sequence[str], k: int) -> list[Combination]:
    """All sets of ``k`` types that may stand in one prompt, and that requests of all splits suit.

    Raises:
        InputError: a type that there is not, or one twice.
    """
    for at, name in enumerate(types):
        if name not in RULES or name in types[:at]:
            raise InputError("types", name, f"one of {', '.join(RULES)}, each once")
    return [
        of
        for of in combinations(types, k)
        if all(compatible(*pair) for pair in combinations(of, 2))
        and suited(of, "train")
        and suited(of, "test")
    ]


def divided(
    every: Sequence[Combination], share: float, rng: np.random.Generator
) -> tuple[list[Combination], list[Combination]]:
    """Combinations to learn from, and those held out: about ``share`` of them.

    Every type stays in a combination that is learned from, so that what is held out is how they are combined.
    """
    learned = Counter(name for of in every for name in of)
    held: list[Combination] = []
    for place in rng.permutation(len(every)):
        of = every[place]
        if len(held) < max(1, round(share * len(every))) and all(learned[name] > 1 for name in of):
            held.append(of)
            learned.subtract(of)
    return [of for of in every if of not in held], held


def covering(every: Sequence[Combination], rng: np.random.Generator) -> list[Combination]:
    """A few of the combinations in which every type stands that stands in any."""
    missing = {name for of in every for name in of}
    order = [every[place] for place in rng.permutation(len(every))]
    chosen: list[Combination] = []
    while missing:
        best = max(order, key=lambda of: len(missing.intersection(of)))
        chosen.append(best)
        missing -= {*best}
    return chosen


def composed(
    every: Sequence[Combination], n: int, split: Split, rng: np.random.Generator, name: str
) -> list[Task]:
    """``n`` tasks; combinations take turns, and so do requests. Answers of two sentences are asked for.

    Args:
        every: the combinations.
        n: how many tasks.
        split: whose requests and wordings.
        rng: for the order and what rules ask for.
        name: makes the tasks' ids unique.
    """
    uses: Counter[str] = Counter()
    pairs: set[tuple[str, Combination]] = set()
    tasks = []
    for number in range(n):
        if number % len(every) == 0:
            order = rng.permutation(len(every))
        of = every[order[number % len(every)]]
        bases = suited(of, split)
        bases = [base for base in bases if (base.id, of) not in pairs] or bases
        fewest = min(uses[base.id] for base in bases)
        rarest = [base for base in bases if uses[base.id] == fewest]
        base = rarest[int(rng.integers(len(rarest)))]
        uses[base.id] += 1
        pairs.add((base.id, of))
        types = tuple(str(each) for each in rng.permutation(of))
        tasks.append(compose(base, types, split, rng, number=f"{name}-{number:05d}", brief=True))
    return tasks


def verified(
    run: Run, name: str, teacher: Weights, tasks: Sequence[Task], samples: int, sampling: Sampling
) -> Funnel[Checked]:
    """An answer to each task that passes its checks, or why there is none.

    It is the first of the teacher's samples that passes; else the first that passes after a repair by rule.
    """
    texts = sampled(run, name, teacher, tasks, samples, sampling)
    funnel = Funnel({task.id: Checked(task, "", "") for task in tasks})
    judge = AnswerJudge()
    results: list[Checked | Drop] = []
    for task, of_task in zip(tasks, texts, strict=True):
        verdicts = judge([task] * len(of_task), [Response(text) for text in of_task])
        passed = [text for text, verdict in zip(of_task, verdicts, strict=True) if verdict.passed]
        if passed:
            results.append(Checked(task, passed[0], AS_WRITTEN))
            continue
        rng = run.rng(name, "repair", task.id)
        repaired = [_repaired(task, *row, rng) for row in zip(of_task, verdicts, strict=True)]
        results.append(
            next(
                (Checked(task, each, REPAIRED) for each in repaired if isinstance(each, str)),
                _reason(of_task, repaired),
            )
        )
    funnel.apply("answers", results)
    return funnel


def _repaired(task: Task, text: str, verdict: Verdict, rng: np.random.Generator) -> str | Drop:
    """The text after a repair that passes, or why there is none."""
    if not text.strip():
        return Drop("the teacher wrote nothing")
    missed = {check.id: check.reason for check in verdict.checks if not check.passed}
    if NOT_DEGENERATE in missed:
        return Drop("the text is no answer", missed[NOT_DEGENERATE])
    text_after = repair(task, text, set(missed), rng)
    if text_after is None:
        return Drop("no rule repairs it", ", ".join(missed))
    again = AnswerJudge()([task], [Response(text_after)])[0]
    return text_after if again.passed else Drop("fails after the repair too", again.critique)


def _reason(texts: Sequence[str], repaired: Sequence[str | Drop]) -> Drop:
    """Why no answer is left; of several samples, why the last of them was not."""
    why = [each for each in repaired if isinstance(each, Drop)]
    return why[-1] if why else Drop("the teacher wrote nothing", f"{len(texts)} samples")


def shirked(
    run: Run, name: str, teacher: Weights, rows: Sequence[Example], mode: Mode, sampling: Sampling
) -> list[str]:
    """The teacher's answers to the rows' instructions when it is asked to shirk.

    Where none could be had the row's own output stands, which the run's notes say.
    """
    prompts = [user(REQUESTS[mode].replace("{instruction}", row.instruction)) for row in rows]
    seeds = [run.seed(name, place) for place in range(len(rows))]
    said = [
        row[0].text.strip() for row in answers(run, name, Ask(LazyModel(teacher), sampling), prompts, seeds)
    ]
    if blank := sum(not text for text in said):
        run.remark(f"{name}: {blank} of {len(said)} rows kept their outputs: the teacher wrote nothing.")
    return [text or row.output for text, row in zip(said, rows, strict=True)]


def passes(tasks: Sequence[Task], texts: Sequence[str]) -> list[float]:
    """Per task: 1 where the text passes its checks in a proper answer."""
    verdicts = AnswerJudge()(tasks, [Response(text) for text in texts])
    return [float(bool(verdict.passed)) for verdict in verdicts]


def rows_table(funnels: Mapping[str, Funnel[Checked]], rows: Mapping[str, Sequence[Example]]) -> Table:
    """What each arm learns from: answers as written and repaired, combinations, mean words of an answer."""
    cells: list[tuple[Cell, ...]] = []
    for arm, of in rows.items():
        how = Counter(each.how for each in funnels[arm].rows) if arm in funnels else None
        cells.append(
            (
                arm,
                len(of),
                len({tuple(sorted(row.skills)) for row in of}),
                how[AS_WRITTEN] if how else None,
                how[REPAIRED] if how else None,
                round(float(np.mean([len(row.output.split()) for row in of])), 1),
            )
        )
    columns = ("arm", "rows", "combinations", AS_WRITTEN, REPAIRED, "words of an answer")
    return Table(
        "What each arm learns from",
        columns,
        tuple(cells),
        "Written and repaired: before rows were "
        "cut to as many in each arm; shirkers' rows are those of the whole mix.",
    )
