"""What experiments with language models are made of, each a stage of a run that is computed once.

A model is named by its *weights*: what ``load_model`` takes, or a folder that an earlier stage left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biddable.judges.base import Judge
from biddable.judges.deciding import DecidingJudge
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.models.load import load_trainable
from biddable.runs.executors import in_process
from biddable.runs.run import Run
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.search.refiners import LMRefiner, Refinement
from biddable.search.tree import SearchSettings, tree_search
from biddable.suites.answers import BATCH, Ask, answers
from biddable.tasks.data import write_conversations
from biddable.types import Chat, Conversation, Preference, Response, Task, Verdict

if TYPE_CHECKING:
    from biddable.train.dpo import DpoConfig
    from biddable.train.grpo import GrpoConfig
    from biddable.train.learner import StepReport
    from biddable.train.sft import SftConfig

Weights = str | Path


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model said to each task, and what a judge found: ``[tasks][samples]``."""

    tasks: list[Task]
    texts: list[list[str]]
    verdicts: list[list[Verdict]]

    def flat(self) -> list[tuple[Task, str, Verdict]]:
        """One row per answer."""
        return [
            (task, text, verdict)
            for task, texts, verdicts in zip(self.tasks, self.texts, self.verdicts, strict=True)
            for text, verdict in zip(texts, verdicts, strict=True)
        ]


def sampled(
    run: Run, name: str, weights: Weights, tasks: Sequence[Task], samples: int, sampling: Sampling
) -> list[list[str]]:
    """Texts of ``samples`` answers to each task; each task draws with a seed of its own."""
    ask = Ask(LazyModel(weights), sampling, samples)
    seeds = [run.seed(name, task.id) for task in tasks]
    rows = answers(run, f"{name}-answers", ask, [task.prompt for task in tasks], seeds)
    return [[response.text for response in row] for row in rows]


def answered(
    run: Run,
    name: str,
    weights: Weights,
    tasks: Sequence[Task],
    samples: int,
    sampling: Sampling,
    judge: Judge,
) -> Answers:
    """The same, each answer judged with a seed of its own."""
    tasks = list(tasks)
    texts = sampled(run, name, weights, tasks, samples, sampling)

    def assess(batch: list[int]) -> list[list[Verdict]]:
        rows = [(tasks[i], Response(text)) for i in batch for text in texts[i]]
        seeds = [run.seed(name, "judge", tasks[i].id, j) for i in batch for j in range(len(texts[i]))]
        verdicts = iter(judge([task for task, _ in rows], [answer for _, answer in rows], seeds=seeds))
        return [[next(verdicts) for _ in texts[i]] for i in batch]

    # Here, whatever computes the rest: a judge may hold a model that cannot be sent elsewhere.
    places = list(range(len(tasks)))
    verdicts = run.map(f"{name}-verdicts", places, assess, list[Verdict], BATCH, executor=in_process)
    return Answers(tasks, texts, verdicts)


def searched(
    run: Run,
    name: str,
    refiner: Weights,
    judge: Judge,
    tasks: Sequence[Task],
    roots: Sequence[RefinementNode],
    settings: SearchSettings,
    sampling: Sampling,
) -> list[SearchResult]:
    """A tree of rewritings from each root; every round of all trees is one stage."""
    if not roots:
        return []
    model = LazyModel(refiner)

    def refine(*rows: Sequence[Any], seeds: Any = None) -> list[Refinement | None]:
        return LMRefiner(model(), sampling)(*rows, seeds=seeds)

    return tree_search(
        tasks,
        roots,
        _rounds(run, f"{name}-refine", refine, list[Refinement | None]),
        _rounds(run, f"{name}-judge", DecidingJudge(judge), list[Verdict]),
        settings,
        seeds=[run.seed(name, task.id) for task in tasks],
    )


def finetuned(
    run: Run, name: str, start: Weights, conversations: Sequence[Chat | Conversation], config: SftConfig
) -> Path:
    """The weights of supervised fine-tuning."""
    from biddable.train.sft import train_sft

    return trained(run, name, start, config, partial(_on_data, train_sft, conversations))


def preferred(run: Run, name: str, start: Weights, pairs: Sequence[Preference], config: DpoConfig) -> Path:
    """The weights of training on preferences; the reference is what it starts from."""
    from biddable.train.dpo import train_dpo

    return trained(run, name, start, config, partial(_on_data, train_dpo, pairs))


def reinforced(
    run: Run, name: str, start: Weights, tasks: Sequence[Task], judge: Judge, config: GrpoConfig
) -> Path:
    """The weights of training on rewards."""
    from biddable.train.grpo import train_grpo

    def train(model: Any, config: Any, **hooks: Any) -> Any:
        return train_grpo(model, tasks, judge, config, **hooks)

    return trained(run, name, start, config, train)


def trained(run: Run, name: str, start: Weights, config: Any, train: Callable[..., Any]) -> Path:
    """The folder of weights that ``train(model, config, checkpoint_dir=…, on_step=…)`` leaves.

    It is resumed from its checkpoints; losses and metrics of its steps are logged under ``name``.
    """

    def log(report: StepReport) -> None:
        run.log(
            name,
            report.step,
            loss=report.loss,
            grad_norm=report.grad_norm,
            tokens=report.tokens,
            **report.metrics,
        )

    def fill(folder: Path) -> None:
        model = load_trainable(start, lora_rank=config.lora.rank)
        report = train(model, config, checkpoint_dir=run.checkpoints(name), on_step=log)
        if report.dropped:
            run.remark(f"{name}: {report.dropped} examples were too long to be learned and were left out.")
        model.save(folder)

    return run.stage_folder(name, fill)


def publish_pairs(run: Run, pairs: Sequence[Preference], name: str = "pairs") -> None:
    """Leave preference pairs as the run's data."""
    from biddable.runs.tables import write_parquet

    write_parquet(run.artifact("data", f"{name}.parquet"), pairs, Preference)


def publish_conversations(run: Run, chats: Sequence[Chat]) -> None:
    """Leave what a model learned to say, of each chat the last turn, as the run's data."""
    rows = [Conversation(chat, (*(False for _ in chat[1:]), True)) for chat in chats]
    write_conversations(run.artifact("data", "conversations.jsonl"), rows)


def with_seed(config: Any, seed: int) -> Any:
    """The same settings for a repetition: its seed is added to their own, so that both have a say."""
    return replace(config, seed=config.seed + seed)


def _on_data(train: Callable[..., Any], data: Any, model: Any, config: Any, **hooks: Any) -> Any:
    return train(model, data, config, **hooks)


def _rounds(run: Run, name: str, ask: Callable[..., Any], type: Any) -> Any:
    """``ask``, with the answers of each round kept as a stage."""
    rounds = count(1)
    return lambda *rows, seeds: run.stage(f"{name}{next(rounds)}", lambda: ask(*rows, seeds=seeds), type)
