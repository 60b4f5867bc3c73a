"""A run that trains a tiny Llama between two maps; ``test_torchrun.py`` starts it in one or two."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from biddable.errors import BiddableError
from biddable.models.packed import span_logprobs
from biddable.runs.compare import compare
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.train.config import TrainConfig
from biddable.train.examples import Example
from biddable.train.learner import Learner, StepReport
from biddable.train.loop import example_steps, fit_examples
from biddable.train.losses import sft_loss
from biddable.train.scorer import language_model

EXAMPLES, EPOCHS = 12, 10
TRAINING = TrainConfig(
    lr=1e-3, epochs=EPOCHS, batch_size=4, max_tokens_per_step=40, checkpoint_every=1, precision="fp32"
)
Ids = list[list[int]]


def job(folder: Path) -> Results:
    with Run.open(folder, "tiny", {"examples": EXAMPLES}, seed=3) as run:
        ids = run.stage("ids", partial(draw, run), Ids)
        before = run.map("before", ids, partial(score, None, folder), float, 5)
        weights = run.stage_folder("weights", partial(teach, run, ids))
        after = run.map("after", ids, partial(score, weights, folder), float, 5)
        model = run.publish(weights, "model")
        assert (model / "config.json").is_file()
        run.artifact("data", "ids.txt").write_text(str(ids))
        comparison = compare("log-probability", before, after, seeds=(0,))
        return run.finish([comparison], metrics={"after": after})


def draw(run: Run) -> Ids:
    """A stage with a map inside, as methods have them."""
    lengths = run.map("lengths", list(range(EXAMPLES)), lambda batch: [4 + i % 5 for i in batch], int, 4)
    rng = run.rng("ids")
    return [rng.integers(3, 60, length).tolist() for length in lengths]


def score(weights: Path | None, folder: Path, batch: Ids) -> list[float]:
    """Log-probabilities of the second halves; leaves a trace of which process computed."""
    with open(folder.with_suffix(".computed"), "a") as file:
        print(os.environ.get("RANK", "0"), file=file)
    spans = [(example.prompt, example.completions[0]) for example in examples(batch)]
    rows = span_logprobs(language_model(tiny_llama(weights).eval(), bf16=False), spans, 64)
    return [float(row.sum()) for row in rows]


def teach(run: Run, ids: Ids, folder: Path) -> None:
    def on_step(report: StepReport) -> None:
        run.log("weights", report.step, loss=report.loss)
        if report.step == int(os.environ.get("DIE_AT_STEP", 0)):
            os.kill(os.getpid(), 9)

    model: Any = SimpleNamespace(module=tiny_llama())
    with Learner(model, TRAINING, steps=example_steps(4, EPOCHS, EXAMPLES)) as learner:
        fit_examples(
            learner,
            examples(ids),
            lambda scores: sft_loss(scores.logprobs),
            checkpoint_dir=run.checkpoints("weights"),
            on_step=on_step,
        )
    model.module.save_pretrained(folder)


def examples(ids: Ids) -> list[Example]:
    return [Example(tuple(row[: len(row) // 2]), (tuple(row[len(row) // 2 :]),)) for row in ids]


def tiny_llama(weights: Path | None = None) -> torch.nn.Module:
    if weights:
        return AutoModelForCausalLM.from_pretrained(weights)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=60,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
    )
    return AutoModelForCausalLM.from_config(config)


if __name__ == "__main__":
    try:
        job(Path(sys.argv[1]))
    except BiddableError as error:
        sys.exit(f"error: {error}")
