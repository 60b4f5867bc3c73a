"""APE: from a handful of inputs with outputs, instructions written, scored and ranked.

Zhou et al. 2023, "Large Language Models Are Human-Level Prompt Engineers" (ICLR 2023, arXiv 2211.01910). A
model reads examples and proposes the instruction behind them, many times; a score on other examples decides.

Claim: instructions found so are at least as good as those that people wrote (on 24 of 24 tasks of Instruction
Induction and 17 of 21 of BIG-bench by the ICLR abstract; 19 of 24 by that of the first version), and better
than the one a model gives without search. Put before solved examples, they raise few-shot accuracy.

The steps:

1. tasks: inputs with outputs (``--data``), or five composed ones; a part is held out for the test;
2. proposals: half of the examples are for showing; each draw shows some of them, several instructions each;
3. scores on the other half: mean log-probability of right outputs, of all proposals or by a bandit (UCB);
4. if asked for, other wordings of the best are proposed and scored too (iterations);
5. the best few write their outputs, and the one that is right most often is chosen;
6. the test, once: the chosen, beside what the model proposes without search, the mean of the pool, no
   instruction, and what people wrote; and the same before solved examples.

Departures from the paper, and why:

* All proposals are scored on the same examples, drawn once, which compares them more sharply.
* The bandit sees probabilities, not their logarithms: below 0, what was never scored would always be best.
* The finalists of the likelihood are decided by what they write, for that is what the test counts.
* The proposal stands at the end of the request (the paper's forward mode): no model here fills in gaps.
* Steering towards true or informative answers needs a judge that is gone, and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from biddable.config import Count, Natural, NonNegative, Share, settings
from biddable.errors import InputError
from biddable.experiments.claims import Claim
from biddable.experiments.prompt_rankings import Ranking, accuracy_table, write_ranking
from biddable.experiments.prompts import demonstrations, executed, instructions, likelihoods, variations
from biddable.experiments.remarks import unanswered_of
from biddable.experiments.scores import ArmScores
from biddable.methods.base import About, show
from biddable.methods.prompting import PromptMethod, PromptSettings
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.search.prompts import bandit_search, ranked
from biddable.suites.cells import Cell
from biddable.suites.figures import items
from biddable.suites.leaderboard import leaderboard
from biddable.tasks.induction import InductionTask
from biddable.tasks.templates import PromptTemplate
from biddable.types import Task

APE, GREEDY_ARM, POOL, NONE, HUMAN, YOURS = "ape", "greedy", "pool", "none", "human", "yours"
SHOTS, APE_SHOTS = "examples", "ape + examples"
POOL_NOTE = "pool: the mean of some proposals; human: the mean of what people wrote."
FULL = {"proposals": 30, "examples": 50, "test": 100, "pool": 15, "humans": 5}
MOST_SHOWN = 100
"""Examples that proposals may be made of, at most, as in the paper."""


@settings
class ApeConfig(PromptSettings):
    """Settings of APE."""

    draws: Count = 3
    """Draws of examples that instructions are proposed from (paper: 3)."""
    proposals: Count = 8
    """Instructions from each draw (paper: 30)."""
    scoring: Literal["likelihood", "execution"] = "likelihood"
    """Score by the log-probability of right outputs, or by how often the model's outputs are right."""
    examples: Count = 20
    """Examples that instructions are scored on (paper: 50)."""
    search: Literal["full", "ucb"] = "full"
    """Score every proposal on all of them, or spend evaluations by upper confidence bounds."""
    rounds: Count = 5
    """Rounds of the bandit; in each a third of the proposals is scored on new examples."""
    c: NonNegative = 1.0
    """Weight of what the bandit does not know."""
    iterations: Natural = 0
    """How often other wordings of the best quarter are added."""
    finalists: Count = 5
    """The best by likelihood, which are decided by what the model writes."""
    humans: Count = 3
    """Human instructions of each task that are measured, the first of those that there are."""
    pool: Count = 5
    """Proposals drawn to measure the mean of the pool by."""
    shots: Natural = 5
    """Solved examples, for the test with and without the instruction; 0: none."""
    share: Share = 0.5
    """Share of the examples that proposals are made of."""


class Ape(PromptMethod):
    """APE (see ``biddable.methods.prompt.ape``)."""

    about = About(
        title="Large language models are human-level prompt engineers",
        citation="Zhou et al. 2023, arXiv 2211.01910",
        claim=(
            "Of instructions that a model proposes from examples, the one that scores best on others is "
            "better than the one it proposes first, and as good as those that people wrote."
        ),
        needs="any model; scoring by likelihood needs one with log-probabilities",
        minutes={"smoke": "1 (2 cores)", "default": "5 (2 cores)", "full": "32 for 8 tasks (1 core)"},
        takes="a model (--model), inputs with outputs (--data), the prompt you use today (--prompt)",
        leaves="the best prompt (artifacts/prompt.json, for --prompt RUN), all proposals ranked",
    )
    Config = ApeConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **{"draws": 1, "proposals": 4, "examples": 4, "finalists": 2, "test": 4, "pool": 2, "shots": 2},
            **{"sampling.max_tokens": 24, "max_tokens": 8},
        },
        "full": FULL,
        "gpu": {**FULL, "iterations": 1},
    }
    only: ClassVar = {"search=ucb": ("rounds", "c"), "no prompt": ("template",),
                      "outputs=auto or outputs=written": ("max_tokens",)}  # fmt: skip
    config: ApeConfig

    def check(self) -> None:
        """See ``Method.check``: the data, the prompt and the models."""
        config = self.config
        if not 0 < config.share < 1:
            raise InputError("share", config.share, "a number between 0 and 1")
        super().check()
        for task in self.tasks:
            shown, scored = self._halves(task)
            for field, wanted, there in (
                ("demos", config.demos, len(shown)),
                ("shots", config.shots, len(shown)),
                ("examples", config.examples, len(scored)),
            ):
                if wanted > there:
                    expected = f"at most {there}: {task.name} has no more to take them from"
                    raise InputError(field, wanted, expected)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, scores = self.config, ArmScores()
        self.begin(run)
        shown = {task.name: self._halves(task)[0] for task in self.tasks}
        counts = (config.draws, config.proposals, config.demos)
        made = instructions(run, self.proposer, shown, *counts, config.sampling)
        rankings = {
            task.name: self._search(run.scope(task.name), task, *made[task.name]) for task in self.tasks
        }
        by_arm: dict[str, list[NDArray[np.float64]]] = {}
        cells: list[Cell] = []
        tested: dict[str, dict[str, float]] = {}
        for task in self.tasks:
            values, cell = self._test(run.scope(task.name), task, rankings[task.name])
            cells.append(cell)
            tested[task.name] = {arm: float(row.mean()) for arm, row in values.items()}
            for arm, row in values.items():
                by_arm.setdefault(arm, []).append(row)
        whole = {arm: rows for arm, rows in by_arm.items() if len(rows) == len(self.tasks)}
        for arm, rows in whole.items():
            scores.add(arm, np.concatenate(rows))
        claims = [Claim(arm, APE) for arm in (GREEDY_ARM, POOL, NONE, HUMAN, YOURS) if arm in whole]
        claims += [Claim(SHOTS, APE_SHOTS)] if SHOTS in whole else []
        write_ranking(run.artifact("data", "proposals.csv"), rankings)
        told = self.leave(
            run,
            {name: self.template.with_instruction(each.instruction) for name, each in rankings.items()},
        )
        show(
            run,
            [
                scores.bars("Held-out examples", arms=list(whole), unit="accuracy", note="0 to 1."),
                accuracy_table(tested, POOL_NOTE),
                *(each.table(name) for name, each in rankings.items()),
                items(leaderboard(cells)),
            ],
        )
        metrics = {
            "accuracy": tested,
            "iqm": {arm: float(trim_mean([t[arm] for t in tested.values()], 0.25)) for arm in whole},
            "parity": _parity(tested),
            "instructions": {name: each.instruction for name, each in rankings.items()},
            "evaluations": {name: each.evaluations for name, each in rankings.items()},
            "proposals": {name: len(each.texts) for name, each in rankings.items()},
        }
        notes = [*told, *self._notes(rankings), *unanswered_of(run)]
        return run.finish(scores.compare(claims), metrics=metrics, notes=notes, next_steps=self.next_steps())

    # -- 2. to 5. one task ---------------------------------------------------------------------------------

    def _halves(self, task: InductionTask) -> tuple[list[Task], list[Task]]:
        """Examples to propose from, and examples to score on; drawn by the task's name."""
        rng = np.random.default_rng([len(task.induce), *task.name.encode()])
        order = rng.permutation(len(task.induce))
        shown = min(int(self.config.share * len(order)), MOST_SHOWN)
        return [task.induce[i] for i in order[:shown]], [task.induce[i] for i in order[shown:]]

    def _search(self, run: Run, task: InductionTask, texts: list[str], greedy: str) -> Ranking:
        config, rest = self.config, self._halves(task)[1]
        scored = [rest[i] for i in run.rng("examples").permutation(len(rest))[: config.examples]]

        # 3. Scores [proposals]; 4. and those of other wordings of the best.
        values, evaluations, how = self._scores(run, task, texts, scored, "scores")
        for i in range(config.iterations):
            order = ranked([-np.inf if v is None else v for v in values], texts)
            best = [texts[place] for place in order[: max(1, len(texts) // 4)]]
            new = [
                t
                for t in variations(run, f"wordings{i}", self.proposer, best, 2, config.sampling)
                if t not in texts
            ]
            if not new:
                break
            more, spent, how = self._scores(run, task, new, scored, f"scores{i}")
            texts, values, evaluations = texts + new, values + more, evaluations + spent

        # 5. The best few, decided by what they write.
        order = ranked([-np.inf if v is None else v for v in values], texts)
        finalists = [place for place in order if values[place] is not None][: config.finalists]
        prompts = [self.template.with_instruction(texts[i]) for i in finalists]
        written, _ = executed(run, f"finalists {task.name}", self.how(task), prompts, scored)
        right = written.mean(axis=1)
        chosen = finalists[int(right.argmax())]  # of equal ones the likelier
        return Ranking(
            tuple(texts),
            tuple(values),
            tuple(finalists),
            tuple(map(float, right)),
            chosen,
            greedy,
            evaluations + written.size,
            how,
        )

    def _scores(
        self, run: Run, task: InductionTask, texts: Sequence[str], scored: Sequence[Task], name: str
    ) -> tuple[list[float | None], int, str]:
        """A score of each proposal, None of one the bandit left out; evaluations made; and what they are."""
        config = self.config
        prompts = [self.template.with_instruction(text) for text in texts]

        def measure(
            which: Sequence[int], examples: Sequence[Task], stage: str
        ) -> tuple[NDArray[np.float64], str]:
            of = [prompts[i] for i in which]
            if config.scoring == "likelihood":
                nats = likelihoods(run, stage, self.how(task), of, examples)
                if nats is not None:
                    return nats, "likelihood"
                stage = f"{stage}-written"
            written, _ = executed(run, stage, self.how(task), of, examples)
            return written, "execution"

        if config.search == "full":
            values, how = measure(range(len(texts)), scored, name)
            return [float(v) for v in values.mean(axis=1)], values.size, how

        how, each = "", max(1, len(scored) // config.rounds)

        def evaluate(which: Sequence[int], number: int) -> NDArray[np.float64]:
            nonlocal how
            start = number * each % len(scored)
            values, how = measure(which, scored[start : start + each], f"{name}-round{number}")
            if how == "execution":
                return values
            how = "probability"
            return np.asarray(np.exp(values))

        third, rng = max(1, len(texts) // 3), run.rng(name, "ucb")
        bandit = bandit_search(
            len(texts), evaluate, rounds=config.rounds, per_round=third, c=config.c, rng=rng
        )
        means = [float(m) if n else None for m, n in zip(bandit.means, bandit.counts, strict=True)]
        return means, int(bandit.counts.sum()), how

    # -- 6. the test ---------------------------------------------------------------------------------------

    def _test(
        self, run: Run, task: InductionTask, ranking: Ranking
    ) -> tuple[dict[str, NDArray[np.float64]], Cell]:
        """Scores [examples] of each arm on held-out examples, and the cell with all answers."""
        config, rng = self.config, run.rng("test")
        held = [task.execute[i] for i in rng.permutation(len(task.execute))[: config.test]]
        drawn = [ranking.texts[i] for i in rng.permutation(len(ranking.texts))[: config.pool]]
        solved = demonstrations(self._halves(task)[0], config.shots, rng)
        template = self.template
        arms: list[tuple[str, PromptTemplate]] = [
            (APE, template.with_instruction(ranking.instruction)),
            (NONE, template.with_instruction("")),
            *((POOL, template.with_instruction(text)) for text in drawn),
            *((HUMAN, template.with_instruction(text)) for text in task.humans[: config.humans]),
        ]
        if ranking.greedy:
            arms.append((GREEDY_ARM, template.with_instruction(ranking.greedy)))
        if config.prompt:
            arms.append((YOURS, template))
        if solved:
            of = replace(template, instruction="", exemplars=solved)
            arms += [(SHOTS, of), (APE_SHOTS, of.with_instruction(ranking.instruction))]
        prompts = [prompt for _, prompt in arms]
        values, cell = executed(run, f"test {task.name}", self.how(task), prompts, held)
        names = list(dict.fromkeys(arm for arm, _ in arms))
        return {
            name: np.mean([row for (arm, _), row in zip(arms, values, strict=True) if arm == name], axis=0)
            for name in names
        }, cell

    # -- what is left --------------------------------------------------------------------------------------

    def _notes(self, rankings: Mapping[str, Ranking]) -> list[str]:
        notes = []
        if self.config.scoring == "likelihood" and any(
            each.scoring == "execution" for each in rankings.values()
        ):
            notes.append("The model gives no log-probabilities, so proposals were scored by what it writes.")
        if without := [task.name for task in self.tasks if not task.humans]:
            notes.append(f"Nobody wrote an instruction for {', '.join(without)}: not compared with people.")
        if silent := [name for name, each in rankings.items() if not each.greedy]:
            notes.append(f"Without search the model proposes nothing for {', '.join(silent)}.")
        for task in self.tasks:
            notes += task.remarks
            if len(task.execute) < self.config.test:
                notes.append(
                    f"{task.name}: {len(task.execute)} examples are held out, all of which were scored."
                )
        rho = [each.agreement for each in rankings.values()]
        known = [each for each in rho if each is not None]
        if known:
            told = f"{fmean(known):+.2f}, the mean over {len(known)} tasks"
            notes.append(f"Rank correlation of finalists' scores with how often they are right: {told}.")
        return notes


def _parity(tested: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    """On how many tasks the chosen instruction is at least as good as the mean of those that people wrote."""
    told = [row for row in tested.values() if HUMAN in row]
    return {"tasks": len(told), "at_least_human": sum(row[APE] >= row[HUMAN] for row in told)}
