"""Multiple-choice items answered by log-probability, beside lm-evaluation-harness's ``hf`` backend.

Every item has a header of five solved examples, a question of its own and four choices of several tokens.
SmolLM2-135M scores each choice after the question; the largest sum is the answer. Ours computes the header
once for all items and each question once for its choices; the peer computes header, question and choice
anew for every choice. Both sides read the same weights; on a CPU the peer computes in fp32, as its bf16 is
several times slower there. Its batch size is that of ``--batch``; it sorts by length, as it does by default.

The two must choose the same answers: scores of two choices may be closer than rounding, and such items count
as the same where the peer's own scores of both lie within ``TIE`` nats.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from benchmarks._common import Row, parser, report, time_both
from biddable.models.choices import Ranking, rank_choices
from biddable.models.load import load_model

TIE = 0.25
"""Nats; scores of a few tokens in bf16 are right to about a tenth of that for each token."""

THINGS = ("apples", "books", "chairs", "coins", "cups", "eggs", "keys", "lamps", "pens", "stones")
PEOPLE = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry")
PLACES = ("in the kitchen", "in the garden", "under the bed", "on the table", "behind the door", "in the car")


def made_items(count: int, *, seed: int = 0) -> tuple[list[str], list[list[str]], list[int]]:
    """Prompts of questions on where things are, each with four choices and the index of the right one."""
    draw = random.Random(seed)
    header = "".join(
        f"{text}{choices[right]}\n\n" for text, choices, right in (_item(draw) for _ in range(5))
    )
    items = [_item(draw) for _ in range(count)]
    return (
        [header + text for text, _, _ in items],
        [choices for _, choices, _ in items],
        [right for _, _, right in items],
    )


def _item(draw: random.Random) -> tuple[str, list[str], int]:
    people, things = draw.sample(PEOPLE, 2), draw.sample(THINGS, 2)
    places = draw.sample(PLACES, 4)
    text = (
        f"{people[0]} keeps {draw.randint(2, 20)} {things[0]} {places[0]}. "
        f"{people[1]} keeps {draw.randint(2, 20)} {things[1]} {places[1]}.\n"
    )
    asked = draw.randrange(2)
    choices = [f" The {things[asked]} are {place}." for place in draw.sample(places, 4)]
    question = f"Question: Where are the {things[asked]} of {people[asked]}?\nAnswer:"
    return text + question, choices, choices.index(f" The {things[asked]} are {places[asked]}.")


def by_harness(peer: Any, prompts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
    """The sums of log-probabilities that lm-evaluation-harness finds."""
    from lm_eval.api.instance import Instance

    requests = [
        Instance("loglikelihood", {}, (prompt, choice), index)
        for index, (prompt, offered) in enumerate(zip(prompts, choices, strict=True))
        for choice in offered
    ]
    scores = iter(peer.loglikelihood(requests, disable_tqdm=True))
    return [[next(scores)[0] for _ in offered] for offered in choices]


def harness(module: Any, tokenizer: Any, batch: int) -> Any:
    """lm-evaluation-harness's backend over a module."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=module, tokenizer=tokenizer, batch_size=batch, device=str(module.device))


def same_answers(ours: Sequence[Ranking], theirs: Sequence[Sequence[float]]) -> int:
    """How many items have an answer of their own on the two sides; raises where scores do not explain it."""
    others = 0
    for index, (ranking, scores) in enumerate(zip(ours, theirs, strict=True)):
        assert ranking.best is not None
        behind = max(scores) - scores[ranking.best]
        if behind > TIE:
            raise AssertionError(f"item {index}: our choice is {behind:.3f} nats behind the peer's")
        others += behind > 0
    return others


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("--items", type=int, default=100)
    arguments.add_argument("--batch", type=int, default=16, help="the peer's batch size")
    arguments.add_argument("--rounds", type=int, default=2)
    options = arguments.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    model = load_model("smollm2")
    with_weights: Any = model if torch.cuda.is_available() else load_model("smollm2", precision="fp32")
    peer = harness(with_weights.module, with_weights.tokenizer, options.batch)
    prompts, choices, right = made_items(options.items)
    answers: dict[str, Any] = {}

    def ours() -> None:
        answers["ours"] = rank_choices(model, prompts, choices)

    def theirs() -> None:
        answers["peer"] = by_harness(peer, prompts, choices)

    rank_choices(model, prompts[:1], choices[:1])  # the model's proof
    mine, others = time_both(ours, theirs, rounds=options.rounds)
    differing = same_answers(answers["ours"], answers["peer"])
    correct = sum(ranking.best == index for ranking, index in zip(answers["ours"], right, strict=True))
    rate = partial(Row.of_rates, unit="items/s")
    name = f"{options.items} items x 4 choices ({correct} right, {differing} ties decided otherwise)"
    report([rate(name, options.items / mine, options.items / others)], as_json=options.json)


if __name__ == "__main__":
    main()
