"""Self-play of one seed: the actor answers, the refiner repairs, both are trained, again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from biddable.judges.answer import NOT_DEGENERATE, AnswerJudge
from biddable.judges.base import Judge
from biddable.judges.deciding import DecidingJudge
from biddable.judges.lm_judge import END, START, LMJudge, judge_chat, refine_chat
from biddable.methods.improve.spar.config import SparConfig
from biddable.methods.improve.spar.data import (
    Caps,
    Negative,
    build_refiner_data,
    collect_negatives,
    critique_of,
)
from biddable.models.base import LanguageModel, Sampling
from biddable.models.load import load_model, load_trainable
from biddable.runs.run import Run
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.search.refiners import LMRefiner, Refinement
from biddable.search.tree import SearchSettings, tree_search
from biddable.tasks.compose import Composer
from biddable.tasks.repairs import repair
from biddable.types import Chat, Message, Preference, Response, Task, Verdict

BATCH = 64  # tasks answered between two entries in the journal

Weights = str | Path
"""What ``load_model`` takes: the name of the model to start from, or a folder that a stage left."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the actor said to each task of an iteration, and what the judge made of it."""

    tasks: list[Task]
    texts: list[list[str]]
    assessed: list[list[Verdict]]

    def flat(self) -> list[tuple[Task, str, Verdict]]:
        """One row per answer."""
        return [
            (task, text, note)
            for task, texts, notes in zip(self.tasks, self.texts, self.assessed, strict=True)
            for text, note in zip(texts, notes, strict=True)
        ]


class SelfPlay:
    """The steps of SPaR for one seed; each is a stage of the run and is computed once."""

    def __init__(self, run: Run, config: SparConfig, seed: int):
        self.run, self.config, self.seed = run, config, seed
        self.name = f"seed{seed}"
        self.tasks = _training_tasks(config, seed, config.iterations * config.prompts)

    def slice(self, iteration: int) -> list[Task]:
        """The training tasks of an iteration (from 1), none of which another iteration sees."""
        start = (iteration - 1) * self.config.prompts
        return self.tasks[start : start + self.config.prompts]

    # Step 2: bootstrap

    def bootstrap(self) -> Path:
        """The first refiner: taught rule-made repairs of what the model really got wrong.

        In the paper a strong teacher writes them. Rules are a teacher too, and the only one here. As there,
        one first refiner serves all seeds; so this is called once in a run.
        """
        tasks = _training_tasks(self.config, self.run.seed("bootstrap"), self.config.bootstrap)
        lessons = self.run.stage("lessons", partial(self._lessons, tasks), list[Chat])
        config = self.config
        return self.finetune(
            "refiner0", config.model, lessons, lr=config.bootstrap_lr, epochs=config.bootstrap_epochs
        )

    def _lessons(self, tasks: list[Task]) -> list[Chat]:
        samples = self.config.bootstrap_samples
        texts = self.sample("bootstrap", self.config.model, tasks, samples=samples)
        answers = [(task, text) for task, of_task in zip(tasks, texts, strict=True) for text in of_task]
        rng = self.run.rng("lessons")
        judge, lessons = AnswerJudge(), []
        judged = list(answers)
        for task, text in answers:
            verdict = judge([task], [Response(text)])[0]
            missed = [check for check in verdict.checks if not check.passed and check.id != NOT_DEGENERATE]
            repaired = repair(task, text, {check.id for check in missed}, rng) if missed else None
            if repaired is None or not judge([task], [Response(repaired)])[0].passed:
                continue
            judged.append((task, repaired))  # or a judge would see failures only, and learn to say no
            what = " ".join(check.reason for check in missed)
            target = f"{what}\n{START}\n{repaired}\n{END}"
            lessons.append((*refine_chat(task, text, critique_of(verdict)), Message("assistant", target)))
        if self.config.judge == "self":
            lessons += [self._judging_lesson(judge, task, text) for task, text in judged]
        return lessons

    def _judging_lesson(self, judge: AnswerJudge, task: Task, text: str) -> Chat:
        critique = critique_of(judge([task], [Response(text)])[0])
        return (*judge_chat(task, text), Message("assistant", critique))

    # Steps 3 to 6

    def sample(self, name: str, weights: Weights, tasks: list[Task], *, samples: int) -> list[list[str]]:
        """Step 3, first half: ``samples`` answers of the actor to each task."""
        config = self.config
        model = Lazy(weights)
        how = Sampling(max_tokens=config.max_tokens, temperature=config.temperature, top_p=config.top_p)

        def generate(batch: list[Task]) -> list[list[str]]:
            seeds = [self.run.seed(name, task.id) for task in batch]
            chats = [task.prompt for task in batch]
            return [
                [r.text for r in rs] for rs in model().generate(chats, n=samples, sampling=how, seeds=seeds)
            ]

        return self.run.map(f"{name}-answers", tasks, generate, list[str], BATCH)

    def answer(
        self, name: str, weights: Weights, tasks: list[Task], *, samples: int, refiner: Weights
    ) -> Answers:
        """The same, each of them judged (by the refiner, if the model is the judge)."""
        texts = self.sample(name, weights, tasks, samples=samples)
        judge = self.judge(refiner)

        def assess(batch: list[int]) -> list[list[Verdict]]:
            rows = [(tasks[i], text) for i in batch for text in texts[i]]
            seeds = [self.run.seed(name, "judge", tasks[i].id, j) for i in batch for j in range(samples)]
            responses = [Response(text) for _, text in rows]
            notes = iter(judge([task for task, _ in rows], responses, seeds=seeds))
            return [[next(notes) for _ in texts[i]] for i in batch]

        assessed = self.run.map(f"{name}-verdicts", list(range(len(tasks))), assess, list[Verdict], BATCH)
        return Answers(tasks, texts, assessed)

    def negatives(self, name: str, answers: Answers) -> list[Negative]:
        """Step 3, second half."""
        rng = self.run.rng(name, "negatives")
        return collect_negatives(answers.tasks, answers.texts, answers.assessed, rng)

    def search(
        self,
        name: str,
        refiner: Weights,
        negatives: Sequence[Negative],
        settings: SearchSettings,
        max_tokens: int | None = None,
    ) -> list[SearchResult]:
        """Step 4: a tree of repairs for each negative; every round of all trees is one stage.

        ``max_tokens`` is how long a repair may be, ``refine_tokens`` where it is None.
        """
        if not negatives:
            return []
        tasks = [negative.task for negative in negatives]
        model = Lazy(refiner)
        sampling = Sampling(
            max_tokens=max_tokens or self.config.refine_tokens, temperature=self.config.refine_temperature
        )
        judge = DecidingJudge(self.judge(refiner))

        def refine(*rows: Sequence[Any], seeds: Any = None) -> list[Refinement | None]:
            return LMRefiner(model(), sampling)(*rows, seeds=seeds)

        return tree_search(
            tasks,
            [RefinementNode(n.response, n.critique, 0.0) for n in negatives],
            self._rounds(f"{name}-refine", refine, list[Refinement | None]),
            self._rounds(f"{name}-judge", judge, list[Verdict]),
            settings,
            seeds=[self.run.seed(name, negative.task.id) for negative in negatives],
        )

    def _rounds(self, name: str, ask: Callable[..., Any], type: Any) -> Any:
        """``ask``, with the answers of each round kept as a stage."""
        rounds = count(1)
        return lambda *rows, seeds: self.run.stage(
            f"{name}{next(rounds)}", lambda: ask(*rows, seeds=seeds), type
        )

    def train_refiner(self, name: str, start: Weights, chats: Sequence[Chat]) -> Path:
        """Step 6: rejection-sampling fine-tuning."""
        config = self.config
        return self.finetune(name, start, chats, lr=config.refiner_lr, epochs=config.refiner_epochs)

    def train_actor(self, name: str, start: Weights, pairs: Sequence[Preference]) -> Path:
        """Step 5: DPO with the likelihood term; the reference is the actor it starts from."""
        from biddable.train.config import LoraConfig
        from biddable.train.dpo import DpoConfig, train_dpo

        config = self.config
        settings = DpoConfig(
            lr=config.actor_lr,
            beta=config.beta,
            rpo_alpha=config.alpha,
            epochs=config.actor_epochs,
            batch_size=config.batch_size,
            lora=LoraConfig(rank=config.lora_rank),
            seed=self.seed,
        )
        return self._train(name, start, lambda model, **hooks: train_dpo(model, pairs, settings, **hooks))

    def refiner_data(
        self, name: str, negatives: Sequence[Negative], results: Sequence[SearchResult], answers: Answers
    ) -> list[Chat]:
        """Step 6: what the refiner learns from this iteration."""
        caps = Caps().scaled(self.config.prompts) if self.config.prompts >= 10_000 else Caps()
        judged = answers.flat()
        if self.config.judge == "rules":  # nobody asks the refiner for a judgement
            caps, judged = replace(caps, tree_positive=0, tree_negative=0), []
        return build_refiner_data(negatives, results, judged, caps, self.run.rng(name, "rft"))

    def finetune(self, name: str, start: Weights, chats: Sequence[Chat], *, lr: float, epochs: int) -> Path:
        """Supervised fine-tuning: of a refiner (steps 2 and 6), or of an actor in an arm without pairs."""
        from biddable.train.config import LoraConfig
        from biddable.train.sft import SftConfig, train_sft

        settings = SftConfig(
            lr=lr,
            epochs=epochs,
            batch_size=self.config.refiner_batch_size,
            lora=LoraConfig(rank=self.config.lora_rank),
            seed=self.seed,
        )
        return self._train(name, start, lambda model, **hooks: train_sft(model, chats, settings, **hooks))

    def _train(self, name: str, start: Weights, train: Callable[..., Any]) -> Path:
        def fill(folder: Path) -> None:
            model = load_trainable(start, lora_rank=self.config.lora_rank)
            log = partial(self._log, name)
            train(model, checkpoint_dir=self.run.checkpoints(name), on_step=log)
            model.save(folder)

        return self.run.stage_folder(name, fill)

    def _log(self, name: str, report: Any) -> None:
        self.run.log(name, report.step, loss=report.loss, grad_norm=report.grad_norm, **report.metrics)

    # The judge

    def judge(self, refiner: Weights) -> Judge:
        """Who says whether an answer does what was asked: the rules, or the refiner itself by vote."""
        return _by_rules if self.config.judge == "rules" else _by_vote(Lazy(refiner), self.config.votes)


def _training_tasks(config: SparConfig, seed: int, count: int) -> list[Task]:
    composer = Composer(
        "train",
        types=config.types,
        exclude_types=config.held_out_types,
        rules=(1, config.rules),
        brief=config.brief,
        seed=seed,
    )
    return composer.sample(count)


class Lazy:
    """A model that is loaded when first used: a resumed run reads most stages back and needs none."""

    def __init__(self, weights: Weights):
        self.weights = weights
        self._model: LanguageModel | None = None

    def __call__(self) -> LanguageModel:
        """The model."""
        if self._model is None:
            self._model = load_model(self.weights)
        return self._model


def _by_rules(
    tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
) -> list[Verdict]:
    """The checks themselves as judge, in the form that a language model judges in.

    That the text is an answer is one of them, or self-play would learn to follow the rules and say nothing.
    """
    verdicts = AnswerJudge()(tasks, responses)
    return [replace(v, score=rule_value(v), critique=critique_of(v)) for v in verdicts]


def rule_value(verdict: Verdict) -> float:
    """1 when all checks are met, else half the share that is."""
    return 1.0 if verdict.passed else (verdict.score or 0.0) / 2


def _by_vote(model: Lazy, votes: int) -> Judge:
    def judge(
        tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        return LMJudge(model(), votes)(tasks, responses, seeds=seeds)

    return judge
