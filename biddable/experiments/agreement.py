"""What agreement is good for: outputs that were voted on beside right ones, and how many instances a pipeline
gets out of as many generations as another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biddable.experiments.claims import Claim
from biddable.experiments.generation import (
    GenerateSettings,
    Generator,
    Tally,
    Written,
    instance_prompt,
    passes_filters,
)
from biddable.experiments.scores import ArmScores
from biddable.experiments.voting import Demos, Voter, by_branch, decide, is_base, kind_of, outputs_of
from biddable.judges.reference import ReferenceJudge
from biddable.models.lazy import LazyModel
from biddable.runs.compare import verdict_on
from biddable.runs.figures import Cell, Items, Table
from biddable.runs.run import Run
from biddable.runs.statistics import interval_of, share_interval
from biddable.search.consensus import Decision
from biddable.tasks.generated import END, Sample
from biddable.tasks.neighbours import nearest
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Comparison, Response, Task

FIRST, AGREED, SELF, ENSEMBLE, UNTRAINED = (
    "first",
    "agreed",
    "self-instruct",
    "ensemble-instruct",
    "untrained",
)
PARSED, PASSED = "instances that parse", "instances that pass Self-Instruct's last filters too"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OnGold:
    """Outputs to instructions of which right outputs are known.

    Attributes:
        groups: of each case what it was drawn with [cases].
        right: by metric, how right the outputs of each arm are [cases]: the first outputs, then each voter's.
        agreed: by metric, how right the output is that was agreed on [cases]; 0 where none was.
        decisions: the votes [cases].
        base: whether each voter is a base model.
    """

    groups: list[str]
    right: dict[str, dict[str, Floats]]
    agreed: dict[str, Floats]
    decisions: list[Decision]
    base: list[bool]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Where there was agreement [cases]."""
        return np.array([each.place is not None for each in self.decisions])


def samples_of(gold: Sequence[Task]) -> list[Sample]:
    """What is asked in each of some tasks of ``gold_tasks``, without an output."""
    return [Sample(row.meta["instruction"], row.meta["input"], "") for row in gold]


def rightness(gold: Sequence[Task], outputs: Sequence[str], metric: str) -> Floats:
    """How right outputs are by a metric of ``judges.reference``, 0 to 1 [cases]; 0 where nothing is read."""
    verdicts = ReferenceJudge(metric)(gold, [Response(text) for text in outputs])
    return np.array([each.score or 0.0 for each in verdicts])


def on_gold(
    run: Run,
    generator: Generator,
    voters: Sequence[Voter],
    gold: Sequence[Task],
    demos: Demos,
    how: GenerateSettings,
    *,
    threshold: float,
    max_tokens: int,
    metrics: Sequence[str],
) -> OnGold:
    """First outputs are drawn as in the pipeline, but for inputs that are given; the voters as there."""
    samples = samples_of(gold)
    texts = [instance_prompt(kind_of(s), demos[kind_of(s)], s.instruction, s.input) for s in samples]
    sampling = replace(how.instance_sampling, max_tokens=max_tokens, stop=(END, "\n"))
    said = generator.ask(run, "gold-first", texts, sampling)
    if errors := [each.error for each in said if each.error]:
        told = f"{len(errors)} of {len(said)} first outputs could not be had and count as wrong"
        run.remark(f"{told} (gold-first): {errors[0]}")
    first = [each.text.strip() for each in said]
    others = [
        outputs_of(run, f"gold-voter{i}", voter, samples, demos, max_tokens)
        for i, voter in enumerate(voters, 1)
    ]
    decisions = decide(list(zip(first, *others, strict=True)), threshold)
    arms = dict(zip([FIRST, *(voter.spec for voter in voters)], [first, *others], strict=True))
    return OnGold(
        [str(row.meta["group"]) for row in gold],
        {name: {arm: rightness(gold, of, name) for arm, of in arms.items()} for name in metrics},
        {name: rightness(gold, [each.output for each in decisions], name) for name in metrics},
        decisions,
        run.stage("base-models", lambda: [is_base(voter.model()) for voter in voters], list[bool]),
    )


def student_right(
    run: Run, arm: str, weights: str | Path, gold: Sequence[Task], max_tokens: int, metrics: Sequence[str]
) -> dict[str, Floats]:
    """How right the outputs of a model are that is asked by the bare request [cases], by metric."""
    voter = Voter(f"student {arm}", LazyModel(weights), shots=0)
    outputs = outputs_of(run, f"gold-student-{arm}", voter, samples_of(gold), {}, max_tokens)
    return {metric: rightness(gold, outputs, metric) for metric in metrics}


def gold_claims(measured: OnGold, metric: str, scores: ArmScores) -> tuple[list[Comparison], list[Claim]]:
    """What is predicted of it by a metric; the scores are added.

    Outputs agreed on are more often right than first outputs are: than all of them, which is the vote and the
    selection together, and than those of the same cases, which is the vote alone. A tuned voter is more often
    right than a base model.
    """
    kept, right, agreed = measured.kept, measured.right[metric], measured.agreed[metric]
    everywhere, where_kept = f"right outputs: {metric}", f"right outputs where there was agreement: {metric}"
    for arm, values in right.items():
        scores.add(arm, values, metric=everywhere)
    if len({*measured.groups}) > 1:
        scores.cluster(everywhere, measured.groups)
    voters = list(right)[1:]
    claims = [
        Claim(voters[b], voters[t], "higher", metric=everywhere)
        for b, base in enumerate(measured.base)
        for t, tuned in enumerate(measured.base)
        if base and not tuned and b != t
    ]
    if kept.sum() < 2:
        return [], claims
    for arm, values in (*right.items(), (AGREED, agreed)):
        scores.add(arm, values[kept], metric=where_kept)
    groups = [group for group, each in zip(measured.groups, kept, strict=True) if each]
    if len({*groups}) > 1:
        scores.cluster(where_kept, groups)
    claims.append(Claim(FIRST, AGREED, "higher", metric=where_kept))
    claims += [Claim(voter, AGREED, "higher", metric=where_kept, role="question") for voter in voters]
    title = f"right outputs, all first ones beside those agreed on: {metric}"
    return [_selected(title, right[FIRST], agreed, kept, measured.groups)], claims


def _selected(
    title: str, first: Floats, agreed: Floats, kept: NDArray[np.bool_], groups: Sequence[str]
) -> Comparison:
    """Outputs agreed on beside all first outputs: a difference of means over different cases."""

    def difference(first: Floats, agreed: Floats, kept: NDArray[np.bool_]) -> float:
        # A draw without any agreement says nothing of a difference.
        return float(agreed[kept].mean() - first.mean()) if kept.any() else 0.0

    drawn = groups if len({*groups}) > 1 else None
    interval = interval_of(difference, first, agreed, kept, clusters=drawn)
    of = f"{len({*groups})} clusters of {len(first)}" if drawn else f"{len(first)}"
    return Comparison(
        metric=title,
        baseline=float(first.mean()),
        method=float(agreed[kept].mean()),
        difference=difference(first, agreed, kept),
        interval=interval,
        n=len(first),
        seeds=(0,),
        predicted="higher",
        verdict=verdict_on(interval, "higher", 0.0),
        baseline_name=FIRST,
        method_name=AGREED,
        interval_kind=f"bootstrap over {of} cases",
    )


def gold_figures(measured: OnGold) -> list[Table]:
    """How right all outputs are, those of cases with agreement and without; and by branch of the vote."""
    kept = measured.kept
    low, high = share_interval(int(kept.sum()), len(kept))
    note = f"There was agreement on {kept.mean():.2f} of {len(kept)} cases [{low:.2f}, {high:.2f}]."
    tables = []
    for metric, right in measured.right.items():
        rows: list[tuple[Cell, ...]] = [
            (arm, _mean(values), _mean(values[kept]), _mean(values[~kept])) for arm, values in right.items()
        ]
        rows.append((AGREED, None, _mean(measured.agreed[metric][kept]), None))
        columns = ("outputs", "all cases", "agreed on", "not agreed on")
        tables.append(Table(f"Right outputs: {metric}", columns, tuple(rows), note))
    return [*tables, branch_table("Right outputs, by branch", measured.decisions, measured.agreed)]


def branch_table(
    title: str, decisions: Sequence[Decision], right: Mapping[str, Floats] | None = None
) -> Table:
    """How votes ended; and how right what they took is, by metric, where that is known."""
    rows = []
    for branch, count in by_branch(decisions).items():
        of = [each.branch == branch for each in decisions]
        values = (None if branch == "none" else _mean(row[of]) for row in (right or {}).values())
        rows.append((branch, count, *values))
    return Table(title, ("branch", "samples", *(right or ())), tuple(rows))


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


# -- how many instances ------------------------------------------------------------------------------------

Instances = Sequence[tuple[Written, list[Sample] | Drop]]


def yield_claims(run: Run, pipelines: dict[str, Instances], scores: ArmScores) -> list[Claim]:
    """Whether each request for an instance gave a valid one, for as many requests of each pipeline."""
    number = min(map(len, pipelines.values()))
    if number < 2:
        return []
    for arm, rows in pipelines.items():
        chosen = [rows[i][1] for i in run.rng("yield", arm).permutation(len(rows))[:number]]
        scores.add(arm, [not isinstance(each, Drop) for each in chosen], metric=PARSED)
        passed = [not isinstance(passes_filters(each), Drop) for each in chosen]
        scores.add(arm, passed, metric=PASSED)
    return [Claim(SELF, ENSEMBLE, "higher", metric=metric) for metric in (PARSED, PASSED)]


YIELD_COLUMNS = (
    *("requests", "tokens", "lines", "new instructions", "instances", "valid"),
    "valid per 1,000 tokens",
)


def yield_row(made: Funnel[Written], rows: Instances, tally: Tally) -> tuple[Cell, ...]:
    """What a pipeline asked for and got (``YIELD_COLUMNS``)."""
    new = next(step.kept for step in made.steps if step.step == "novelty")
    got = [of for _, of in rows if not isinstance(of, Drop)]
    valid = sum(not isinstance(passes_filters(of), Drop) for of in got)
    per = 1000 * valid / tally.tokens if tally.tokens else None
    return tally.requests, tally.tokens or None, made.steps[0].came, new, len(got), valid, per


def yield_numbers(yields: Mapping[str, tuple[Cell, ...]]) -> dict[str, dict[str, Cell]]:
    """The same by pipeline and column."""
    return {arm: dict(zip(YIELD_COLUMNS, row, strict=True)) for arm, row in yields.items()}


def yield_table(yields: Mapping[str, tuple[Cell, ...]]) -> Table:
    """The same to read."""
    rows = tuple((arm, *row) for arm, row in yields.items())
    return Table("What the generator was asked for, and gave", ("pipeline", *YIELD_COLUMNS), rows)


def valid_samples(rows: Instances) -> list[Sample]:
    """All samples that pass Self-Instruct's last filters."""
    results = [passes_filters(of) for _, of in rows]
    return [sample for of in results if not isinstance(of, Drop) for sample in of]


# -- what is left of a vote --------------------------------------------------------------------------------


def votes_as_lines(
    names: Sequence[str],
    samples: Sequence[str],
    outputs: Sequence[Sequence[str]],
    decisions: Sequence[Decision],
    near: Mapping[str, Sequence[tuple[str, float]]],
) -> str:
    """How each sample that was kept was agreed on, a line of JSON each, with the seeds it is nearest to."""
    lines = [
        {
            "id": sample,
            "branch": each.branch,
            "taken": names[each.place],
            "outputs": dict(zip(names, of, strict=True)),
            "overlaps": each.overlaps,
            "sums": each.sums,
            "nearest_seeds": near[sample],
        }
        for sample, of, each in zip(samples, outputs, decisions, strict=True)
        if each.place is not None
    ]
    # A model may emit unpaired surrogates, which UTF-8 cannot hold.
    texts = (json.dumps(line, ensure_ascii=False).encode("utf-8", "replace").decode() for line in lines)
    return "".join(f"{text}\n" for text in texts)


def nearest_seeds(
    samples: Mapping[str, Sample], seeds: Sequence[str], k: int = 10
) -> dict[str, list[tuple[str, float]]]:
    """Of each sample the seeds that its instruction is nearest to by ROUGE-L, the nearest first."""
    rows = nearest([each.instruction for each in samples.values()], seeds, k)
    return {
        name: [(seeds[near.place], round(near.similarity, 3)) for near in row]
        for name, row in zip(samples, rows, strict=True)
    }


def browser(
    votes: Funnel[Sample],
    names: Sequence[str],
    samples: Sequence[str],
    outputs: Sequence[Sequence[str]],
    decisions: Sequence[Decision],
) -> Items:
    """Samples to read, each with all outputs."""
    of = {
        name: [each.branch, *(f"{who}: {text}" for who, text in zip(names, texts, strict=True))]
        for name, texts, each in zip(samples, outputs, decisions, strict=True)
    }
    return votes.browser("Samples", lambda each: (each.prompt, each.output), notes=lambda name, _: of[name])


def nothing_left(made: Funnel[Written], votes: Funnel[Sample]) -> str:
    """Why there is no data, in one line."""
    steps = [*made.steps, *votes.steps]
    told = "; ".join(
        f"{each.step} {each.kept} of {each.came}" + (f" ({next(iter(each.reasons))})" if each.reasons else "")
        for each in steps
    )
    return (
        f"no sample is left, so there is no data: {told}; ask for more (--make.number) or name other models"
    )
