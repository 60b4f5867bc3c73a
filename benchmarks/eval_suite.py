"""Suites answered by SmolLM2-135M beside lm-evaluation-harness's ``hf`` backend: same prompts, same weights.

    python -m benchmarks.eval_suite [SUITE ...] [--limit N] [--shots K ...] [--rounds N] [--json]

A suite is what ``biddable eval --suite`` takes, with its data: ``mmlu:DIR?subjects=anatomy``; without one, it
is the composed tasks, which need none. Both sides are
given the prompts that our suite renders as raw text (template none), which for the suites of ours that bear
the name of a task of lm-evaluation-harness are that task's. Choices are scored; responses are written
greedily to the same limits. On a CPU both compute in fp32 where the processor has no bf16; the peer always
does. Its batch is that of ``--batch``; it sorts by length, as it does by default.

Answers are compared first: chosen ones may differ where the peer's own scores are within ``TIE`` nats;
of written ones the number of equal texts is told, since a rounding may turn a word and all that follows it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from benchmarks._common import Row, parser, report, time_both
from benchmarks.choice_scoring import TIE, by_harness, harness
from biddable.models.lazy import LazyModel
from biddable.models.load import load_model
from biddable.suites.asking import Answer, Asking, Query
from biddable.suites.base import Suite
from biddable.suites.load import load_suite
from biddable.tasks.fewshot import few_shot_prompt
from biddable.types import last_turn

Ask = Callable[[], None]


def both_sides(suite: Suite, lazy: LazyModel, peer: Any) -> tuple[Ask, Ask, Callable[[], str]]:
    """Two functions that answer the suite, ours and the peer's, and one that compares the answers."""
    asking = Asking(lazy, suite.ask, suite.sampling, 1, "none", suite.k, suite.separator)
    queries = [
        Query(
            last_turn(task.prompt),
            task.choices if suite.ask == "choose" else (),
            suite.shots_of(task),
            None,
            seed,
        )
        for seed, task in enumerate(suite.tasks)
    ]
    prompts = [
        few_shot_prompt(last_turn(query.prompt), query.shots, suite.k, separator=suite.separator)[0]
        for query in queries
    ]
    kept: dict[str, Any] = {}

    def ours() -> None:
        kept["ours"] = asking(queries)

    def theirs() -> None:
        if suite.ask == "choose":
            offered = [[f" {choice}" for choice in query.choices] for query in queries]
            kept["peer"] = by_harness(peer, prompts, offered)
        else:
            kept["peer"] = written_by_harness(peer, prompts, suite)

    def compared() -> str:
        answers: list[Answer] = kept["ours"]
        if suite.ask == "choose":
            ties = sum(
                _decided_otherwise(answer, row) for answer, row in zip(answers, kept["peer"], strict=True)
            )
            return f"{ties} ties decided otherwise"
        texts = [answer.responses[0].text.strip() for answer in answers]
        equal = sum(text == other.strip() for text, other in zip(texts, kept["peer"], strict=True))
        return f"{equal} of {len(texts)} texts equal"

    return ours, theirs, compared


def _decided_otherwise(answer: Answer, scores: list[float]) -> bool:
    best = answer.scores.index(max(answer.scores))
    behind = max(scores) - scores[best]
    if behind > TIE:
        raise AssertionError(f"our choice is {behind:.3f} nats behind the peer's: {answer.scores}, {scores}")
    return behind > 0


def written_by_harness(peer: Any, prompts: list[str], suite: Suite) -> list[str]:
    """What lm-evaluation-harness writes."""
    from lm_eval.api.instance import Instance

    how = {
        "until": list(suite.sampling.stop),
        "max_gen_toks": suite.sampling.max_tokens,
        "do_sample": False,
        "temperature": 0.0,
    }
    requests = [Instance("generate_until", {}, (prompt, how), index) for index, prompt in enumerate(prompts)]
    texts: list[str] = peer.generate_until(requests, disable_tqdm=True)
    return texts


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("suites", nargs="*", default=["composed"])
    arguments.add_argument("--limit", type=int, default=40)
    arguments.add_argument("--shots", type=int, nargs="+", default=[0])
    arguments.add_argument("--max-tokens", type=int)
    arguments.add_argument("--batch", type=int, default=16, help="the peer's batch size")
    arguments.add_argument("--rounds", type=int, default=2)
    options = arguments.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    lazy = LazyModel("smollm2")
    with_weights: Any = load_model("smollm2", precision="auto" if torch.cuda.is_available() else "fp32")
    peer = harness(with_weights.module, with_weights.tokenizer, options.batch)
    lazy().score(["A"], [" b"])  # the model's proof
    rows = []
    for spec in options.suites:
        for k in options.shots:
            suite = load_suite(spec)
            suite = replace(suite, tasks=suite.tasks[: options.limit], k=k)
            if options.max_tokens:
                suite = replace(suite, sampling=replace(suite.sampling, max_tokens=options.max_tokens))
            ours, theirs, compared = both_sides(suite, lazy, peer)
            mine, others = time_both(ours, theirs, rounds=options.rounds)
            name = f"{suite.name}, {suite.ask}, {k} shots, {len(suite.tasks)} items ({compared()})"
            rate = partial(Row.of_rates, unit="items/s")
            rows.append(rate(name, len(suite.tasks) / mine, len(suite.tasks) / others))
    report(rows, as_json=options.json)


if __name__ == "__main__":
    main()
