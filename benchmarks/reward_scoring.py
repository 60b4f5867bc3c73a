"""Scoring pairs with a reward model of SmolLM2-135M beside one row after the other in plain transformers.

    python -m benchmarks.reward_scoring [--json] [--pairs N] [--rows N]

Each prompt has 20 pairs, as where the best of many answers is looked for; the two of a pair open alike, as an
answer and its repair do. Ours is the judge that ``load_judge`` gives: what rows open with is computed once.
The peer's loop scores ``--rows`` rows, and its time is scaled up to all of them. Ours computes in what it
would here; where that is bf16, the peer is timed in fp32, as it comes, and in bf16. With two threads; rewards
are compared.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._common import Row, parser, report
from benchmarks.dpo_step import WORDS
from biddable.judges.reward import RewardJudge
from biddable.models.load import load_model
from biddable.models.precision import computes_in_bf16
from biddable.train.reward import reward_module
from biddable.types import Response, Task, user

THREADS, PAIRS_OF_A_PROMPT, PROMPT_WORDS, ANSWER_WORDS = 2, 20, 120, 40


def saved_reward_model(folder: Path) -> Path:
    """A reward model with a new head."""
    model: Any = load_model("smollm2", device="cpu", precision="fp32")
    model.module = reward_module(model.module, model.tokenizer, seed=0)
    return model.save(folder)


def rows(pairs: int, seed: int = 0) -> list[tuple[Task, Response]]:
    """Both answers of each pair."""
    rng = random.Random(seed)

    def text(words: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(words))

    made = []
    for index in range(pairs):
        if index % PAIRS_OF_A_PROMPT == 0:
            task = Task(str(index), user(text(PROMPT_WORDS)))
        opening = text(ANSWER_WORDS * 3 // 4)
        made += [(task, Response(f"{opening} {text(ANSWER_WORDS // 4)}")) for _ in range(2)]
    return made


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--pairs", type=int, default=1000)
    options.add_argument("--rows", type=int, default=100, help="rows that the peer scores")
    arguments = options.parse_args()
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        judge = RewardJudge(saved_reward_model(Path(folder)), device="cpu")
    made = rows(arguments.pairs)
    some = made[: arguments.rows]

    def one_by_one(bf16: bool) -> tuple[list[float], float]:
        """Rewards, and seconds a row."""
        scores, started = [], time.perf_counter()
        for task, response in some:
            ids = torch.tensor([judge._tokens(task, response)])
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                scores.append(judge.model(input_ids=ids).logits.item())
        return scores, (time.perf_counter() - started) / len(some)

    judge([task for task, _ in made[:8]], [response for _, response in made[:8]])
    bf16 = computes_in_bf16("auto", torch.device("cpu"))
    peer, per_row = one_by_one(False)
    seconds_a_row = {"fp32": per_row} | ({"bf16": one_by_one(True)[1]} if bf16 else {})
    started = time.perf_counter()
    ours = [verdict.score for verdict in judge([task for task, _ in made], [each for _, each in made])]
    seconds = time.perf_counter() - started
    tolerance = {"rtol": 0.05, "atol": 0.05 * float(np.std(peer))} if bf16 else {"rtol": 1e-3, "atol": 1e-4}
    np.testing.assert_allclose(ours[: len(peer)], peer, **tolerance)
    name = f"rewards of {arguments.pairs} pairs (peer: {len(some)} rows, scaled)"
    report(
        [
            Row.of_times(f"{name}, peer in {kind}", seconds, per_row * len(made))
            for kind, per_row in seconds_a_row.items()
        ],
        as_json=arguments.json,
    )


if __name__ == "__main__":
    main()
