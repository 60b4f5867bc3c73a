"""Teach better or show smarter: is an evaluation better spent on the instruction or on the exemplars?

Wan, Sun, Nakhost and Arik 2024, "Teach Better or Show Smarter? On Instructions and Exemplars in Automatic
Prompt Optimization" (NeurIPS 2024, arXiv 2406.15708). A prompt is an instruction, a few exemplars and the
input. Both are looked for by how a model does on validation examples, under one counted budget.

Claim: exemplars that are the model's own right outputs, which scoring instructions yields for nothing,
improve every method for instructions; to search for exemplars under a plain instruction beats the best
methods for instructions (PaLM 2 on BIG-Bench Hard: 72.9 against 68.1, from 60.3); both are best (77.3).

The steps:

1. tasks (``--data``, or three composed ones): validation examples to choose by, held-out ones for the test;
2. an evaluation is one instruction with one set of exemplars, scored on all validation examples;
3. instructions: the budget goes to proposals, from examples (ape) or from the best so far (opro);
4. exemplars: of the inputs that a model got right while an instruction was scored, with its own outputs,
   ordered sets are drawn or changed little by little, and scored; or chosen without evaluations: at random,
   the nearest to each input, or the most diverse;
5. both: half of the budget for an instruction, half for its exemplars; all arms spend the same;
6. the test, once, and what it is below validation (the gap).

Departures from the paper, and why:

* The seed instruction is the task's own, as its files have it (``--seed-instruction none``: an empty one).
* A validation example that is an exemplar is asked without it, for all arms alike.
* An arm that searches nothing (seed; random, nearest, diverse under the seed) spends one evaluation: that of
  the seed, which yields the pool.
* ProTeGi and PromptAgent, which have a model criticise prompts, need a larger model than runs here.
* Of small mutations four are scored side by side; population and mutation are the library's choice, as the
  paper's are not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from biddable.config import Count, Natural, settings
from biddable.errors import InputError
from biddable.experiments.claims import Claim
from biddable.experiments.prompt_rankings import Tested, accuracy_table, arm_means, gap_table
from biddable.experiments.prompts import Fitted, Proposal, Validation, demonstrations, executed, proposed
from biddable.experiments.remarks import unanswered_of
from biddable.experiments.scores import ArmScores
from biddable.methods.base import About, show
from biddable.methods.prompting import PromptMethod, PromptSettings
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.search.prompts import (
    Budget,
    distinct,
    diverse,
    nearest,
    random_sets,
    search_mutation,
    search_random,
    tried_before,
)
from biddable.suites.cells import Cell
from biddable.suites.figures import items
from biddable.suites.leaderboard import leaderboard
from biddable.tasks.induction import InductionTask
from biddable.tasks.templates import (
    Exemplar,
    PromptTemplate,
)
from biddable.types import Task

SEED, TEACH, SHOW, BOTH = "seed", "instructions", "exemplars", "both"
REUSED, NEAREST, DIVERSE = "instructions + random", "nearest", "diverse"
COMPOSED = ("sentiment", "first_item", "animal_in_list")


@settings
class TeachOrShowConfig(PromptSettings):
    """Settings of teach better or show smarter."""

    seed_instruction: Literal["task", "none"] = "task"
    """Begin with the instruction that comes with a task, or with none."""
    budget: Count = 16
    """Evaluations of each arm (paper: 32, and 64 for both)."""
    instructions: Literal["ape", "opro"] = "ape"
    """Proposals from examples, or from the best instructions so far with their scores."""
    exemplars: Literal["search", "mutation"] = "search"
    """Sets of exemplars are drawn, or come of each other."""
    k: Count = 3
    """Exemplars in a prompt (paper: 3)."""
    free: bool = True
    """Measure the arms whose exemplars cost no evaluation too: random, nearest, diverse."""
    validation: Count = 30
    """Examples that prompts are chosen by (paper: 20 % of a task)."""
    seeds: Count = 1
    """Repetitions with other examples and draws."""
    limit: Natural = 0
    """Only the first so many tasks; 0: all."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What an arm ends with.

    Attributes:
        prompt: the best prompt.
        validation: its mean score on validation examples.
        evaluations: how many were made.
        pool: the validation inputs that the model got right with its instruction, with the outputs.
        fitted: a prompt for each input, where it is not the same for all.
    """

    prompt: PromptTemplate
    validation: float
    evaluations: int
    pool: tuple[Exemplar, ...] = ()
    fitted: Fitted | None = None


class TeachOrShow(PromptMethod):
    """Teach better or show smarter (see ``biddable.methods.prompt.teach_or_show``)."""

    about = About(
        title="Teach better or show smarter? On instructions and exemplars in automatic prompt optimization",
        citation="Wan et al. 2024, arXiv 2406.15708",
        claim=(
            "Under one budget of evaluations, choosing exemplars among the model's own right outputs beats "
            "choosing the instruction, and both together are best."
        ),
        needs="any model; nearest and diverse exemplars need one whose weights are here",
        minutes={"smoke": "1 (2 cores)", "default": "6 (2 cores)", "full": "28 for 4 tasks (1 core)"},
        takes="a model (--model), inputs with outputs (--data), the prompt you use today (--prompt)",
        leaves="the best prompt of each task (artifacts/prompts; the first's is artifacts/prompt.json)",
    )
    Config = TeachOrShowConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **{"budget": 2, "k": 2, "demos": 2, "validation": 6, "test": 4, "limit": 1, "free": False},
            **{"sampling.max_tokens": 16, "max_tokens": 8},
        },
        "full": {"budget": 32, "validation": 40, "test": 100},
        "gpu": {"budget": 32, "validation": 50, "test": 200, "seeds": 5, "max_tokens": 64},
    }
    only: ClassVar = {"no prompt": ("seed_instruction", "template"),
                      "outputs=auto or outputs=written": ("max_tokens",)}  # fmt: skip
    config: TeachOrShowConfig
    composed = COMPOSED

    def check(self) -> None:
        """See ``Method.check``: the data, the prompt, what is to be drawn from them."""
        config = self.config
        if config.budget < 2:
            raise InputError("budget", config.budget, "at least 2: both spends a half on each")
        super().check()
        self.tasks = self.tasks[: config.limit or None]
        for task in self.tasks:
            if len(task.induce) < config.validation + config.demos:
                expected = f"at most {len(task.induce) - config.demos}: {task.name} has no more examples"
                raise InputError("validation", config.validation, expected)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, scores = self.config, ArmScores()
        self.begin(run)
        rows: list[Tested] = []
        cells: list[Cell] = []
        best: dict[str, PromptTemplate] = {}
        notes = [remark for task in self.tasks for remark in task.remarks]
        for seed in run.repetitions(config.seeds):
            values: dict[str, list[NDArray[np.float64]]] = {}
            for task in self.tasks:
                part = run.scope(f"seed{seed}-{task.name}")
                arms, said = self._arms(part, task)
                notes += [f"{task.name}, seed {seed}: {each}" for each in said]
                # 6. The test: all arms on the same held-out examples.
                order = part.rng("test").permutation(len(task.execute))[: config.test]
                prompts = [arm.fitted or arm.prompt for arm in arms.values()]
                held = [task.execute[i] for i in order]
                tested, cell = executed(part, f"test {task.name}", self.how(task), prompts, held)
                for (name, arm), row in zip(arms.items(), tested, strict=True):
                    values.setdefault(name, []).append(row)
                    rows.append((task.name, name, arm.validation, float(row.mean()), arm.evaluations))
                if seed == run.first_seed:
                    cells.append(cell)
                    best[task.name] = _best(arms)
            for name, of in values.items():
                if len(of) == len(self.tasks):
                    scores.add(name, np.concatenate(of), seed=seed)
        notes = [*self.leave(run, best), *notes, *unanswered_of(run)]
        measured = scores.arms()
        accuracies = {
            task.name: {arm: each["test"] for arm, each in arm_means(_of(rows, task.name)).items()}
            for task in self.tasks
        }
        show(
            run,
            [
                scores.bars("Held-out examples", arms=measured, unit="accuracy", note="0 to 1."),
                accuracy_table(accuracies, "The mean over seeds."),
                gap_table(rows),
                items(leaderboard(cells)),
            ],
        )
        metrics = {
            "accuracy": accuracies,
            "means": arm_means(rows),
            "instructions": {name: prompt.instruction for name, prompt in best.items()},
        }
        pairs = [(TEACH, REUSED), (TEACH, SHOW), (TEACH, BOTH), (SHOW, BOTH), (SEED, SHOW)]
        claims = [Claim(*pair) for pair in pairs if {*pair} <= {*measured}]
        return run.finish(scores.compare(claims), metrics=metrics, notes=notes, next_steps=self.next_steps())

    def _arms(self, run: Run, task: InductionTask) -> tuple[dict[str, Arm], list[str]]:
        """Every arm of one task, and remarks."""
        config = self.config
        order = [task.induce[i] for i in run.rng("split").permutation(len(task.induce))]
        shown = order[config.validation :]
        evaluate = Validation(run, task.name, self.how(task), order[: config.validation])
        told = task.humans[0] if task.humans and config.seed_instruction == "task" else ""
        start = self.template if config.prompt else self.template.with_instruction(told)

        # 2. One evaluation of the seed, which yields the first pool.
        [base], [pool] = evaluate("seed", [start])
        seed = Arm(start, base, 1, tuple(pool))
        # 3. The whole budget for instructions; 4. or for exemplars; 5. or a half for each.
        taught = self._taught(run, "teach", evaluate, seed, shown, config.budget)
        half = self._taught(run, "half", evaluate, seed, shown, config.budget // 2)
        arms = {
            SEED: seed,
            TEACH: taught,
            SHOW: self._shown(run, "show", evaluate, seed, config.budget - 1),
            BOTH: self._shown(run, "both", evaluate, half, config.budget - config.budget // 2),
        }
        if config.free:
            arms |= self._free(run, evaluate, seed, taught)
        right = sorted({len(arm.pool) for arm in (seed, taught, half) if len(arm.pool) < config.k})
        return arms, [f"only {n} validation examples were right: as many exemplars." for n in right]

    # -- 3. instructions -----------------------------------------------------------------------------------

    def _taught(
        self, run: Run, name: str, evaluate: Validation, seed: Arm, shown: Sequence[Task], number: int
    ) -> Arm:
        """The best of ``number`` instructions, the seed's among them, with what the model got right."""
        config, budget, best, rng = self.config, Budget(number), seed, run.rng(name, "draws")
        budget.spend(seed.evaluations)
        known = {seed.prompt.instruction: seed.validation}
        for turn in range(number):  # a proposer repeats itself
            if not budget.left:
                break
            tried = tried_before(known) if config.instructions == "opro" else ""
            side_by_side = min(4, budget.left) if tried else budget.left
            asked: list[Proposal] = [
                (demonstrations(shown, config.demos, rng), tried, run.seed(name, turn, i))
                for i in range(side_by_side)
            ]
            made = distinct(proposed(run, f"{name}-{turn}", self.proposer, asked, config.sampling))
            texts = [text for text in made if text not in known]
            if texts:
                budget.spend(len(texts))
                prompts = [seed.prompt.with_instruction(text) for text in texts]
                scores, right = evaluate(f"{name}{turn}", prompts)
                known |= dict(zip(texts, scores, strict=True))
                top = int(np.argmax(scores))
                if scores[top] > best.validation:
                    best = Arm(prompts[top], scores[top], 0, tuple(right[top]))
        return replace(best, evaluations=budget.spent)

    # -- 4. exemplars --------------------------------------------------------------------------------------

    def _shown(self, run: Run, name: str, evaluate: Validation, arm: Arm, number: int) -> Arm:
        """The best of ``number`` sets of exemplars under an arm's instruction; itself without a pool."""
        config, pool, k = self.config, arm.pool, min(self.config.k, len(arm.pool))
        if not k:
            return arm
        made: list[list[PromptTemplate]] = []

        def score(sets: Sequence[tuple[int, ...]]) -> list[float]:
            made.append([arm.prompt.with_exemplars([pool[i] for i in each]) for each in sets])
            return evaluate(f"{name}{len(made)}", made[-1])[0]

        budget = Budget(number)
        search = search_random if config.exemplars == "search" else search_mutation
        scores = search(len(pool), k, score, budget, run.rng(name, "sets"))
        best = max(scores, key=lambda each: scores[each])
        prompt = arm.prompt.with_exemplars([pool[i] for i in best])
        return Arm(prompt, scores[best], arm.evaluations + budget.spent, pool)

    def _free(self, run: Run, evaluate: Validation, seed: Arm, taught: Arm) -> dict[str, Arm]:
        """Exemplars that cost no evaluation: random, with the best instruction; nearest; diverse."""
        k, made = self.config.k, {}
        if taught.pool:
            [drawn] = random_sets(len(taught.pool), min(k, len(taught.pool)), 1, run.rng("reused"))
            prompt = taught.prompt.with_exemplars([taught.pool[i] for i in drawn])
            made[REUSED] = replace(taught, prompt=prompt)
        if seed.pool and hasattr(self.model(), "module"):
            pool, vectors = seed.pool, self._vectors([each.input for each in seed.pool])
            among = diverse(vectors, min(k, len(pool)), run.seed("clusters"))
            made[DIVERSE] = replace(seed, prompt=seed.prompt.with_exemplars([pool[i] for i in among]))

            def near(task: Task) -> PromptTemplate:
                # The task's own exemplar is taken out, so one more than are shown.
                places = nearest(vectors, self._vectors([str(task.prompt)])[0], k + 1)
                others = [pool[i] for i in places if pool[i].input != str(task.prompt)]
                return seed.prompt.with_exemplars(others[-k:])

            made[NEAREST] = replace(seed, fitted=near)
        return {
            name: replace(arm, validation=evaluate(name, [arm.fitted or arm.prompt])[0][0])
            for name, arm in made.items()
        }

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.floating]:
        from biddable.models.embedding import text_vectors  # torch is imported when it is used

        return text_vectors(self.model(), texts)


def _best(arms: Mapping[str, Arm]) -> PromptTemplate:
    """The prompt that is best on validation examples, of those that are the same for all inputs."""
    return max((arm for arm in arms.values() if not arm.fitted), key=lambda arm: arm.validation).prompt


def _of(rows: Sequence[Tested], task: str) -> list[Tested]:
    return [row for row in rows if row[0] == task]
