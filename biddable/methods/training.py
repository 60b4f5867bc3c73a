"""Training a model on one's own files in a run folder, with a held-out part measured before and after."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biddable.config import configure
from biddable.errors import InputError
from biddable.experiments.figures import logged, losses
from biddable.experiments.stages import BATCH, answered, finetuned, preferred, reinforced, trained
from biddable.judges.base import Judge
from biddable.judges.load import judge_identity, load_judge
from biddable.judges.reward import RewardJudge
from biddable.methods.base import show
from biddable.models.base import TokenScores
from biddable.models.lazy import LazyModel
from biddable.models.load import load_trainable, model_identity, require_trainable
from biddable.runs.compare import compare
from biddable.runs.executors import Executor, in_process, named_executor
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.data import digest, read_conversations, read_preferences, read_tasks, split
from biddable.train.config import DpoConfig, GrpoConfig, RewardConfig, SftConfig, TrainConfig
from biddable.types import Chat, Comparison, Conversation, Message, Preference, Prompt, Response, Task

if TYPE_CHECKING:  # torch is imported when something is trained, not to show the options
    from biddable.train.examples import Encoder

JUDGE = "answer"
"""What rewards responses unless another judge is named: the tasks' rules, and that a text is an answer."""

Measured = tuple[list[Comparison], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Objective:
    """What one kind of training is made of.

    Attributes:
        config: its settings.
        read: reads its rows from a source.
        source: what a row comes from; rows of one source are held out together, and are one in an interval.
        check: raises InputError for a row that cannot be learned from, TooLongError where it does not fit.
        train: makes the stage ``training`` and gives its folder of weights.
        measure: compares the weights with the model before, on held-out rows.
        metrics: what is drawn by step, beside the loss.
        next_steps: lines to type next.
    """

    config: type[TrainConfig]
    read: Callable[[str | Path], list[Any]]
    source: Callable[[Any], Hashable]
    check: Callable[[Encoder, Any, Any], object]
    train: Callable[[Training, list[Any]], Path]
    measure: Callable[[Training, list[Any], Path], Measured]
    metrics: tuple[str, ...]
    next_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """One training in its run folder."""

    run: Run
    model: str
    config: Any
    judge: Judge | None = None


def fit(
    objective: str,
    model: str | Path,
    data: str | Path,
    *,
    out: str | Path | None = None,
    judge: str = JUDGE,
    held_out: float = 0.05,
    executor: str | Executor = in_process,
    **settings: Any,
) -> Results:
    """Train a model on a file, and measure on rows that it does not learn from what came of it.

    The same call again goes on where it was killed. The trained model is the run's ``artifacts/model``: the
    run's folder stands for it wherever a model is asked for.

    Args:
        objective: ``sft``, ``dpo``, ``reward`` or ``grpo``.
        model: what ``load_model`` takes; its weights must be here. An adapter is trained on.
        data: conversations (sft), preferences (dpo, reward) or tasks (grpo): see ``biddable.tasks.data``.
        out: the run folder (default ``runs/OBJECTIVE``).
        judge: gives the rewards of grpo: see ``load_judge``.
        held_out: the share of rows that is held out; 0: none.
        executor: where held-out rows are scored and answered.
        settings: fields of ``SftConfig``, ``DpoConfig``, ``RewardConfig`` or ``GrpoConfig``; inner ones as
            ``**{"lora.rank": 16}`` or ``lora={"rank": 16}``.

    Returns:
        what is also in ``results.json``.

    Raises:
        InputError: an unknown objective or setting, or a row (named) that cannot be learned from.
        FileError: the data cannot be read.
        ModelError: the model cannot be read or trained.
        RunError: the folder holds another training.
    """
    config = training_config(objective, settings, judge=judge, held_out=held_out)
    kind = OBJECTIVES[objective]
    require_trainable(model)
    rows = kind.read(data)
    identity: dict[str, Any] = {
        "model": str(model),
        "weights": model_identity(model),
        "data": digest(data),
        "held_out": held_out,
        **asdict(config),
    }
    rewarding = load_judge(judge) if objective == "grpo" else None
    if rewarding:
        identity |= {"judge": judge, "judge_weights": judge_identity(judge)}
    seed = identity.pop("seed")
    where = named_executor(executor) if isinstance(executor, str) else executor
    with Run.open(
        out or Path("runs") / objective, f"train-{objective}", identity, seed, executor=where
    ) as run:
        return _fit(kind, Training(run, str(model), config, rewarding), rows, str(data), held_out)


def training_config(
    objective: str, settings: Mapping[str, Any], *, judge: str = JUDGE, held_out: float = 0.05
) -> Any:
    """The configuration of a training. Raises InputError as ``fit``, for what needs no file to be seen."""
    if objective not in OBJECTIVES:
        raise InputError("objective", objective, f"one of {', '.join(OBJECTIVES)}")
    if objective == "sft" and "turns" in settings:
        raise InputError("turns", settings["turns"], "nothing: the data say which turns are learned")
    if objective != "grpo" and judge != JUDGE:
        raise InputError("judge", judge, "none: only grpo has one")
    if not 0 <= held_out < 1:
        raise InputError("held_out", held_out, "a number of at least 0 and below 1")
    return configure(OBJECTIVES[objective].config, settings)


def _fit(kind: Objective, training: Training, rows: list[Any], data: str, share: float) -> Results:
    run, config = training.run, training.config
    # 1. The rows that fit in the model's context, and of them those that are held out.
    fitting = run.stage("rows", lambda: _fitting(kind, training, rows, data), list[int])
    learned: list[Any] = [rows[index] for index in fitting]
    held: list[Any] = []
    sources = [kind.source(row) for row in learned]
    if share and len(set(sources)) > 1:
        learned, held = split(learned, sources, share, config.seed)
    # 2. Training, then what came of it.
    weights = kind.train(training, learned)
    run.publish(weights, "model")
    comparisons, measured = kind.measure(training, held, weights) if held else ([], {})
    metrics = {
        "rows": {"learned": len(learned), "held_out": len(held), "too_long": len(rows) - len(fitting)},
        "held_out": measured,
        "trained_tokens": sum(int(count) for _, count in run.logged("training", "tokens")),
    }
    figures = losses(run, {"training": "training"})
    figures += logged(run, "training", "Training: metrics by step", kind.metrics)
    show(run, list(figures))
    notes = [] if held else ["Nothing was held out: what the training made of the model is not measured."]
    if held and not comparisons:
        notes.append(
            "The held-out rows that were scored come from one source: their numbers have no interval."
        )
    if dropped := len(rows) - len(fitting):
        notes.append(f"{dropped} of {len(rows)} rows do not fit in the model's context and were left out.")
    return run.finish(comparisons, metrics=metrics, notes=notes, next_steps=kind.next_steps)


def _fitting(kind: Objective, training: Training, rows: Sequence[Any], data: str) -> list[int]:
    """The indices of the rows that are not too long. Raises InputError, naming the row."""
    from biddable.train.examples import Encoder, TooLongError

    encoder = Encoder.of(load_trainable(training.model, lora_rank=1))
    fitting = []
    for index, row in enumerate(rows):
        try:
            kind.check(encoder, row, training.config)
            fitting.append(index)
        except InputError as error:
            if not (isinstance(error, TooLongError) and training.config.too_long == "drop"):
                raise error.at(f"{data}: row {index + 1}") from None
    if not fitting:
        raise InputError(data, f"{len(rows)} rows", f"one that fits in {encoder.context} tokens")
    return fitting


# Conversations


def _check_conversation(encoder: Encoder, row: Conversation, config: SftConfig) -> None:
    from biddable.train.sft import learned_answers

    for prompt, answer in learned_answers("conversation", row, config.turns):
        encoder.encode(prompt, answer)


def _opening(row: Conversation) -> tuple[Message, ...]:
    """A conversation up to the first thing that the assistant says."""
    end = next((i for i, turn in enumerate(row.chat) if turn.role == "assistant"), len(row.chat))
    return row.chat[:end] or row.chat


def _finetune(training: Training, rows: list[Conversation]) -> Path:
    return finetuned(training.run, "training", training.model, rows, training.config)


def _measure_conversations(training: Training, held: list[Conversation], weights: Path) -> Measured:
    """The negative log-likelihood per learned token, of each conversation."""
    from biddable.train.sft import learned_answers

    answers = [list(learned_answers("conversation", row, "last")) for row in held]
    spans = [(prompt, text) for row in answers for prompt, (text,) in row]

    def losses_of(name: str, model: str | Path) -> list[float]:
        scores = iter(_scores(training.run, name, model, spans))
        rows = [[next(scores) for _ in row] for row in answers]
        return [-sum(s.total for s in row) / sum(len(s.token_ids) for s in row) for row in rows]

    before, after = losses_of("before", training.model), losses_of("after", weights)
    sources = [_opening(row) for row in held]
    return _compared("held-out loss", before, after, "lower", sources), _means(loss=(before, after))


# Preferences


def _check_pair(encoder: Encoder, pair: Preference, config: Any) -> None:
    from biddable.train.dpo import require_pair

    require_pair("preference", pair)
    encoder.encode(pair.prompt, (pair.chosen, pair.rejected))


def _prefer(training: Training, rows: list[Preference]) -> Path:
    return preferred(training.run, "training", training.model, rows, training.config)


def _measure_preferences(training: Training, held: list[Preference], weights: Path) -> Measured:
    """DPO's loss, and how often the chosen answer is the likelier one."""
    spans = [(pair.prompt, text) for pair in held for text in (pair.chosen, pair.rejected)]

    def leads(name: str, model: str | Path) -> np.ndarray:
        totals = np.array([each.total for each in _scores(training.run, name, model, spans)])
        return totals[::2] - totals[1::2]

    before, after = leads("before", training.model), leads("after", weights)
    margins = training.config.beta * (after - before)
    loss = np.logaddexp(0, -margins)
    likelier = (before > 0).astype(float), (after > 0).astype(float)
    prompts = [pair.prompt for pair in held]
    return _compared("held-out: chosen likelier than rejected", *likelier, "higher", prompts), {
        **_means(likelier=likelier, loss=(np.log(2) + 0 * loss, loss)),
        "accuracy": float((margins > 0).mean()),
    }


def _reward(training: Training, rows: list[Preference]) -> Path:
    from biddable.train.reward import train_reward

    def train(model: Any, config: Any, **hooks: Any) -> Any:
        return train_reward(model, rows, config, **hooks)

    return trained(training.run, "training", training.model, training.config, train)


def _measure_rewards(training: Training, held: list[Preference], weights: Path) -> Measured:
    """How often the chosen answer has the higher reward, beside chance."""
    items = [(pair.prompt, text) for pair in held for text in (pair.chosen, pair.rejected)]
    score = partial(_rewards, weights)
    scores = np.array(training.run.map("after", items, score, float, BATCH))
    margins = scores[::2] - scores[1::2]
    right = (margins > 0).astype(float)
    chance, prompts = np.full(len(right), 0.5), [pair.prompt for pair in held]
    comparisons = _compared("held-out accuracy", chance, right, "higher", prompts, "chance")
    loss = float(np.logaddexp(0, -margins).mean())
    return comparisons, {"accuracy": float(right.mean()), "loss": loss, "margin": float(margins.mean())}


# Tasks


def _check_task(encoder: Encoder, task: Task, config: GrpoConfig) -> None:
    from biddable.train.examples import TooLongError

    tokens, room = len(encoder.prompt(task.prompt)), encoder.context - config.sampling.max_tokens
    if tokens > room:
        expected = f"at most {room}, to leave {config.sampling.max_tokens} to answer"
        raise TooLongError("prompt", f"{tokens} tokens", expected)


def _reinforce(training: Training, tasks: list[Task]) -> Path:
    assert training.judge
    return reinforced(training.run, "training", training.model, tasks, training.judge, training.config)


def _measure_tasks(training: Training, held: list[Task], weights: Path) -> Measured:
    """The mean reward of one answer to each task, over the tasks on which both answers have one."""
    from biddable.train.grpo import rewards_of

    assert training.judge
    judge, config = training.judge, training.config

    def rewards(name: str, model: str | Path) -> np.ndarray:
        answers = answered(training.run, name, model, held, 1, config.sampling, judge)
        return np.array(rewards_of([verdict for _, _, verdict in answers.flat()], config.reward))

    before, after = rewards("before", training.model), rewards("after", weights)
    both = np.isfinite(before) & np.isfinite(after)
    before, after, numbers = before[both], after[both], {"unscored": float(np.mean(~both))}
    if both.any():
        numbers |= _means(reward=(before, after))
    prompts = [task.prompt for task, scored in zip(held, both, strict=True) if scored]
    return _compared("held-out reward", before, after, "higher", prompts), numbers


def _scores(run: Run, name: str, model: str | Path, spans: Sequence[tuple[Prompt, str]]) -> list[TokenScores]:
    score = partial(_score, LazyModel(model))
    return run.map(name, list(spans), score, TokenScores, BATCH)


# Functions by name, which can be sent to other processes.


def _score(model: LazyModel, batch: list[tuple[Prompt, str]]) -> list[TokenScores]:
    return model().score([prompt for prompt, _ in batch], [text for _, text in batch])


def _rewards(weights: Path, batch: list[tuple[Chat, str]]) -> list[float]:
    tasks = [Task(str(index), prompt) for index, (prompt, _) in enumerate(batch)]
    verdicts = RewardJudge(weights)(tasks, [Response(text) for _, text in batch])
    return [0.0 if verdict.score is None else verdict.score for verdict in verdicts]


def _compared(
    metric: str,
    before: Any,
    after: Any,
    predicted: Any,
    sources: Sequence[Hashable],
    baseline: str = "before",
) -> list[Comparison]:
    """The weights beside the model before; rows of one source alone have no interval."""
    different = len({*sources})
    if different < 2:
        return []
    clusters = sources if different < len(sources) else None
    compared = partial(compare, seeds=(0,), baseline_name=baseline, method_name="trained")
    return [compared(metric, before, after, predicted=predicted, clusters=clusters)]


def _means(**pairs: tuple[Any, Any]) -> dict[str, float]:
    return {
        f"{name}_{when}": float(np.mean(values))
        for name, pair in pairs.items()
        for when, values in zip(("before", "after"), pair, strict=True)
    }


_prompt_of = attrgetter("prompt")

_USE = (
    "biddable chat {run}",
    "biddable generate {run} --prompts FILE --out answers.jsonl",
    "biddable eval {run} --suite composed",
    "biddable export {run} FOLDER",
)

OBJECTIVES: Mapping[str, Objective] = {
    "sft": Objective(
        SftConfig,
        read_conversations,
        _opening,
        _check_conversation,
        _finetune,
        _measure_conversations,
        (),
        (*_USE, "biddable train dpo {run} --data FILE --out FOLDER"),
    ),
    "dpo": Objective(
        DpoConfig,
        read_preferences,
        _prompt_of,
        _check_pair,
        _prefer,
        _measure_preferences,
        ("accuracy", "margin"),
        _USE,
    ),
    "reward": Objective(
        RewardConfig,
        read_preferences,
        _prompt_of,
        _check_pair,
        _reward,
        _measure_rewards,
        ("accuracy", "margin"),
        (
            "biddable train grpo MODEL --tasks FILE --judge {run} --out FOLDER",
            "biddable export {run} FOLDER",
        ),
    ),
    "grpo": Objective(
        GrpoConfig,
        read_tasks,
        _prompt_of,
        _check_task,
        _reinforce,
        _measure_tasks,
        ("reward", "passed"),
        _USE,
    ),
}
