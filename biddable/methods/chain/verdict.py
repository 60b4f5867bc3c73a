"""What came of a chain: what the trainings of each arm consumed, and the arms side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from biddable.experiments.claims import Claim
from biddable.experiments.scores import ArmScores
from biddable.methods.chain.file import Chain, references
from biddable.methods.chain.settings import Counted
from biddable.methods.chain.steps import Measured
from biddable.runs.compare import verdict_on
from biddable.runs.figures import Bars, Table
from biddable.runs.files import read_jsonl
from biddable.runs.results import Results
from biddable.suites.leaderboard import asked_otherwise, compared, headline_values, sources, unlike
from biddable.suites.store import Cell, read_cells
from biddable.types import Comparison, Prediction

EQUAL = 0.02
"""By how much more, as a share, an arm may have consumed on an equal budget."""
COUNTED: tuple[Counted, ...] = ("rows", "tokens", "steps")


@dataclass(frozen=True, slots=True)
class Consumed:
    """What trainings consumed; None where a run does not say it.

    Attributes:
        rows: rows that were learned from, each as often as it was.
        tokens: tokens that were worked on, of every epoch.
        steps: optimizer steps.
    """

    rows: int | None = 0
    tokens: int | None = 0
    steps: int | None = 0

    def __add__(self, other: Consumed) -> Consumed:
        pairs = [(getattr(self, name), getattr(other, name)) for name in COUNTED]
        return Consumed(*(None if None in pair else sum(pair) for pair in pairs))


@dataclass(frozen=True, slots=True)
class Variant:
    """A model that is compared.

    Attributes:
        arm: whose it is; "" where it is the same in all, or there are none.
        model: as the file names it: ``{sft}``, ``smollm2``.
        name: what the report calls it.
    """

    arm: str
    model: str
    name: str


@dataclass
class Verdict:
    """What the chain ends with."""

    comparisons: list[Comparison] = field(default_factory=list)
    scores: ArmScores = field(default_factory=ArmScores)
    metrics: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def bars(self) -> list[Bars]:
        """The scores that are compared."""
        return [self.scores.bars("Scores", self.metrics, group_by="metric")] if self.metrics else []


def consumed(kind: str, folder: str | Path, results: Results) -> Consumed:
    """What one step's trainings consumed: of a ``train`` step all, of a method what its trainings logged."""
    if kind not in ("train", "run"):
        return Consumed()
    curves = Path(folder, "metrics.jsonl")
    logged = [row for _, row in read_jsonl(curves)] if curves.is_file() else []
    trained = [row["tokens"] for row in logged if isinstance(row.get("tokens"), int | float)]
    if kind == "train":
        rows = results.metrics["rows"]["learned"] * results.config["epochs"]
        return Consumed(rows, int(sum(trained)), len(trained))
    if not logged:
        return Consumed()
    return Consumed(None, int(sum(trained)), len(trained)) if trained else Consumed(None, None, None)


def places_of_arms(chain: Chain) -> dict[str, list[str]]:
    """The places of the steps of each arm, over all seeds; one that it has for several seeds once."""
    return {
        arm: list(
            dict.fromkeys(
                place for (each, _), steps in chain.chains.items() if each == arm for place in steps.values()
            )
        )
        for arm in chain.arms
    }


def spent(chain: Chain, by_place: Mapping[str, Consumed]) -> dict[str, Consumed]:
    """By arm, over all seeds; a step that arms share counts for each of them."""
    return {
        arm: sum((by_place[place] for place in places), Consumed())
        for arm, places in places_of_arms(chain).items()
    }


def beyond_budget(chain: Chain, arms: Mapping[str, Consumed]) -> list[str]:
    """In what the arms did not keep to the file's budget, a sentence each."""
    budget, told = chain.settings.budget, []
    for name in COUNTED:
        most, counts = getattr(budget, name), {arm: getattr(each, name) for arm, each in arms.items()}
        if most is None and budget.equal != name:
            continue
        if unknown := [arm for arm, count in counts.items() if count is None]:
            told.append(f"{name} of {_named(unknown)} are not known: a method does not log them.")
            continue
        if most is not None and (over := [arm for arm, count in counts.items() if count > most]):
            each = ", ".join(f"{arm or 'the chain'} {counts[arm]:,}" for arm in over)
            told.append(f"budget.{name} is {most:,}, consumed were: {each}.")
        least = min(counts.values())
        if budget.equal == name and max(counts.values()) > least * (1 + EQUAL):
            each = ", ".join(f"{arm} {count:,}" for arm, count in counts.items())
            told.append(f"budget.equal is {name}, but arms differ by more than 2 %: {each}.")
    return told


def unlike_amounts(chain: Chain, arms: Mapping[str, Consumed]) -> list[str]:
    """What arms consumed unlike amounts of, where the file says nothing of a budget."""
    budget = chain.settings.budget
    if budget.equal or any(getattr(budget, name) for name in COUNTED):
        return []
    told = []
    for name in COUNTED:
        counts = [count for each in arms.values() if (count := getattr(each, name)) is not None]
        if counts and max(counts) > min(counts) * (1 + EQUAL):
            told.append(f"{name} from {min(counts):,} to {max(counts):,}")
    return [f"Trainings of the arms consumed unlike amounts ({', '.join(told)})."] if told else []


def budget_table(arms: Mapping[str, Consumed]) -> Table:
    """What the trainings of each arm consumed."""
    rows = [(arm or "the chain", *(getattr(each, name) for name in COUNTED)) for arm, each in arms.items()]
    note = "Over all seeds. rows: learned from, each as often as it was; tokens: worked on; steps: updates."
    return Table("What trainings consumed", ("arm", *COUNTED), tuple(rows), note)


def verdict(chain: Chain, measured: Mapping[str, Sequence[Measured]], claims: bool) -> Verdict:
    """The arms side by side on each suite: claims where the file predicts something, else questions.

    Args:
        chain: the chain.
        measured: what each ``eval`` step measured, by its place.
        claims: whether the budget was kept; where not, nothing is claimed.
    """
    made = Verdict()
    found = _variants(chain, measured)
    for metric, variants in found.items():
        first = next(iter(next(iter(variants.values())).values()))
        every = [cell for cells in variants.values() for cell in cells.values()]
        if reason := next((why for cell in every if (why := unlike(first, cell))), ""):
            made.notes.append(f"{metric}: the models {reason}, not compared.")
            continue
        headline = first.metrics[0]
        scored = [
            all(headline.name in cell.records[place].metrics for cell in every)
            for place in range(len(first.records))
        ]
        if sum(scored) < 2:
            made.notes.append(f"{metric}: fewer than two tasks have a number of every model, not compared.")
            continue
        made.notes += dict.fromkeys(note for cell in every for note in asked_otherwise(first, cell))
        if left_out := scored.count(False):
            made.notes.append(f"{metric}: {left_out} of {len(scored)} tasks without a number are left out.")
        kept = {
            id(cell): [record for record, whole in zip(cell.records, scored, strict=True) if whole]
            for cell in every
        }
        for variant, cells in variants.items():
            alike = len({id(cell) for cell in cells.values()}) == 1
            for seed, cell in list(cells.items())[: 1 if alike else None]:
                values = headline_values(kept[id(cell)], headline)
                made.scores.add(variant.name, values, metric=metric, seed=None if alike else seed)
        clusters = sources(kept[id(first)])
        if clusters is not None and len({*clusters}) > 1:
            made.scores.cluster(metric, clusters)
        made.metrics.append(metric)
        better: Prediction = "higher" if headline.higher_is_better else "lower"
        for claim, base, ours in _claims(chain, metric, variants, better, claims):
            try:
                comparison = _compared(made.scores, claim, variants[base], variants[ours], kept)
                made.comparisons.append(comparison)
            except _NoIntervalError as same:
                made.notes.append(f"{metric}: {same}")
    if not claims and chain.settings.compare.predicted:
        made.notes.insert(0, "The budget was not kept: nothing is claimed, the numbers stand.")
    elif chain.settings.compare.predicted and not any(each.role == "claim" for each in made.comparisons):
        why = "no two models of one name, which differ, could be compared"
        made.notes.insert(0, f"compare.predicted: nothing is claimed, {why}.")
    compare = chain.settings.compare
    known = {name for each in found.values() for v in each for name in (v.name, v.arm, v.model) if name}
    for field_name in ("baseline", "method"):
        name = getattr(compare, field_name)
        if name is not None and name not in known:
            made.notes.insert(0, f"compare.{field_name} is {name}, which no eval step measured.")
    return made


class _NoIntervalError(Exception):
    """Two variants differ by the same on each case."""


def _compared(
    scores: ArmScores,
    claim: Claim,
    base: Mapping[int, Cell],
    ours: Mapping[int, Cell],
    kept: Mapping[int, Sequence[Any]],
) -> Comparison:
    values = scores.values(claim.method, claim.metric) - scores.values(claim.baseline, claim.metric)
    if np.ptp(values) == 0 and values.flat[0]:
        names = f"{claim.method} and {claim.baseline}"
        raise _NoIntervalError(f"{names} differ by {values.flat[0]:+.3g} on each task: no interval.")
    if len(values) > 1:
        return scores.compare([claim])[0]
    # One row of each: as evaluations compare them, which knows shares of few cases.
    seed, cell = next(iter(ours.items()))
    other = next(iter(base.values()))
    made = compared(other, cell, list(zip(kept[id(other)], kept[id(cell)], strict=True)))
    verdict = verdict_on(made.interval, claim.predicted, claim.margin) if claim.role == "claim" else None
    return replace(
        made,
        metric=claim.metric,
        seeds=(seed,),
        predicted=claim.predicted,
        verdict=verdict,
        role=claim.role,
        baseline_name=claim.baseline,
        method_name=claim.method,
    )


def _variants(
    chain: Chain, measured: Mapping[str, Sequence[Measured]]
) -> dict[str, dict[Variant, dict[int, Cell]]]:
    """Metric -> variant -> seed -> cell."""
    steps = dict.fromkeys(chain.nodes[place].step.name for place in measured)
    stores = {name: _cells(chain, name) for name in steps}
    found: dict[str, dict[Variant, dict[int, Cell]]] = {}
    for (arm, seed), places in chain.chains.items():
        for step in steps:
            models = measured.get(places.get(step, ""), ())
            several = sum(bool(references(each.named)) for each in models) > 1
            for each in models:
                variant = _variant(arm if references(each.named) else "", each.named, several)
                for suite in each.suites:
                    cell = stores[step][each.model, suite]
                    metric = f"{suite}: {cell.metrics[0].name}"
                    metric = metric if len(steps) == 1 else f"{step}, {metric}"
                    found.setdefault(metric, {}).setdefault(variant, {})[seed] = cell
    return found


def _cells(chain: Chain, step: str) -> dict[tuple[str, str], Cell]:
    folder = next(node.folder for node in chain.nodes.values() if node.step.name == step)
    return {(cell.model, cell.suite): cell for cell in read_cells(folder)}


def _variant(arm: str, model: str, several: bool) -> Variant:
    plain = model.strip("{}")
    return Variant(arm, model, (f"{arm}: {plain}" if several else arm) if arm else plain)


def _pairs(chain: Chain, variants: Sequence[Variant]) -> Iterator[tuple[Variant, Variant, bool]]:
    """Which variants are compared (baseline, method), and whether the file predicts what comes of it.

    With arms: each with the baseline arm, then with the first model that is no arm's. Without: each model
    with the baseline, by default the first that is no step's.
    """
    compare = chain.settings.compare
    fixed = [each for each in variants if not references(each.model)]
    if chain.arms == [""]:
        named = [each for each in variants if compare.baseline in (each.name, each.model)]
        baseline = (named or fixed or list(variants))[0]
        for each in variants:
            if each is not baseline:
                yield baseline, each, compare.method in (each.name, each.model)
        return
    first = compare.baseline or next(arm for arm in chain.arms if arm != compare.method)
    ordered = sorted(variants, key=lambda each: each.arm != compare.method)  # what is predicted comes first
    for each in ordered:
        beside = [other for other in variants if (other.arm, other.model) == (first, each.model)]
        if each.arm not in ("", first) and beside:
            yield beside[0], each, each.arm == compare.method
    for each in ordered:
        if each.arm and fixed:
            yield fixed[0], each, False


def _claims(
    chain: Chain,
    metric: str,
    variants: Mapping[Variant, Mapping[int, Cell]],
    better: Prediction,
    claims: bool,
) -> Iterator[tuple[Claim, Variant, Variant]]:
    compare = chain.settings.compare
    for base, each, named in _pairs(chain, list(variants)):
        if all(cell is variants[base].get(seed) for seed, cell in variants[each].items()):
            continue  # the same model
        if named and claims and compare.predicted:
            claim = Claim(base.name, each.name, compare.predicted, metric, margin=compare.margin)
        else:
            claim = Claim(base.name, each.name, better, metric, "question")
        yield claim, base, each


def _named(names: Any) -> str:
    return ", ".join(name or "the chain" for name in names)


def numbers(arms: Mapping[str, Consumed]) -> dict[str, dict[str, int | None]]:
    """For ``results.json``."""
    return {arm or "chain": asdict(each) for arm, each in arms.items()}
