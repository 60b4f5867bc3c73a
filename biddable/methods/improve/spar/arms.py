"""The baselines of SPaR's Table 1 and the ablations of Table 4, each on SPaR's own tasks and settings.

Every arm is a function from the self-play and its first iteration to the actors it trains, last one
final. All start from the same model, see the same tasks and use the same training settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from biddable.errors import BiddableError
from biddable.methods.improve.spar.data import (
    best_against_worst,
    build_dpo_pairs,
    independent_pairs,
)
from biddable.methods.improve.spar.records import Start
from biddable.methods.improve.spar.selfplay import Lazy, SelfPlay, Weights
from biddable.models.base import GREEDY, Sampling
from biddable.types import Chat, Message, user

BACKTRANSLATE = (
    "Below is a text that somebody wrote on request. Write the request, in one or two sentences, "
    "with everything it must have asked for.\n\n<text>\n{text}\n</text>"
)


Arm = Callable[[SelfPlay, Start], dict[str, Path]]


def independent(play: SelfPlay, start: Start) -> dict[str, Path]:
    """Without refinement: pairs of independent samples, beside as many refined pairs.

    Both are cut to the size of the smaller, so that the two actors differ in nothing but where the
    better side of a pair came from.
    """
    answers = start.first.answers
    rng = play.run.rng(play.name, "independent")
    sampled = independent_pairs(answers.tasks, answers.texts, answers.assessed, rng)
    count = min(len(sampled), len(start.first.pairs))
    require(sampled, "independent pairs (a task with both a passing and a failing sample)")
    return {
        "independent": play.train_actor(f"{play.name}-independent", play.config.model, sampled[:count]),
        "refined": play.train_actor(f"{play.name}-refined", play.config.model, start.first.pairs[:count]),
    }


def no_tree_search(play: SelfPlay, start: Start) -> dict[str, Path]:
    """One repair of each negative instead of a tree."""
    once = replace(play.config.search_settings(), branching=1, beam_width=1, max_depth=1)
    results = play.search(f"{play.name}-once", start.refiner, start.first.negatives, once)
    pairs = build_dpo_pairs(start.first.negatives, results)
    require(pairs, "pairs from single repairs")
    return {"no-tree-search": play.train_actor(f"{play.name}-no-tree-search", play.config.model, pairs)}


def no_iterating(play: SelfPlay, start: Start) -> dict[str, Path]:
    """The tasks of all iterations at once, answered and repaired by the first actor and refiner."""
    pairs = list(start.first.pairs)
    for iteration in range(2, play.config.iterations + 1):
        name = f"{play.name}-no-iterating{iteration}"
        tasks = play.slice(iteration)
        answers = play.answer(
            name, play.config.model, tasks, samples=play.config.samples, refiner=start.refiner
        )
        negatives = play.negatives(name, answers)
        results = play.search(name, start.refiner, negatives, play.config.search_settings())
        pairs += build_dpo_pairs(negatives, results)
    return {"no-iterating": play.train_actor(f"{play.name}-no-iterating", play.config.model, pairs)}


def self_rewarding(play: SelfPlay, start: Start) -> dict[str, Path]:
    """Self-Rewarding: the best against the worst of the actor's own samples, in every iteration."""
    return _rewarding(play, start, "self-rewarding", train_judge=False)


def meta_rewarding(play: SelfPlay, start: Start) -> dict[str, Path]:
    """Meta-Rewarding: as Self-Rewarding, and the judge is trained on its own disputed judgements."""
    return _rewarding(play, start, "meta-rewarding", train_judge=True)


def _rewarding(play: SelfPlay, start: Start, arm: str, *, train_judge: bool) -> dict[str, Path]:
    actor: Weights = play.config.model
    judge = start.refiner
    trained: dict[str, Path] = {}
    for iteration in range(1, play.config.iterations + 1):
        name = f"{play.name}-{arm}{iteration}"
        tasks = play.slice(iteration)
        answers = start.first.answers
        if iteration > 1:
            answers = play.answer(name, actor, tasks, samples=play.config.samples, refiner=judge)
        pairs = best_against_worst(answers.tasks, answers.texts, answers.assessed)
        if iteration == 1:
            require(pairs, "pairs of answers with different scores")
        if pairs:
            actor = play.train_actor(name, actor, pairs)
        trained[f"{arm}-{iteration}"] = Path(actor)
        lessons = play.refiner_data(name, [], [], answers) if train_judge else []
        if lessons and iteration < play.config.iterations:
            judge = play.train_refiner(f"{name}-judge", judge, lessons)
    return trained


def self_refined(play: SelfPlay, start: Start) -> dict[str, Path]:
    """SELF: plain fine-tuning on what refinement found, without the rejected side."""
    chats = [(*pair.prompt, Message("assistant", pair.chosen)) for pair in start.first.pairs]
    return {"self": _finetuned(play, "self", chats)}


def humpback(play: SelfPlay, start: Start) -> dict[str, Path]:
    """Humpback: fine-tuning on texts with instructions written back for them, curated by the model itself.

    The texts are the actor's passing samples, one per task. Kept is the half to which the model, given
    the instruction, gives the higher likelihood per token: its stand-in for the paper's 5-point rating,
    which a model of this size cannot give.
    """
    answers = start.first.answers
    texts = [
        next(text for text, note in zip(texts, notes, strict=True) if note.passed)
        for texts, notes in zip(answers.texts, answers.assessed, strict=True)
        if any(note.passed for note in notes)
    ]
    model = Lazy(play.config.model)

    def backtranslate() -> list[tuple[str, float]]:
        how = Sampling(max_tokens=64, temperature=GREEDY.temperature)
        chats = [user(BACKTRANSLATE.format(text=text)) for text in texts]
        requests = [
            samples[0].text.strip() or "Write a text." for samples in model().generate(chats, sampling=how)
        ]
        scores = model().score([user(request) for request in requests], texts)
        return [(request, s.total / len(s.logprobs)) for request, s in zip(requests, scores, strict=True)]

    require(texts, "passing samples to write instructions for")
    written = play.run.stage(f"{play.name}-humpback-requests", backtranslate, list[tuple[str, float]])
    order = sorted(range(len(texts)), key=lambda i: -written[i][1])[: max(1, len(texts) // 2)]
    chats: list[Chat] = [(*user(written[i][0]), Message("assistant", texts[i])) for i in order]
    return {"humpback": _finetuned(play, "humpback", chats)}


def _finetuned(play: SelfPlay, arm: str, chats: Sequence[Chat]) -> Path:
    config = play.config
    return play.finetune(
        f"{play.name}-{arm}", config.model, chats, lr=config.actor_lr, epochs=config.actor_epochs
    )


def require(found: Sequence[object], what: str) -> None:
    """Stop with one clear line where an arm has nothing to train on."""
    if not found:
        raise BiddableError(f"no {what} were found; use more prompts, more samples or easier rule types")


ARMS: dict[str, Arm] = {
    "independent": independent,
    "no-tree-search": no_tree_search,
    "no-iterating": no_iterating,
    "self-rewarding": self_rewarding,
    "meta-rewarding": meta_rewarding,
    "self": self_refined,
    "humpback": humpback,
}
