"""Ensemble-Instruct: new instructions from seeds, each with the output that several models agree on.

Lee et al. 2023, "Ensemble-Instruct: Instruction Tuning Data Generation with a Heterogeneous Mixture of LMs"
(Findings of EMNLP 2023, arXiv 2310.13961). Made for models that are smaller than Self-Instruct's (Wang et al.
2023, arXiv 2212.10560), which the baseline here is.

Claim: with language models of 10 to 40 billion parameters, simpler prompts for two separate kinds of tasks
and outputs chosen by agreement give better data than Self-Instruct's pipeline; and smaller models that were
tuned on instructions give more useful outputs than larger ones that were not. (The abstract; the numbers of
the tables were not verified.)

The steps:

1. seeds (``--seeds``, or those that come with the library), in two kinds: with an input (A), and without (B);
2. instructions: the generator goes on with a list of up to 24 (A) or 10 (B); filters, and nothing too near to
   what there is;
3. instances: after solved examples it writes input and output (A), or an output (B), which are parsed;
4. voters write an output each, without seeing the first;
5. consensus: the first output if a voter's is the same, else what voters agree on, else, where all overlap,
   the output that overlaps most; otherwise the sample is dropped;
6. measured: on instructions with right outputs, what was agreed on beside the first outputs; of as many
   requests, how many valid instances Self-Instruct's pipeline gets (``--baseline``); and a student that is
   tuned on the data of either (``--student-model``).

Departures from the paper, and why:

* *The end mark* is taken off before instructions are compared: in the published code it is a word of each
  generated one, and of no seed.
* *What two voters agree on* is kept as in the published code's later version; the published sample run keeps
  the first output in its place. Two outputs that say nothing do not agree.
* *A base model as a voter* is shown solved examples, for it would go on with the request.
* *Outputs that are cut off* end with their last sentence, or are dropped; instructions may be short.
* *Solved examples* are seeds of one line each, drawn; the paper's are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from biddable.config import Count, Natural, Share, settings
from biddable.errors import InputError, RunError
from biddable.experiments.agreement import (
    ENSEMBLE,
    FIRST,
    SELF,
    UNTRAINED,
    Instances,
    branch_table,
    browser,
    gold_claims,
    gold_figures,
    nearest_seeds,
    nothing_left,
    on_gold,
    student_right,
    valid_samples,
    votes_as_lines,
    yield_claims,
    yield_numbers,
    yield_row,
    yield_table,
)
from biddable.experiments.claims import Claim
from biddable.experiments.generation import (
    GenerateSettings,
    Generator,
    Layout,
    Tally,
    Written,
    funnel_of,
    instantiate,
    instruct,
    self_instances,
    self_instructions,
)
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import finetuned, with_seed
from biddable.experiments.voting import (
    Demos,
    alike_note,
    by_branch,
    decide,
    dropped_for,
    outputs_of,
    read_voters,
    require_model,
)
from biddable.judges.reference import METRICS
from biddable.methods.base import About, Method, show
from biddable.models.lazy import LazyModel
from biddable.models.load import require_trainable
from biddable.runs.figures import Figure
from biddable.runs.files import write_atomic
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.search.consensus import Decision
from biddable.tasks.data import write_conversations
from biddable.tasks.generated import KINDS, Sample
from biddable.tasks.seeds import (
    held_out_tasks,
    library_gold,
    library_seeds,
    one_line,
    read_seeds,
    split_seed_tasks,
)
from biddable.tasks.steps import Drop, Funnel
from biddable.train.config import SftConfig
from biddable.types import Comparison, Conversation, Task, exchange


@settings
class EnsembleInstructConfig:
    """Settings of Ensemble-Instruct."""

    seeds: Path | None = None
    """Instructions with outputs, and inputs where they need one: Self-Instruct's seed_tasks.jsonl, or a file
    of instructions or chats; those that come with the library where none are named."""
    held_out: Path | None = None
    """Instructions with right outputs, of the same forms, to measure on; without, further inputs of seeds, a
    fifth of 50 seeds and more, or composed tasks beside the library's."""
    generator: str = "smollm2"
    """Who writes instructions, inputs and first outputs."""
    voters: tuple[str, ...] = ("smollm2", "gemma3-270m")
    """Who writes the other outputs, options behind a question mark: shots (solved examples; for a base model
    4), temperature."""
    layout: Layout = "auto"
    """The generator's few-shot requests as raw text (none), as a user's turn (chat), or as a turn where it is
    served (auto)."""
    make: GenerateSettings = GenerateSettings()
    """How much is made, and how the generator is asked."""
    threshold: Share = 0.01
    """All outputs must overlap by more than this ROUGE-L for one to be kept that is the same as no other."""
    max_tokens: Count = 64
    """A voter's longest output (paper: 256)."""
    test: Natural = 100
    """Instructions with right outputs that are measured on; 0: none."""
    metrics: tuple[str, ...] = ("superni_exact_match", "induction_contains")
    """How outputs are compared with right ones: the same, hold it as whole words, rouge_l, token_f1 …"""
    baseline: bool = True
    """Run Self-Instruct's pipeline beside it."""
    student_model: str = ""
    """A model to tune on the data of both, each cut to as many samples, and to measure; empty: none."""
    sft: SftConfig = SftConfig(lr=2e-5, epochs=2)
    """How the student is tuned."""


class EnsembleInstruct(Method):
    """Ensemble-Instruct (see ``biddable.methods.data.ensemble_instruct``)."""

    about = About(
        title="Ensemble-Instruct: instructions from seeds, outputs that several models agree on",
        citation="Lee et al. 2023, arXiv 2310.13961",
        claim=(
            "Outputs that several models agree on are better than those of one; simpler prompts for two "
            "kinds of tasks give more usable instances than Self-Instruct's; models tuned on instructions "
            "give more useful outputs than larger ones that were not."
        ),
        needs="a generator and a voter or more, any models; the second voter comes with the extra gemma",
        minutes={"smoke": "1 (1 core)", "default": "6 (2 cores)", "full": "36 (1 core)"},
        takes="seed tasks (--seeds), models (--generator, --voters), right outputs to test on (--held-out)",
        leaves="conversations (artifacts/data), how each was agreed on (artifacts/votes), what was dropped "
        "and why (artifacts/dropped)",
    )
    Config = EnsembleInstructConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **{"make.number": 4, "make.requests": 6, "make.rounds": 1, "make.demos_input": 6},
            **{"make.demos_output": 6, "make.instance_sampling.max_tokens": 48, "max_tokens": 16, "test": 25},
        },
        "full": {
            **{"make.number": 200, "make.rounds": 40, "make.demos_input": 19, "make.demos_output": 15},
            **{"max_tokens": 128, "test": 500, "student_model": "smollm2"},
        },
        "gpu": {
            **{"make.number": 2000, "make.requests": 128, "make.rounds": 60, "max_tokens": 256},
            **{"make.demos_input": 19, "make.demos_output": 15, "make.instance_sampling.max_tokens": 512},
            **{"test": 1000, "student_model": "smollm2"},
        },
    }
    only: ClassVar = {
        "test": ("held_out", "metrics", "student_model", "sft"),
        "baseline": ("student_model", "sft"),
        "student_model": ("sft",),
    }
    config: EnsembleInstructConfig

    def check(self) -> None:
        """See ``Method.check``: seeds, right outputs and models."""
        config = self.config
        if unknown := [name for name in config.metrics if name not in METRICS]:
            raise InputError("metrics", unknown[0], f"one of {', '.join(METRICS)}")
        self.seeds, self.metrics = library_seeds(), config.metrics
        self.left_out: list[str] = []
        self.gold: list[Task] = []
        if config.seeds:
            self.seeds, self.left_out = read_seeds(config.seeds)
        if config.test and (config.seeds or config.held_out):
            there = len(self.seeds)
            self.seeds, self.gold, other = held_out_tasks(self.seeds, config.test, config.held_out)
            self.left_out += [f"--held-out, {each}" for each in other]
            if len(self.seeds) < there:  # answers to them are free, and compared by words in common
                self.metrics = tuple(dict.fromkeys((*config.metrics, "rouge_l")))
        elif config.test:
            self.gold = library_gold(config.test)
        self.kinds = split_seed_tasks(self.seeds)
        self.demos: Demos = {kind: one_line(of) for kind, of in self.kinds.items()}
        if not any(len(self.kinds[kind]) > 1 and self.demos[kind] for kind in KINDS):
            expected = "two seeds or more of a kind, one with input and output of a line each"
            raise InputError("seeds", str(config.seeds), expected)
        require_model("generator", config.generator)
        models = {config.generator: LazyModel(config.generator)}
        self.generator = Generator.of(models[config.generator], config.layout)
        self.voters = read_voters(config.voters, models)
        self.alike = alike_note(config.generator, self.voters)
        if config.student_model:
            require_trainable(config.student_model)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config, scores = self.config, ArmScores()
        run.describe(generator=config.generator, voters=list(config.voters))
        demos: Demos = {
            kind: [of[i] for i in run.rng("demos", kind).permutation(len(of))[: config.make.demos(kind)]]
            for kind, of in self.demos.items()
        }
        # 2. to 5.
        tally = Tally()
        made, instances, samples = self._made(run, demos, tally)
        votes, outputs, decisions = self._voted(run, samples, demos)
        if not votes.kept:
            raise RunError(nothing_left(made, votes))
        nearest = self._write(run, made, votes, samples, outputs, decisions)
        figures: list[Figure] = [
            made.table("Instructions: what each step kept"),
            votes.table("Outputs: what the vote kept"),
            branch_table("How outputs were agreed on", decisions),
        ]
        # 6. What was agreed on, beside right outputs; what the baseline gets; a student of both.
        comparisons: list[Comparison] = []
        claims: list[Claim] = []
        if len(self.gold) > 1:
            measured = on_gold(
                run,
                self.generator,
                self.voters,
                self.gold,
                demos,
                config.make,
                threshold=config.threshold,
                max_tokens=config.max_tokens,
                metrics=self.metrics,
            )
            for metric in self.metrics:
                selected, predicted = gold_claims(measured, metric, scores)
                comparisons, claims = [*comparisons, *selected], [*claims, *predicted]
            figures += gold_figures(measured)
        yields = {ENSEMBLE: yield_row(made, instances, tally)}
        if config.baseline:
            other, others, spent = self._self_instruct(run, demos)
            yields[SELF] = yield_row(other, others, spent)
            figures.append(other.table("Self-Instruct's instructions: what each step kept"))
            claims += yield_claims(run, {SELF: others, ENSEMBLE: instances}, scores)
            claims += self._students(run, scores, votes.rows, valid_samples(others))
        figures.append(yield_table(yields))
        show(run, [*figures, browser(votes, self.names, list(samples), outputs, decisions)])
        metrics = {
            **{"instructions": made.counts(), "outputs": votes.counts()},
            "branches": by_branch(decisions),
            "nearest_seed": nearest,
            **{"yields": yield_numbers(yields), "scores": scores.metrics()},
        }
        return run.finish([*comparisons, *scores.compare(claims)], metrics=metrics, notes=self._notes(demos))

    # -- 2. and 3. instructions and instances --------------------------------------------------------------

    def _made(
        self, run: Run, demos: Demos, tally: Tally
    ) -> tuple[Funnel[Written], Instances, dict[str, Sample]]:
        """The funnel of instructions, what came of each new one, and the samples by their origin."""
        how = self.config.make
        made = funnel_of(
            [
                instruct(run, self.generator, kind, [s.instruction for s in self.kinds[kind]], how, tally)
                for kind in KINDS
                if demos[kind]
            ]
        )
        results = instantiate(run, "instances", self.generator, made.rows, demos, how, tally)
        samples = {
            f"{name}{f'+{i}' if i else ''}": sample
            for name, (_, of) in zip(made.ids, results, strict=True)
            for i, sample in enumerate(() if isinstance(of, Drop) else of)
        }
        made.apply("instances", [of if isinstance(of, Drop) else row for row, of in results])
        return made, results, samples

    # -- 4. and 5. the vote --------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """Whose outputs are voted on, in their order."""
        return [FIRST, *(voter.spec for voter in self.voters)]

    def _voted(
        self, run: Run, samples: Mapping[str, Sample], demos: Demos
    ) -> tuple[Funnel[Sample], list[list[str]], list[Decision]]:
        """The funnel of samples, all outputs of each, and what the vote decided."""
        rows, longest = list(samples.values()), self.config.max_tokens
        voters = enumerate(self.voters, 1)
        others = [outputs_of(run, f"voter{i}", who, rows, demos, longest) for i, who in voters]
        outputs = [[row.output, *texts] for row, *texts in zip(rows, *others, strict=True)]
        decisions = decide(outputs, self.config.threshold)
        votes = Funnel(samples)
        votes.apply(
            "consensus",
            [
                dropped_for(each, of) if each.place is None else replace(row, output=each.output)
                for row, of, each in zip(rows, outputs, decisions, strict=True)
            ],
        )
        return votes, outputs, decisions

    def _write(
        self,
        run: Run,
        made: Funnel[Written],
        votes: Funnel[Sample],
        samples: Mapping[str, Sample],
        outputs: Sequence[Sequence[str]],
        decisions: Sequence[Decision],
    ) -> float:
        """Leave the conversations, in the same order how each was agreed on, and what was dropped.

        Returns the mean ROUGE-L of an instruction with the seed that it is nearest to.
        """
        chats = [Conversation(exchange(each.prompt, each.output), (False, True)) for each in votes.rows]
        write_conversations(run.artifact("data", "conversations.jsonl"), chats)
        near = nearest_seeds(votes.kept, [seed.instruction for seed in self.seeds])
        lines = votes_as_lines(self.names, list(samples), outputs, decisions, near)
        write_atomic(run.artifact("votes", "votes.jsonl"), lines)
        made.write_dropped(run.artifact("dropped", "instructions.jsonl"))
        votes.write_dropped(run.artifact("dropped", "rows.jsonl"))
        return fmean(row[0][1] for row in near.values())

    # -- 6. the baseline, and students ---------------------------------------------------------------------

    def _self_instruct(self, run: Run, demos: Demos) -> tuple[Funnel[Written], Instances, Tally]:
        """The same of Self-Instruct's pipeline, with as many requests for instances."""
        how, tally = self.config.make, Tally()
        seeds = [seed.instruction for seed in self.seeds]
        made = funnel_of([self_instructions(run, self.generator, seeds, how, tally)])
        asked = made.rows[: len(KINDS) * how.number]
        results = self_instances(run, self.generator, asked, demos, how, tally)
        return made, results, tally

    def _students(
        self, run: Run, scores: ArmScores, agreed: Sequence[Sample], others: Sequence[Sample]
    ) -> list[Claim]:
        """Models tuned on as many samples of both, and the one that they were, on right outputs."""
        config, number = self.config, min(len(agreed), len(others))
        if not config.student_model or not self.gold or number < 2:
            return []
        weights: dict[str, str | Path] = {UNTRAINED: config.student_model}
        for arm, samples in ((SELF, others), (ENSEMBLE, agreed)):
            drawn = run.rng("student", arm).permutation(len(samples))[:number]
            chats = [exchange(samples[i].prompt, samples[i].output) for i in drawn]
            sft = with_seed(config.sft, run.first_seed)
            weights[arm] = finetuned(run, f"student-{arm}", config.student_model, chats, sft)
        for arm, model in weights.items():
            right = student_right(run, arm, model, self.gold, config.max_tokens, self.metrics)
            for metric, values in right.items():
                scores.add(arm, values, metric=f"right outputs of the student: {metric}")
        return [
            Claim(arm, ENSEMBLE, "higher", metric=f"right outputs of the student: {metric}")
            for metric in self.metrics
            for arm in (SELF, UNTRAINED)
        ]

    def _notes(self, demos: Demos) -> list[str]:
        config, notes = self.config, list(self.alike)
        if self.left_out:
            notes.append(f"{len(self.left_out)} seeds were left out; the first: {self.left_out[0]}")
        for kind, of in self.kinds.items():
            what = "need an input" if kind == "input" else "need no input"
            if not demos[kind]:
                notes.append(f"No seeds that {what}, with input and output of a line each: none were made.")
            elif len(of) < config.make.shown(kind):
                notes.append(f"{len(of)} seeds {what}: a request shows all of them.")
        if len(self.gold) < 2:
            notes.append("No right outputs to measure on: --held-out names some.")
        return notes
