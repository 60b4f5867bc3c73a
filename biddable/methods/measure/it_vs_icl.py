"""Instruction tuning against in-context learning: does tuning add abilities or make them reachable?

Bigoulaeva, Tayyar Madabushi and Gurevych 2025, "The Inherent Limits of Pretrained LLMs: The Unexpected
Convergence of Instruction Tuning and In-Context Learning Capabilities" (arXiv 2501.08716). A base model is
asked with solved examples, its instruction-tuned twin with the instruction, on many tasks.

Claim: over 90 instruction-tuned models of several families and scales, the score of the tuned model is
significantly correlated with the few-shot score of its base model: pretraining sets a limit for both.
(Which columns the reported coefficients pair is not verified: there is no target.)

The steps:

1. tasks: files (``--data``), or composed ones; rows to draw examples from, rows to score; without ``--tuned``
   whole categories are held out, and the others make the twin;
2. the twin: the base model fine-tuned to answer the other tasks by their instruction, in five wordings;
3. conditions: the base model with the bare question (direct) and with two solved examples of the same task
   (icl), the tuned one with system text and question (tuned); with ``--samplegen`` the tuned model writes
   two examples and solves (samplegen direct), and the base model completes its text (samplegen pipeline);
4. a score for each task and condition; Spearman's rho over the tasks between the tuned model and the base
   with examples, its interval and its p-value by permutations; the same beside direct prompting, and for
   scores above chance, as tasks differ in what guessing scores;
5. a task whose rule was drawn by lot: no condition should beat guessing there (a control).

Departures from the paper, and why:

* smollm2, the default, is a chat model: as base it is asked in raw text, and its twin is made in the run. A
  base model with its published twin is ``--base B --tuned T``.
* Scores are ROUGE-L (or exact match) of the first line; BERTScore of the options needs an encoder.
* The twin answers without the mark ``Answer Solution:``, which costs tokens; SampleGen keeps it.
* Adapters of rank 16 learn a few rows of each task (paper: rank 64, 20,000 samples of FLAN); untuned rate.
* Tasks of one definition are one point. Those at 0 in two conditions tie: rho without them is told too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from biddable.config import Count, Natural, settings
from biddable.errors import InputError
from biddable.experiments.claims import Claim
from biddable.experiments.cross_task import SplitTask, copied, hold_out, split_composed
from biddable.experiments.figures import losses
from biddable.experiments.over_tasks import (
    LEAST,
    Row,
    above_chance,
    as_comparison,
    by_task,
    commonest,
    compared,
    correlation,
    figures,
    permutation_p,
    spearman,
)
from biddable.experiments.remarks import unanswered
from biddable.experiments.samplegen import (
    END,
    MARK,
    SAMPLEGEN,
    drawn,
    extract_answer,
    regular_lessons,
    render_direct,
    render_regular,
    render_samplegen,
    samplegen_lessons,
)
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import Weights, finetuned, publish_conversations, with_seed
from biddable.experiments.task_pool import read_pool, scorable
from biddable.judges.reference import ReferenceJudge
from biddable.methods.base import About, Method, show
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.models.load import model_identity, require_trainable
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.suites.answers import Ask, answers
from biddable.suites.base import Suite
from biddable.suites.cells import Cell, EvaluateSettings, evaluate_cell
from biddable.suites.figures import items
from biddable.suites.leaderboard import leaderboard
from biddable.suites.metrics import met, score
from biddable.tasks.compose.skills import CODE, code_task, skill_tasks
from biddable.train.config import LoraConfig, SftConfig
from biddable.types import Comparison, Task

DIRECT, ICL, TUNED = "base direct", "base icl", "tuned direct"
PROPOSED, PIPELINE = "samplegen direct", "samplegen pipeline"
CHANCE = "commonest answer"
COMPOSED_ROWS = 60
"""Rows of each composed task: 24 to score, 6 left aside, 30 to learn from and draw examples from."""
RAW = EvaluateSettings(template="none")

# -- 3. how answers are scored; what models are shown is ``experiments.samplegen`` -----------------------


def first_line_judge() -> ReferenceJudge:
    """Compares the first line that is not blank."""
    return ReferenceJudge(("rouge_l", "superni_exact_match"), extract=r"\S[^\n]*", ignore=(rf"\s*{END}.*",))


def condition_suite(name: str, rows: Sequence[Row], prompts: Sequence[Any], max_tokens: int) -> Suite:
    """Rows with the prompts of a condition."""
    tasks = [replace(row, prompt=prompt, choices=()) for (_, row), prompt in zip(rows, prompts, strict=True)]
    stops = ("\n\n", "\nExample", "\nInput", "\nSolution", END)
    return Suite(
        name,
        tuple(tasks),
        (score("rouge_l"), met("exact_match", "reference:superni_exact_match")),
        judge=first_line_judge(),
        sampling=Sampling(max_tokens=max_tokens, temperature=0.0, stop=stops),
    )


@settings
class ItVsIclConfig:
    """Settings of instruction tuning against in-context learning."""

    base: str = "smollm2"
    """The base model, asked in raw text."""
    tuned: str = ""
    """Its instruction-tuned twin; none named: the run makes it from the base model, on other tasks."""
    data: tuple[Path, ...] = ()
    """Folders of tasks, in the layouts of Super-NaturalInstructions or BIG-Bench Hard; else composed ones."""
    held_out: tuple[str, ...] = ()
    """Tasks or categories to score where the twin is made; none named: whole categories are drawn."""
    number: Count = 24
    """Tasks that are scored, at most."""
    items: Count = 20
    """Rows of each that are scored, from the first (paper: 2,500)."""
    examples: Count = 2
    """Solved examples, drawn for each row from the rows to learn from."""
    samplegen: bool = False
    """Have the tuned model propose the examples, too: two more conditions, and another twin."""
    score: Literal["rouge_l", "exact_match"] = "rouge_l"
    """What a task's score is the mean of."""
    rows: Count = 8
    """Rows of each other task that the twin learns from."""
    max_chars: Natural = 600
    """Rows with a longer input are left out."""
    max_tokens: Count = 12
    """Longest answer (paper: 250)."""
    proposal_tokens: Count = 96
    """Longest text of proposed examples with a solution (paper: 1,024)."""
    tune: bool = False
    """Set the tasks to score aside and hold out others, to choose settings by."""
    seeds: Count = 1
    """Repetitions with other examples and other twins."""
    sft: SftConfig = SftConfig(lr=1e-3, lora=LoraConfig(rank=16), too_long="drop")
    """How the twin is made (paper: adapters of rank 64, 5e-5)."""


class ItVsIcl(Method):
    """Instruction tuning against in-context learning (see ``biddable.methods.measure.it_vs_icl``)."""

    about = About(
        title="Instruction tuning against in-context learning",
        citation="Bigoulaeva et al. 2025, arXiv 2501.08716",
        claim=(
            "Over tasks, what an instruction-tuned model scores is correlated with what its own base model "
            "scores with solved examples (90 models), more than with direct prompting of the base model."
        ),
        needs="a base model, and its tuned twin or weights that can be trained; smollm2 runs on 2 CPU cores",
        minutes={"smoke": "1 (2 cores)", "default": "5 (1 core)", "full": "not measured"},
        takes="a base model (--base), its tuned twin (--tuned), folders of tasks (--data)",
        leaves="scores by task and condition, answers (cells/), the twin where the run made it (model)",
    )
    Config = ItVsIclConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"number": 8, "items": 2, "rows": 1, "max_tokens": 6},
        "full": {"items": 25, "rows": 10, "max_chars": 400, "max_tokens": 16, "samplegen": True},
        "gpu": {
            "items": 100,
            "rows": 100,
            "max_chars": 4000,
            "max_tokens": 64,
            "samplegen": True,
            "seeds": 3,
        },
    }
    only: ClassVar = {"no tuned": ("held_out", "tune", "rows", "sft"), "samplegen": ("proposal_tokens",),
                      "data": ("max_chars",)}  # fmt: skip
    config: ItVsIclConfig

    def check(self) -> None:
        """See ``Method.check``: tasks, examples, models."""
        config = self.config
        if config.tuned and model_identity(config.tuned) == model_identity(config.base):
            raise InputError("tuned", config.tuned, "another model than base")
        self.tasks, self.notes = (
            read_pool(config.data, max_chars=config.max_chars)
            if config.data
            else (split_composed(skill_tasks(COMPOSED_ROWS)), list[str]())
        )
        self.tasks, notes = scorable(self.tasks, config.score)
        self.notes += notes
        seen, scored, _ = self._sides(np.random.default_rng(0))
        for each in scored:
            if len(each.train) < config.examples:
                found = f"at most {len(each.train)}, the rows to learn from of {each.name}"
                raise InputError("examples", config.examples, found)
        if config.samplegen:
            samplegen_lessons(seen, 1, config.examples, np.random.default_rng(0))
        if not config.tuned:
            require_trainable(config.base)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, self.proposals = self.config, Counter[str]()
        run.describe(model=config.base)
        seen, scored, notes = self._sides(run.rng("held-out"))
        if not config.data:
            scored = [*scored, *split_composed([code_task(COMPOSED_ROWS)])]
        rows = [(each, row) for each in scored for row in each.test[: config.items]]
        direct = condition_suite(DIRECT, rows, [_direct(*row) for row in rows], config.max_tokens)
        cells = [evaluate_cell(run, config.base, direct, RAW, name=DIRECT)]
        values = {DIRECT: [self._values(cells[0])]}
        seeds = run.repetitions(config.seeds)
        for seed in seeds:
            part = run.scope(f"seed{seed}")
            twins = self._twins(part, seen, seed)
            for arm, (cell, row) in self._conditions(part, twins, rows, seed).items():
                values.setdefault(arm, []).append(row)
                cells += [cell] if cell and seed == run.first_seed else []
        guessed = copied(direct, commonest(rows))[config.score]
        if not config.tuned:
            run.publish(Path(twins[TUNED]), "model")
            publish_conversations(run, regular_lessons(seen, config.rows))
        scores = {arm: by_task(of, rows) for arm, of in {**values, CHANCE: [guessed]}.items()}
        by_lot = {arm: of.pop(CODE.name) for arm, of in scores.items() if CODE.name in of}
        comparisons, said = self._correlations(scores, seeds)
        if not config.data and config.items * config.seeds > 1:
            comparisons += _control(values, guessed, rows, seeds)
        first = f"seed{run.first_seed}"
        stages = {f"{first}-twin": "twin", f"{first}-samplegen-twin": "samplegen twin"}
        points = figures(scores, values, rows, TUNED, (ICL, PIPELINE, DIRECT), config.score)
        show(run, [*points, *losses(run, stages), items(leaderboard(cells))])
        of = {arm: list(by.values()) for arm, by in scores.items()}
        notes = [*self.notes, *notes, *unanswered(cells), *said]
        counted = Counter(each.name for each, _ in rows)
        metrics = {
            "scores": scores,
            CODE.name: by_lot,
            "rows": {name: counted[name] for name in scores[DIRECT]},
            "learned": {each.name: each.category for each in seen},
            "samplegen": dict(self.proposals),
            "rho": {
                arm: {"rho": spearman(of[TUNED], of[arm]), "permutation_p": permutation_p(of[TUNED], of[arm])}
                for arm in scores
                if arm not in (TUNED, CHANCE)
            },
        }
        return run.finish(comparisons, metrics=metrics, notes=notes)

    # -- 1. which tasks are scored -------------------------------------------------------------------------

    def _sides(self, rng: np.random.Generator) -> tuple[list[SplitTask], list[SplitTask], list[str]]:
        """Tasks that the twin learns from, tasks to score, and notes."""
        config = self.config
        if config.tuned:
            order = sorted(rng.permutation(len(self.tasks))[: config.number].tolist())
            seen, scored = list[SplitTask](), [self.tasks[at] for at in order]
            notes = [
                f"Whether {config.tuned} was made from {config.base}, and on these tasks, is not known here."
            ]
        else:
            share = min(config.number / len(self.tasks), 0.8)
            seen, scored, notes = hold_out(self.tasks, config.held_out, rng, share=share)
            if config.tune:
                seen, scored, more = hold_out(seen, (), rng, share=0.5)
                notes = [*notes, *more]
        scored = scored[: config.number]
        if len(scored) < LEAST:
            expected = f"at least {LEAST} to score, for a correlation over them"
            raise InputError("data", f"{len(scored)} of {len(self.tasks)} tasks", expected)
        return seen, scored, notes

    # -- 2. and 3. twins and conditions --------------------------------------------------------------------

    def _twins(self, run: Run, seen: Sequence[SplitTask], seed: int) -> dict[str, Weights]:
        """The tuned model, and the one that proposes examples."""
        config = self.config
        if config.tuned:
            return {TUNED: config.tuned, PROPOSED: config.tuned}
        sft = with_seed(config.sft, seed)
        made: dict[str, Weights] = {
            TUNED: finetuned(run, "twin", config.base, regular_lessons(seen, config.rows), sft)
        }
        if config.samplegen:
            lessons = samplegen_lessons(seen, config.rows, config.examples, run.rng("samplegen"))
            made[PROPOSED] = finetuned(run, "samplegen-twin", config.base, lessons, sft)
        return made

    def _conditions(
        self, run: Run, twins: Mapping[str, Weights], rows: Sequence[Row], seed: int
    ) -> dict[str, tuple[Cell | None, list[float]]]:
        """By condition: what was answered, and the score of each row."""
        config, rng = self.config, run.rng("examples")
        shown = [
            render_samplegen(drawn(each.train, config.examples, rng), str(row.meta["input"]))
            for each, row in rows
        ]
        told = [render_regular(each.task, str(row.meta["input"])) for each, row in rows]
        found: dict[str, tuple[Cell | None, list[float]]] = {}
        for arm, weights, prompts, how in (
            (ICL, config.base, shown, RAW),
            (TUNED, twins[TUNED], told, EvaluateSettings()),
        ):
            suite = condition_suite(arm, rows, prompts, config.max_tokens)
            cell = evaluate_cell(run, weights, suite, how, name=arm)
            found[arm] = (cell, self._values(cell))
        return {**found, **(self._samplegen(run, twins[PROPOSED], rows) if config.samplegen else {})}

    def _samplegen(
        self, run: Run, weights: Weights, rows: Sequence[Row]
    ) -> dict[str, tuple[Cell | None, list[float]]]:
        """The tuned model's examples with its own solution, and with the base model's."""
        config = self.config
        asked = [render_regular(each.task, str(row.meta["input"]), system=SAMPLEGEN) for each, row in rows]
        limit = Sampling(max_tokens=config.proposal_tokens, temperature=0.0, stop=(END,))
        said = answers(run, "proposals", Ask(LazyModel(weights), limit), asked)
        texts = [response.text for [response] in said]
        suite = condition_suite(PROPOSED, rows, [_direct(*row) for row in rows], config.max_tokens)
        own = copied(suite, [extract_answer(text) for text in texts])[config.score]
        marked = [at for at, text in enumerate(texts) if MARK in text]
        cut_off = sum(response.finish_reason == "length" for [response] in said)
        self.proposals.update(proposals=len(texts), unmarked=len(texts) - len(marked), cut_off=cut_off)
        values = [0.0] * len(rows)
        if not marked:
            return {PROPOSED: (None, own), PIPELINE: (None, values)}
        prompts = [texts[at].partition(MARK)[0] + MARK for at in marked]
        suite = condition_suite(PIPELINE, [rows[at] for at in marked], prompts, config.max_tokens)
        cell = evaluate_cell(run, config.base, suite, RAW, name=PIPELINE)
        for at, value in zip(marked, self._values(cell), strict=True):
            values[at] = value
        return {PROPOSED: (None, own), PIPELINE: (cell, values)}

    def _values(self, cell: Cell) -> list[float]:
        return [record.metrics[self.config.score] for record in cell.records]

    # -- 4. correlations -----------------------------------------------------------------------------------

    def _correlations(
        self, scores: Mapping[str, Mapping[str, float]], seeds: Sequence[int]
    ) -> tuple[list[Comparison], list[str]]:
        """The claims, and what of them cannot be said or must be known."""
        metric = f"Spearman's rho over tasks ({self.config.score})"
        of = {arm: list(by.values()) for arm, by in scores.items()}
        normal = {arm: above_chance(by, scores[CHANCE]) for arm, by in scores.items()}
        pairs = [(metric, of, ICL), (f"{metric}, above chance", normal, ICL), (metric, of, PIPELINE)]
        comparisons, notes = [], []
        for name, values, other in pairs[: 3 if PIPELINE in of else 2]:
            found = correlation(values[other], values[TUNED])
            if found is None:
                notes.append(f"{name}: none of {TUNED} and {other}, all tasks score the same in one of them.")
                continue
            comparisons.append(as_comparison(found, name, f"{TUNED} and {other}", seeds))
            if found.tied:
                rest = "" if found.without is None else f" Without them rho is {found.without:.2f}."
                tied = f"{found.tied} of {found.n} tasks are at 0 in both and share a rank."
                notes.append(f"{name}, {TUNED} and {other}: {tied}{rest}")
        if comparisons and comparisons[0].metric == metric and len({*of[ICL]}) > 1:
            rivals = [(f"{TUNED} and {arm}", of[arm]) for arm in (DIRECT, ICL)]
            comparisons.insert(1, compared(metric, of[TUNED], rivals[0], rivals[1], seeds))
        if self.proposals:
            told = "SampleGen: {unmarked} of {proposals} texts have no solution, {cut_off} were cut off."
            notes.append(told.format_map(self.proposals))
        if len({*of[DIRECT]}) == 1:
            notes.append(f"All tasks score the same in {DIRECT}: its rho counts as 0.")
        return comparisons, notes


def _direct(task: SplitTask, row: Task) -> str:
    return render_direct(task.task, str(row.meta["input"]))


def _control(
    values: Mapping[str, Sequence[Sequence[float]]],
    guessed: Sequence[float],
    rows: Sequence[Row],
    seeds: Sequence[int],
) -> list[Comparison]:
    """Where the rule was drawn by lot, the tuned model and the base with examples beside guessing."""
    scores, at = ArmScores(), [n for n, (each, _) in enumerate(rows) if each.name == CODE.name]
    scores.add(CHANCE, [guessed[n] for n in at], metric=CODE.name)
    for arm in (ICL, TUNED):
        for seed, row in zip(seeds, values[arm], strict=True):
            scores.add(arm, [row[n] for n in at], metric=CODE.name, seed=seed)
    claims = [Claim(CHANCE, arm, metric=CODE.name, role="control") for arm in (ICL, TUNED)]
    return scores.compare(claims)
