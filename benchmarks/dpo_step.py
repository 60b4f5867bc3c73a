"""One DPO step on SmolLM2-135M beside TRL's, in one process, in turns.

    python -m benchmarks.dpo_step [--json] [--rounds N]

The batch is 8 preference pairs; each sequence (prompt + answer) has 100 to 300 tokens. A step is the
forward and the backward pass, clipping and AdamW, on all weights, kept in fp32, with two threads; both sides
have the reference's log-probabilities beforehand. Both multiply in bf16 where the processor is built for
it, and the ceiling is in that type. Tokens are counted alike for both: every prompt and answer token of both
sides of every pair. TRL runs without gradient checkpointing, which its defaults would have, because that
makes it faster.

* "independent": the two answers have nothing in common but the prompt.
* "refined": they part in the second half, as pairs of an answer and its repair do.

The ceiling is what a machine could reach that does nothing but the 6 N floating-point operations a
token's forward and backward pass takes, as fast as it multiplies large matrices. To share a prefix is
to compute fewer tokens than are counted, so a step can in principle go above it.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import torch

from benchmarks._common import Row, parser, report, time_both
from biddable.models.load import load_model
from biddable.models.precision import computes_in_bf16
from biddable.train.dpo import DpoConfig, dpo_objective
from biddable.train.examples import Encoder
from biddable.train.learner import Batch, Learner
from biddable.types import Preference, user

PAIRS, THREADS, LR = 8, 2, 1e-7
WORDS = "the river town old keeper light winter story garden small letter people morning carry quiet".split()  # noqa: SIM905


def preferences(kind: str, seed: int = 0) -> list[Preference]:
    """Pairs with sequences of 100 to 300 tokens (a word here is a token, the chat's frame about 35)."""
    rng = random.Random(seed)
    pairs = []
    for _ in range(PAIRS):
        prompt = _text(rng, rng.randint(15, 80))
        chosen = _text(rng, rng.randint(50, 180))
        if kind == "refined":
            kept = chosen.split()[: int(len(chosen.split()) * rng.uniform(0.5, 0.95))]
            rejected = " ".join([*kept, _text(rng, rng.randint(4, 30))])
        else:
            rejected = _text(rng, rng.randint(50, 180))
        pairs.append(Preference(user(prompt), chosen, rejected))
    return pairs


def our_step(kind: str) -> tuple[Any, int]:
    """A function that makes one step of ours, and the tokens it works on."""
    model: Any = load_model("smollm2", device="cpu")
    config = DpoConfig(lr=LR, warmup=0.0, batch_size=PAIRS)
    rows = [(pair.prompt, (pair.chosen, pair.rejected)) for pair in preferences(kind)]
    examples, _ = Encoder.of(model).encode_all(rows, field="pairs", too_long="error")
    tokens = sum(len(example.prompt) + len(answer) for example in examples for answer in example.completions)
    batch = Batch(examples, columns={"reference": torch.zeros(2 * PAIRS)})
    learner = Learner(model, config, steps=10**4).__enter__()
    return lambda: learner.step(batch, dpo_objective(config)), tokens


def trl_step(kind: str) -> Any:
    """A function that makes one step of TRL's trainer on the same pairs."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    model: Any = load_model("smollm2", device="cpu")
    model.module.requires_grad_(True)
    rows = [
        {
            "prompt": [{"role": "user", "content": pair.prompt[0].content}],
            "chosen": [{"role": "assistant", "content": pair.chosen}],
            "rejected": [{"role": "assistant", "content": pair.rejected}],
        }
        for pair in preferences(kind)
    ]
    config = DPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=PAIRS,
        precompute_ref_log_probs=True,
        gradient_checkpointing=False,
        bf16=model.bf16,
        use_cpu=True,
        max_length=None,
        learning_rate=LR,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = DPOTrainer(
        model=model.module,
        args=config,
        processing_class=model.tokenizer,
        train_dataset=Dataset.from_list(rows),
    )
    (batch,) = trainer.get_train_dataloader()
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1  # what its train() would set

    def step() -> None:
        trainer.training_step(trainer.model, dict(batch))
        trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), 1.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()

    return step


def ceiling() -> float:
    """Tokens per second at 6 N operations a token and the speed of large matrix products here."""
    dtype = torch.bfloat16 if computes_in_bf16("auto", torch.device("cpu")) else torch.float32
    left, right = torch.randn(1024, 2048, dtype=dtype), torch.randn(2048, 2048, dtype=dtype)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - start)
    flops = 2 * 1024 * 2048 * 2048 / min(seconds)
    return flops / (6 * 134_515_008)


def peak_memory(side: str) -> float:
    """GB at most in use by a process that makes two steps of ``side``; asked before this one has grown."""
    command = [sys.executable, "-m", "benchmarks.dpo_step", "--memory-of", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words))


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--memory-of", choices=["ours", "peer"], help="make two steps, print the peak in GB")
    arguments = options.parse_args()
    torch.set_num_threads(THREADS)
    if arguments.memory_of:
        step = our_step("independent")[0] if arguments.memory_of == "ours" else trl_step("independent")
        step(), step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
        return
    # First: on Linux a process starts with its parent's peak.
    ours, theirs = peak_memory("ours"), peak_memory("peer")
    rows = [Row("peak memory, independent pairs", ours, theirs, theirs / ours, "GB")]
    bound = ceiling()
    for kind in ("independent", "refined"):
        step, tokens = our_step(kind)
        peer = trl_step(kind)
        step(), peer()
        ours, theirs = time_both(step, peer, rounds=arguments.rounds)
        rows.append(
            Row.of_rates(f"DPO step, {kind} pairs", tokens / ours, tokens / theirs, "tokens/s", ceiling=bound)
        )
    report(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
