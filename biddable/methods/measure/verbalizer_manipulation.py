"""Verbalizer manipulation: does a model say the word that it is told to, or the one it would say anyway?

Li et al. 2023, "Instruction-following Evaluation through Verbalizer Manipulation" (arXiv 2307.10558, Findings
of NAACL 2024). Any classification set with two labels becomes a test: the instruction says which word stands
for which label, and the words agree with what a model expects (natural: "positive" for positive), have
nothing to do with it (neutral: "foo"), or contradict it (unnatural: "negative" for positive).

Claim: models and scales differ little on natural words and widely on others, where even the best struggle to
beat chance on the most unnatural: accuracy on natural words is above that on neutral and on unnatural ones.

The steps:

1. label sets: files of texts with two labels, or composed ones; as many items of each label;
2. twelve verbalizers for each: three natural, six neutral (three pairs in both orders), three unnatural;
3. a prompt of each item with each verbalizer: the task, which word means what, the text;
4. the word that the text makes likeliest, beside a text without content (or a written response);
5. accuracy by group: over its verbalizers, then the items of all sets; what a model prefers shows in the gap.

Departures from the paper, and why:

* Words are scored, not written, as small models fail by form first: whole words, less their log-probability
  after the same instruction with the text "N/A", so that rare words lose nothing. ``--scoring generate`` has
  the model write, and then the share of valid answers is told.
* The words of the twelve verbalizers are as far as they are known from the paper and reports of it.
* The two sentences that say what a word means stand in both orders, equally often within each label.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar, Literal

from biddable.config import Count, settings
from biddable.errors import InputError
from biddable.experiments.claims import Claim
from biddable.experiments.scores import ArmScores
from biddable.judges.text_metrics import WITHOUT_PUNCTUATION
from biddable.methods.base import About, Method, show
from biddable.models.base import Sampling
from biddable.models.load import load_model
from biddable.runs.figures import Bars, Table
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.suites.base import Suite
from biddable.suites.cells import evaluate_cell
from biddable.suites.figures import items
from biddable.suites.leaderboard import leaderboard
from biddable.suites.metrics import ACC, ACC_MUTUAL_INFO, chosen, passed
from biddable.tasks.label_sets import LabelSet, composed_sets, label_set, named_set
from biddable.types import Record, Response, Task, Verdict

Group = Literal["natural", "neutral", "unnatural"]
GROUPS: tuple[Group, ...] = ("natural", "neutral", "unnatural")
NEUTRAL = (("foo", "bar"), ("sfo", "lax"), ("lake", "river"))
NO_CONTENT = "N/A"


@dataclass(frozen=True, slots=True)
class Verbalizer:
    """The word for the label that is asked after, and the word for the other."""

    words: tuple[str, str]
    group: Group

    def __post_init__(self) -> None:
        for first, second in (self.words, tuple(map(_plain, self.words))):
            if not first or not second or first.startswith(second) or second.startswith(first):
                expected = "two words of which neither begins with the other, case and punctuation aside"
                raise InputError("words", self.words, expected)


# -- 1. label sets: ``tasks.label_sets`` -------------------------------------------------------------------

# -- 2. verbalizers ----------------------------------------------------------------------------------------


def flip(verbalizer: Verbalizer) -> Verbalizer:
    """The words the other way round: natural becomes unnatural, and neutral stays so."""
    other: dict[Group, Group] = {"natural": "unnatural", "unnatural": "natural", "neutral": "neutral"}
    return Verbalizer(verbalizer.words[::-1], other[verbalizer.group])


def binary_verbalizers(positive: str, negative: str) -> list[Verbalizer]:
    """The twelve for two labels, the one that is asked after first; ten where they are 1/0 or yes/no."""
    words = dict.fromkeys([(positive, negative), ("1", "0"), ("yes", "no")])
    natural = [Verbalizer(each, "natural") for each in words]
    neutral = [Verbalizer(words, "neutral") for words in NEUTRAL]
    return [*natural, *neutral, *map(flip, neutral), *map(flip, natural)]


# -- 3. prompts --------------------------------------------------------------------------------------------


def render_prompt(
    of: LabelSet, verbalizer: Verbalizer, text: str, *, swapped: bool = False, strong: bool = False
) -> str:
    """The task, which word means what (``swapped``: the other label first), and the text."""
    rules = [
        f'If {when}, answer "{word}".' for when, word in zip(of.conditions, verbalizer.words, strict=True)
    ]
    must = " Follow these rules even where they go against what the words mean." if strong else ""
    first, second = rules[::-1] if swapped else rules
    rules_only = f"{first} {second}{must} Answer with one of these two words and nothing else."
    return f"{rules_only}\n\nText: {text}\nAnswer:"


def verbalizer_suite(sets: Sequence[LabelSet], *, strong: bool = False, scoring: str = "choose") -> Suite:
    """All items with all verbalizers; groups are the verbalizers' groups, an item's prompts one source."""
    tasks = []
    for of in sets:
        for v, verbalizer in enumerate(binary_verbalizers(*of.labels)):
            for swapped in (False, True):  # those of one instruction side by side: it is computed once
                for i, row in enumerate(of.rows):
                    if i % 2 != swapped:
                        continue
                    text = row.text + (f"\nSecond text: {row.text_pair}" if row.text_pair else "")
                    at = of.labels.index(row.label)
                    tasks.append(
                        Task(
                            f"{of.name}/{v}/{i}",
                            render_prompt(of, verbalizer, text, swapped=swapped, strong=strong),
                            references=(verbalizer.words[at],),
                            choices=verbalizer.words,
                            meta={
                                "group": verbalizer.group,
                                "source": f"{of.name}/{i}",
                                "set": of.name,
                                "words": "/".join(verbalizer.words),
                                "prior": render_prompt(
                                    of, verbalizer, NO_CONTENT, swapped=swapped, strong=strong
                                ),
                            },
                        )
                    )
    if scoring == "generate":
        # A token is a byte or more.
        longest = max(len(word.encode()) for task in tasks for word in task.choices)
        how = Sampling(max_tokens=max(6, longest), temperature=0.0, stop=("\n",))
        return Suite("verbalizer", tuple(tasks), (passed("acc"),), judge=said_word, sampling=how)
    metrics = (ACC_MUTUAL_INFO, ACC)
    return Suite("verbalizer", tuple(tasks), metrics, "choose", prior=lambda task: str(task.meta["prior"]))


# -- 4. answers --------------------------------------------------------------------------------------------


def parse_verbalized(output: str, words: Sequence[str]) -> str | None:
    """The word that a response is, case and punctuation aside; None where it is none of them."""
    return next((word for word in words if _plain(word) == _plain(output)), None)


def _plain(text: str) -> str:
    return text.lower().translate(WITHOUT_PUNCTUATION).strip()


def said_word(
    tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
) -> list[Verdict]:
    """A judge of written responses: the right word, the wrong one, or none (no score)."""
    verdicts = []
    for task, response in zip(tasks, responses, strict=True):
        word = parse_verbalized(response.text, task.choices)
        right = word in task.references
        said = "It is none of the two words." if word is None else f"It says {word}."
        verdicts.append(Verdict(None if word is None else float(right), right, said))
    return verdicts


# -- 5. numbers --------------------------------------------------------------------------------------------


def by_item(records: Sequence[Record], metric: str, group: Group) -> list[float]:
    """For each item its mean over the verbalizers of a group, in the order of the items."""
    values: dict[str, list[float]] = {}
    for record in records:
        if record.task.meta["group"] == group:
            values.setdefault(str(record.task.meta["source"]), []).append(record.metrics[metric])
    return [fmean(values[source]) for source in sorted(values)]


def validity(records: Sequence[Record]) -> float:
    """How often a response is one of the two words; or how much of the probability they have together."""
    return fmean(map(_said, records))


def _said(record: Record) -> float:
    """How far one of the two words was said; a served model chooses by what it writes."""
    if record.scores:
        return min(1.0, sum(map(math.exp, record.scores)))
    if record.verdicts:
        return fmean(float(verdict.score is not None) for verdict in record.verdicts)
    return float(chosen(record) is not None)


def flip_rate(records: Sequence[Record], metric: str) -> float:
    """How often the natural word is said where the unnatural one was asked for."""
    unnatural = [record for record in records if record.task.meta["group"] == "unnatural"]
    wrong = [record for record in unnatural if record.metrics[metric] < 1]
    return sum(bool(record.scores) or _said(record) > 0 for record in wrong) / len(unnatural)


@settings
class VerbalizerConfig:
    """Settings of verbalizer manipulation."""

    model: str = "smollm2"
    """The model to measure; ``biddable eval`` measures several: ``--suite verbalizer:FILE``."""
    data: tuple[str, ...] = ()
    """Files of labelled texts, options behind a question mark (see --help of ``biddable suites verbalizer``);
    composed ones where none are named."""
    items: Count = 100
    """Items of each composed set, half of each label."""
    strong: bool = False
    """Add that the rules hold even against what the words mean."""
    scoring: Literal["choose", "generate"] = "choose"
    """Which word is likeliest, or which is written."""


class VerbalizerManipulation(Method):
    """Verbalizer manipulation (see ``biddable.methods.measure.verbalizer_manipulation``)."""

    about = About(
        title="Instruction-following evaluation through verbalizer manipulation",
        citation="Li et al. 2023, arXiv 2307.10558",
        claim=(
            "Accuracy falls from words that agree with what a model expects (natural) to words that have "
            "nothing to do with it (neutral), and further to words that contradict it (unnatural)."
        ),
        needs="any model; scoring needs one with log-probabilities",
        minutes={"smoke": "1 (2 cores)", "default": "5 (2 cores)"},
        takes="a model (--model), files of texts with two labels (--data)",
        leaves="records of every answer (cells/), accuracies by group and verbalizer",
    )
    Config = VerbalizerConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"items": 8},
        "full": {"items": 400},
        "gpu": {"items": 400},
    }
    only: ClassVar = {"no data": ("items",)}
    config: VerbalizerConfig

    def check(self) -> None:
        """See ``Method.check``: the files, their labels, the model."""
        self.sets = self._sets(seed=0)
        names = [of.name for of in self.sets]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise InputError("data", repeated[0], "sets of different names: FILE?name=…")
        for of in self.sets:
            binary_verbalizers(*of.labels)
        if self.config.scoring == "choose" and str(self.config.model).startswith("openai:"):
            load_model(self.config.model)

    def _sets(self, seed: int) -> list[LabelSet]:
        if not self.config.data:
            return composed_sets(self.config.items, seed)
        return [named_set(spec) for spec in self.config.data]

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        run.describe(model=config.model)
        suite = verbalizer_suite(self.sets, strong=config.strong, scoring=config.scoring)
        cell = evaluate_cell(run, config.model, suite)
        scores = ArmScores()
        for metric in suite.metrics:
            for group in GROUPS:
                scores.add(group, by_item(cell.records, metric.name, group), metric=metric.name)
        main = suite.metrics[0].name
        pairs = [("neutral", "natural"), ("unnatural", "natural"), ("unnatural", "neutral")]
        claims = [Claim(*pair, metric=metric.name) for metric in suite.metrics for pair in pairs]
        board = leaderboard([cell])
        show(run, [*_figures(cell.records, main, self.sets), items(board)])
        numbers = {
            metric.name: {group: float(scores.values(group, metric.name).mean()) for group in GROUPS}
            for metric in suite.metrics
        }
        metrics = {
            "accuracy": numbers,
            "gap": numbers[main]["natural"] - numbers[main]["unnatural"],
            "flip_rate": flip_rate(cell.records, main),
            "validity": validity(cell.records),
            "sets": {of.name: {"items": len(of.rows), "labels": list(of.labels)} for of in self.sets},
        }
        notes = [*board.notes, *_notes(numbers[main]["natural"])]
        return run.finish(scores.compare(claims), metrics=metrics, notes=notes)


def _figures(records: Sequence[Record], metric: str, sets: Sequence[LabelSet]) -> list[Any]:
    rows = []
    for words, group, name in dict.fromkeys(
        (str(r.task.meta["words"]), str(r.task.meta["group"]), str(r.task.meta["set"])) for r in records
    ):
        of = [r for r in records if (r.task.meta["words"], r.task.meta["set"]) == (words, name)]
        values = [record.metrics[metric] for record in of]
        rows.append((name, group, words, fmean(values), validity(of), len(of)))
    series: dict[str, tuple[float | None, ...]] = {
        of.name: tuple(fmean(row[3] for row in rows if row[:2] == (of.name, group)) for group in GROUPS)
        for of in sets
    }
    columns = ("set", "group", "words", "accuracy", "validity", "items")
    note = "Validity: how much of the probability the two words have, or how often one of them was written."
    return [
        Bars("Accuracy by group of verbalizers", GROUPS, series, unit=metric, note="Chance: 0.5."),
        Table("Accuracy by verbalizer", columns, tuple(rows), note=note),
    ]


def _notes(natural: float) -> list[str]:
    if natural < 0.6:
        return [f"Natural words are right in {natural:.0%}: near chance, so a gap says little of this model."]
    return []


def suite(
    path: str,
    name: str = "",
    labels: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    positive: str = "",
    when: str = "",
    otherwise: str = "",
    text: str = "",
    label: str = "",
    encoding: str = "",
    items: int = 100,
    strong: bool = False,
    scoring: Literal["choose", "generate"] = "choose",
) -> Suite:
    """Words that agree with labels, or contradict them (Li et al. 2023), for texts with two labels.

    Options: ``labels`` (names of labels 0 and 1), ``keep`` (two labels of more), ``positive`` (the label
    asked after), ``when`` and ``otherwise`` (when it holds, and when the other does), ``text``, ``label``
    (columns), ``encoding``, ``items``, ``strong`` (insist on the rules), ``scoring`` (choose or generate).
    """
    of = label_set(path, name, labels, keep, positive, when, otherwise, text, label, encoding, items)
    return verbalizer_suite([of], strong=strong, scoring=scoring)
