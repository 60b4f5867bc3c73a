"""Training a model on one's own files in a run folder, with a held-out part measured before and after."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biddable.config import configure
from biddable.errors import InputError
from biddable.experiments.figures import logged, losses
from biddable.experiments.stages import finetuned, preferred, reinforced, trained
from biddable.judges.load import judge_identity, load_judge
from biddable.methods.base import show
from biddable.methods.training_measures import (
    Measured,
    Training,
    measure_conversations,
    measure_preferences,
    measure_rewards,
    measure_tasks,
    opening,
)
from biddable.models.load import load_trainable, model_identity, require_trainable
from biddable.runs.executors import Executor, in_process, named_executor
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.data import digest, read_conversations, read_preferences, read_tasks, split
from biddable.train.config import DpoConfig, GrpoConfig, RewardConfig, SftConfig, TrainConfig
from biddable.types import Conversation, Preference, Task

if TYPE_CHECKING:  # torch is imported when something is trained, not to show the options
    from biddable.train.examples import Encoder

JUDGE = "answer"
"""What rewards responses unless another judge is named: the tasks' rules, and that a text is an answer."""


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


def _finetune(training: Training, rows: list[Conversation]) -> Path:
    return finetuned(training.run, "training", training.model, rows, training.config)


# Preferences


def _check_pair(encoder: Encoder, pair: Preference, config: Any) -> None:
    from biddable.train.dpo import require_pair

    require_pair("preference", pair)
    encoder.encode(pair.prompt, (pair.chosen, pair.rejected))


def _prefer(training: Training, rows: list[Preference]) -> Path:
    return preferred(training.run, "training", training.model, rows, training.config)


def _reward(training: Training, rows: list[Preference]) -> Path:
    from biddable.train.reward import train_reward

    def train(model: Any, config: Any, **hooks: Any) -> Any:
        return train_reward(model, rows, config, **hooks)

    return trained(training.run, "training", training.model, training.config, train)


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
        opening,
        _check_conversation,
        _finetune,
        measure_conversations,
        (),
        (*_USE, "biddable train dpo {run} --data FILE --out FOLDER"),
    ),
    "dpo": Objective(
        DpoConfig,
        read_preferences,
        _prompt_of,
        _check_pair,
        _prefer,
        measure_preferences,
        ("accuracy", "margin"),
        _USE,
    ),
    "reward": Objective(
        RewardConfig,
        read_preferences,
        _prompt_of,
        _check_pair,
        _reward,
        measure_rewards,
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
        measure_tasks,
        ("reward", "passed"),
        _USE,
    ),
}
