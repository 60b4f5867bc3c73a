"""What a rule for choosing rows is fitted on and tried with: indicators of rows, and models tuned on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError, MissingDependency, RunError
from biddable.experiments.exchanges import Exchange
from biddable.experiments.scores import ArmScores
from biddable.judges.base import Judge
from biddable.judges.indicators import QUESTIONS, answered_yes, knn_distances, likelihoods, mtld
from biddable.judges.text_metrics import superni_exact_match
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.models.load import load_trainable
from biddable.runs.executors import in_process
from biddable.runs.files import read_json, write_json
from biddable.runs.run import Run
from biddable.tasks.neighbours import normalized, words
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Chat, Response, Task

BATCH = 64
LOSS, RIGHT = "test loss", "test accuracy"


def lengths(run: Run, name: str, model: LazyModel, rows: Sequence[Exchange]) -> list[tuple[int, int] | str]:
    """Tokens of each request and response as the model reads them, or why it does not take the row."""
    pairs = [row.pair for row in rows]
    return run.map(name, pairs, partial(_lengths, model), tuple[int, int] | str, 1024)


def _lengths(model: LazyModel, batch: Sequence[tuple[Chat, str]]) -> list[tuple[int, int] | str]:
    from biddable.train.examples import Encoder

    encoder = Encoder.of(model())  # type: ignore[arg-type]
    found: list[tuple[int, int] | str] = []
    for prompt, response in batch:
        try:
            example = encoder.encode(prompt, [response])
            found.append((len(example.prompt), len(example.completions[0])))
        except InputError as error:
            found.append(str(error))
    return found


@dataclass(frozen=True)
class Measures:
    """What indicators of rows are made by.

    Attributes:
        names: of ``judges.indicators.INDICATORS``.
        model: whose tokens and log-probabilities they are.
        asked: who answers the questions.
        judge: whose score is the reward; None: the stand-in.
        neighbour: which neighbour's distance is taken.
    """

    names: Sequence[str]
    model: LazyModel
    asked: LazyModel
    judge: Judge | None = None
    neighbour: int = 6


def indicators(run: Run, funnel: Funnel[Any], how: Measures) -> tuple[dict[str, list[float]], str]:
    """Of each row its indicators, by name; and what made the vectors, where there are any.

    Rows that the model does not take, and those for which an indicator is not defined, are dropped.
    """
    taken = lengths(run, "lengths", how.model, funnel.rows)
    why = "the model does not take it"
    pairs = list(zip(funnel.rows, taken, strict=True))
    funnel.apply("length", [Drop(why, each) if isinstance(each, str) else row for row, each in pairs])
    tokens = [each for each in taken if not isinstance(each, str)]
    if not tokens:
        raise InputError("data", f"{len(taken)} rows", f"rows that the model takes: {taken[0]}")
    found, vectors = _values(run, funnel.rows, tokens, how)
    undefined = [
        next(
            (Drop(f"{name} is not defined", str(of[at])) for name, of in found.items() if _bad(of[at])), None
        )
        for at in range(len(tokens))
    ]
    funnel.apply("indicators", [why or row for row, why in zip(funnel.rows, undefined, strict=True)])
    kept = [at for at, why in enumerate(undefined) if why is None]
    return {name: [float(of[at]) for at in kept] for name, of in found.items()}, vectors


def _bad(value: float | str) -> bool:
    return isinstance(value, str) or not np.isfinite(value)


def _values(
    run: Run, rows: Sequence[Exchange], tokens: Sequence[tuple[int, int]], how: Measures
) -> tuple[dict[str, Sequence[float | str]], str]:
    """Indicators of rows, or why there is none; and what made the vectors."""
    names, pairs = how.names, [row.pair for row in rows]
    found: dict[str, Sequence[float | str]] = {
        "input_length": [n for n, _ in tokens],
        "output_length": [n for _, n in tokens],
    }
    if "mtld" in names:
        found["mtld"] = [mtld(of) if (of := words(row.response)) else "no word" for row in rows]
    if "log_perplexity" in names or ("reward" in names and how.judge is None):
        likely = partial(_likelihoods, how.model)
        scored = run.map("likelihoods", pairs, likely, tuple[float, float], BATCH)
        found["log_perplexity"] = [nats for nats, _ in scored]
        found["reward"] = [gain for _, gain in scored]
    if "reward" in names and how.judge is not None:
        # Here, whatever computes the rest: a judge may hold a model that cannot be sent elsewhere.
        rate = partial(_rewards, how.judge)
        found["reward"] = run.map("rewards", pairs, rate, float | str, BATCH, executor=in_process)
    if questions := [name for name in names if name in QUESTIONS]:
        texts, ask = [(row.request, row.response) for row in rows], partial(_yes, how.asked, questions)
        yes = run.map("questions", texts, ask, list[float | str], BATCH)
        found |= {name: [each[place] for each in yes] for place, name in enumerate(questions)}
    vectors = ""
    if "knn" in names:
        if how.neighbour >= len(rows):
            raise InputError(
                "neighbour", how.neighbour, f"at most {len(rows) - 1}: there are {len(rows)} rows"
            )
        made = run.stage(
            "neighbours", lambda: _distances(how.model, rows, how.neighbour), tuple[str, list[float]]
        )
        vectors, found["knn"] = made
    return {name: found[name] for name in names}, vectors


def _likelihoods(model: LazyModel, batch: Sequence[tuple[Chat, str]]) -> list[tuple[float, float]]:
    return likelihoods(model(), batch)


def _yes(model: LazyModel, names: Sequence[str], batch: Sequence[tuple[str, str]]) -> list[list[float | str]]:
    return answered_yes(model(), names, batch)


def _rewards(judge: Judge, batch: Sequence[tuple[Chat, str]]) -> list[float | str]:
    tasks = [Task(f"row {at}", prompt) for at, (prompt, _) in enumerate(batch)]
    verdicts = judge(tasks, [Response(text) for _, text in batch])
    return [each.critique or "no score" if each.score is None else each.score for each in verdicts]


def _distances(model: LazyModel, rows: Sequence[Exchange], neighbour: int) -> tuple[str, list[float]]:
    """What made the vectors of requests with their responses, and distances to the neighbour."""
    from biddable.models.embedding import minilm, text_vectors

    texts = [f"{row.request}\n{row.response}" for row in rows]
    try:
        vectors: NDArray[np.float32] = minilm()(texts)
        name = "MiniLM"
    except MissingDependency:
        vectors, name = text_vectors(model(), texts), f"{model.weights}'s last hidden states"
    return name, knn_distances(vectors, neighbour).tolist()


# -- models ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a model came to: nats per token of held-out responses, by part, and texts that it wrote."""

    losses: dict[str, list[float | None]]
    texts: list[str]

    def loss(self, part: str) -> float:
        """The mean over rows; NaN where a loss was not finite."""
        return float(np.mean(np.array(self.losses[part], dtype=np.float64)))


def tuned(
    run: Run,
    name: str,
    start: str,
    rows: Sequence[Exchange],
    config: Any,
    held: Mapping[str, Sequence[Exchange]],
    prompts: Sequence[Chat] = (),
    max_tokens: int = 8,
) -> Tuned:
    """Fine-tune a model on rows, and measure it; its weights are not kept. Without rows: the model itself."""
    from biddable.train.sft import train_sft

    def fill(folder: Path) -> None:
        model = load_trainable(start, lora_rank=config.lora.rank)
        if rows:

            def log(report: Any) -> None:
                run.log(name, report.step, loss=report.loss, tokens=report.tokens)

            chats = [row.conversation for row in rows]
            train_sft(model, chats, config, checkpoint_dir=run.checkpoints(name), on_step=log)
        losses = {part: _losses(model.score, of) for part, of in held.items()}
        greedy = Sampling(max_tokens=max_tokens, temperature=0.0, stop=("\n",))
        texts = [row[0].text for row in model.generate(prompts, sampling=greedy)] if prompts else []
        write_json(folder / "tuned.json", {"losses": losses, "texts": texts})

    told = read_json(run.stage_folder(name, fill) / "tuned.json")
    return Tuned(told["losses"], told["texts"])


def _losses(score: Callable[..., Any], rows: Sequence[Exchange]) -> list[float | None]:
    scored = score([row.prompt for row in rows], [row.response for row in rows])
    nats = [-each.total / len(each.logprobs) for each in scored]
    return [each if np.isfinite(each) else None for each in nats]


def accuracy(tasks: Sequence[Task], texts: Sequence[str]) -> list[float]:
    """Of each text whether it is the task's right answer, as Super-NaturalInstructions compares them."""
    return [
        max(superni_exact_match(text, right) for right in task.references)
        for task, text in zip(tasks, texts, strict=True)
    ]


def tested(
    run: Run,
    start: str,
    arms: Sequence[tuple[str, int | None, Sequence[Exchange]]],
    sft: Callable[[int], Any],
    parts: Mapping[str, Sequence[Exchange]],
    tasks: Sequence[Task],
) -> tuple[ArmScores, dict[str, Tuned]]:
    """The losses of arms on test rows, how many answers are right where those are tasks, and all models.

    Args:
        run: the run.
        start: the model that is tuned.
        arms: name, seed or None, and rows of each; without rows the model is measured as it is.
        sft: how models are tuned, by the seed.
        parts: held-out rows, those of ``test`` among them.
        tasks: of the test rows, with their right answers; or none.

    Raises:
        RunError: a loss is not a number.
    """
    scores, made = ArmScores(), {}
    prompts = [row.prompt for row in parts["test"]] if tasks else []
    for arm, seed, rows in arms:
        name = f"test-{arm}" if seed is None else f"test-{arm}{seed}"
        made[name] = tuned(run, name, start, rows, sft(seed or 0), parts, prompts)
        if not np.isfinite(made[name].loss("test")):
            raise RunError(f"{name}: a loss on the test rows is not a number; lower sft.lr")
        scores.add(arm, np.array(made[name].losses["test"], dtype=np.float64), metric=LOSS, seed=seed)
        if tasks:
            scores.add(arm, accuracy(tasks, made[name].texts), metric=RIGHT, seed=seed)
    sources = [normalized(row.request) for row in parts["test"]]
    if 1 < len({*sources}) < len(sources):
        scores.cluster(LOSS, sources)
    return scores, made
