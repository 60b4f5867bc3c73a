"""SPaR's two controlled experiments: what does a preference pair teach besides the constraint?

Figure 4 of SPaR (Cheng et al., ICLR 2025, arXiv 2412.11605). Two arms are trained by DPO from one start, on
the same prompts, with the same rejected answers and the same settings. They differ in the chosen answer
alone: in *refined* pairs it is the rejected one with the missed constraint repaired and nothing else
changed; in *interfering* pairs it meets the constraint as well, but differs in something that was never
asked for, as an independent sample would.

- ``characters``: write a letter so and so many times; the nuisance is its case.
- ``stories``: a story whose first and last sentence are given; the nuisance is all that stands between.

Claim (figure 4; its numbers can only be read off a drawing): trained on interfering pairs the model learns
the case instead of the number, and tells stories that meet their constraint less often than before;
refined pairs teach the constraint.

All comparisons are claims, none a control: our construction fixes what the pairs hold, not what a model
learns from them. What it fixes, how alike the two sides of a pair are, is a number and no comparison.

The steps:

1. the start: fine-tuning on a few right answers;
2. pairs of either kind, with the same rejected answers; DPO on each from the start;
3. greedy answers of the start and the two arms to held-out instructions, measured by counting.

Departures from the paper, and why:

* The paper starts from a 7B chat model, which has the form of the answers from the beginning. A model of
  135M parameters has not: the start ("untrained") is that model after a few right answers, too few to be
  right often.
* The paper's data is not published. Ours (``spar_controlled.json``) is split so that no number of a letter
  and no given sentence stands in two splits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field

from biddable.config import Count, settings
from biddable.errors import InputError
from biddable.experiments.claims import Claim
from biddable.experiments.figures import losses, pairs_to_read
from biddable.experiments.pairs import pair_similarity
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import finetuned, preferred, sampled, with_seed
from biddable.methods.base import About, Method, show
from biddable.models.base import Sampling
from biddable.models.load import require_trainable
from biddable.runs.figures import Figure
from biddable.runs.files import read_json
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.train.config import DpoConfig, LoraConfig, SftConfig
from biddable.types import Chat, Preference, Task, exchange, user

Name = Literal["characters", "stories"]
Split = Literal["train", "validation", "held-out"]
Pairing = Literal["interfering", "refined"]
Pairs = dict[Pairing, list[Preference]]
Item = TypeVar("Item")

UNTRAINED = "untrained"
PAIRINGS: tuple[Pairing, ...] = ("interfering", "refined")
DATA = read_json(Path(str(files(__package__) / "spar_controlled.json")))
"""Wordings of both exercises; sentences that begin and end stories, bodies in the first and third person."""


def split(items: Iterable[Item]) -> dict[Split, list[Item]]:
    """Items as 60, 10 and 30 % of ``items``, the same in every run."""
    listed = list(items)
    shuffled = [listed[i] for i in np.random.default_rng(0).permutation(len(listed))]
    first, second = round(0.6 * len(listed)), round(0.7 * len(listed))
    return {"train": shuffled[:first], "validation": shuffled[first:second], "held-out": shuffled[second:]}


def pick(pool: Sequence[str], rng: np.random.Generator) -> str:
    """One of ``pool``, all equally likely."""
    return pool[int(rng.integers(len(pool)))]


class Letters:
    """Exact numbers of a letter; no letter comes with the same number in two splits."""

    max_tokens = 20
    sizes = 96, 128, 80  # demonstrations, pairs and cases of all the data
    claims = (
        Claim(UNTRAINED, "refined", metric="exact number"),
        Claim("interfering", "refined", metric="exact number"),
        Claim(UNTRAINED, "refined", "equal", metric="upper case", margin=0.05),
        Claim(UNTRAINED, "interfering", metric="upper case"),
    )
    wordings = DATA["letters"]

    def slots(self, part: Split) -> list[dict[str, Any]]:
        """What the wordings ask for in a split."""
        cells = split(product("abcdefghijklmnopqrstuvwxyz", range(3, 11)))[part]
        return [{"letter": letter, "count": count} for letter, count in cells]

    def answer(self, task: Task, rng: np.random.Generator) -> str:
        """A right answer, in the case of the instruction; no instruction says that it has to be."""
        return " ".join([task.meta["letter"]] * task.meta["count"])

    def pair(self, task: Task, pairing: Pairing, rng: np.random.Generator) -> Preference:
        """One to three letters too many or too few against the right number, in the same case or not."""
        letter, count = task.meta["letter"], task.meta["count"]
        miscount = int(rng.integers(1, min(3, count - 1) + 1)) * (1 if rng.random() < 0.5 else -1)
        chosen = " ".join([letter.upper() if pairing == "interfering" else letter] * count)
        return Preference(task.prompt, chosen, " ".join([letter] * (count + miscount)), {"task": task.id})

    def scores(self, task: Task, text: str) -> dict[str, float]:
        """Whether the letter and nothing else is there so often, in either case; by how many it is missed."""
        pieces = text.split()
        number = sum(piece.lower() == task.meta["letter"] for piece in pieces)
        cased = [char for char in text if char.isalpha()]
        return {
            "exact number": float(number == len(pieces) == task.meta["count"]),
            "miscounted by": float(abs(number - task.meta["count"])),
            "upper case": sum(char.isupper() for char in cased) / max(1, len(cased)),
        }


class Stories:
    """Stories with a given first and last sentence; no given sentence stands in two splits."""

    max_tokens = 72
    sizes = 4, 64, 48
    claims = (
        Claim(UNTRAINED, "refined", metric="both sentences"),
        Claim("interfering", "refined", metric="both sentences"),
        Claim(UNTRAINED, "interfering", "lower", metric="both sentences"),
    )
    wordings = DATA["stories"]

    def slots(self, part: Split) -> list[dict[str, Any]]:
        """What the wordings ask for in a split."""
        openings, endings = (split(DATA[name])[part] for name in ("openings", "endings"))
        return [{"first": first, "last": last} for first, last in product(openings, endings)]

    def answer(self, task: Task, rng: np.random.Generator) -> str:
        """A right answer, told in the first person; no instruction says that it has to be."""
        return " ".join((task.meta["first"], pick(DATA["my bodies"], rng), task.meta["last"]))

    def pair(self, task: Task, pairing: Pairing, rng: np.random.Generator) -> Preference:
        """A story that misses its first or last sentence or both, and a right one with the same body or not.

        The other body has another narrator as well, so that it can be counted whether that was learned. A
        sentence is missed in three ways, equally often, so that no pair teaches to end early or late as such:
        it is left out, another stands in its place, or another stands before the first (after the last).
        """
        first, last = task.meta["first"], task.meta["last"]
        body, other = pick(DATA["my bodies"], rng), pick(DATA["their bodies"], rng)
        wrong_first, wrong_last = (
            pick([s for s in split(DATA[part])["train"] if s != right], rng)
            for part, right in (("openings", first), ("endings", last))
        )
        starts, ends = ["", wrong_first, f"{wrong_first} {first}"], ["", wrong_last, f"{last} {wrong_last}"]
        broken = pick(("start", "end", "both"), rng)
        start = first if broken == "end" else pick(starts, rng)
        end = last if broken == "start" else pick(ends, rng)
        chosen = " ".join((first, other if pairing == "interfering" else body, last))
        return Preference(task.prompt, chosen, " ".join(filter(None, (start, body, end))), {"task": task.id})

    def scores(self, task: Task, text: str) -> dict[str, float]:
        """Whether it starts and ends as it has to, and whether the rest is told in the third person."""
        story, first, last = text.strip(), task.meta["first"], task.meta["last"]
        starts, ends = story.startswith(first), story.endswith(last)
        words = set(re.findall(r"[a-z]+", story.removeprefix(first).removesuffix(last).lower()))
        others, own = {"he", "him", "his", "she", "her"}, {"i", "me", "my", "we", "us", "our"}
        return {
            "first sentence": float(starts),
            "last sentence": float(ends),
            "both sentences": float(starts and ends),
            "third person": float(bool(words & others) and not words & own),
        }


EXERCISES: Mapping[Name, Letters | Stories] = {"characters": Letters(), "stories": Stories()}


def tasks(name: Name, part: Split) -> list[Task]:
    """Every instruction of an exercise in a split."""
    exercise = EXERCISES[name]
    return [
        Task(f"{name} {number} {slots}", user(wording.format(**slots)), meta=slots)
        for slots in exercise.slots(part)
        for number, wording in enumerate(exercise.wordings)
    ]


@settings
class ControlledConfig:
    """Settings of SPaR's controlled experiments, the same for both kinds of pairs."""

    model: str = "smollm2"
    """The model to start from."""
    experiments: Annotated[tuple[Name, ...], Field(min_length=1)] = ("characters", "stories")
    """Which of the two."""
    seeds: Count = 1
    """Repetitions, each with other demonstrations and pairs."""
    size: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the data to take; all is 96 demonstrations, 128 pairs and 80 cases of characters, and 4, 64
    and 48 of stories."""
    sft: SftConfig = SftConfig(lr=1e-3, batch_size=8, lora=LoraConfig(rank=16))
    """How the start is taught."""
    dpo: DpoConfig = DpoConfig(lr=1e-4, batch_size=8, rpo_alpha=1.0, lora=LoraConfig(rank=16))
    """How each arm is trained (paper: rate 2e-7, likelihood term 0.1, for 8B parameters and all weights)."""
    split: Split = "held-out"
    """Where the cases come from; the settings above were chosen on "validation"."""


def data(run: Run, config: ControlledConfig, name: Name, seed: int) -> tuple[list[Chat], Pairs, list[Task]]:
    """Right answers, pairs of both kinds, which share their rejected answers, and the cases."""
    exercise = EXERCISES[name]

    def draw(part: Split, count: int, *keys: str | int) -> list[Task]:
        rows = tasks(name, part)
        if count > len(rows):
            raise InputError(f"{part} instructions", count, f"at most {len(rows)}, which is all there are")
        return [rows[i] for i in run.rng(name, *keys).permutation(len(rows))[:count]]

    right, pairs, cases = (max(1, round(config.size * number)) for number in exercise.sizes)
    drawn, rng = draw("train", right + pairs, "tasks", seed), run.rng(name, seed, "demonstrations")
    chats = [exchange(task.prompt, exercise.answer(task, rng)) for task in drawn[:right]]
    kinds: Pairs = {}
    for kind in PAIRINGS:
        rng = run.rng(name, seed, "pairs")
        kinds[kind] = [exercise.pair(task, kind, rng) for task in drawn[right:]]
    return chats, kinds, draw(config.split, cases, "cases")


class SparControlled(Method):
    """SPaR's controlled experiments (see ``biddable.methods.improve.spar_controlled``)."""

    about = About(
        title="SPaR, figure 4: what else a preference pair teaches",
        citation="Cheng et al., ICLR 2025, arXiv 2412.11605",
        claim=(
            "Where the two sides of a pair differ in something besides the constraint, the model learns that "
            "instead: the case of letters, not their number; stories get worse than untrained. Pairs that "
            "differ in the constraint alone teach it."
        ),
        needs="a chat model whose weights can be trained; smollm2 runs on 2 CPU cores",
        minutes={"smoke": "1 (2 cores)", "default": "7 (2 cores)", "full": "19 (2 cores)"},
        takes="any chat model whose weights can be trained (--model)",
    )
    Config = ControlledConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"size": 0.06},
        "full": {"seeds": 3},
        "gpu": {"seeds": 10, "sft.lora.rank": 0, "dpo.lora.rank": 0},
    }
    config: ControlledConfig

    def check(self) -> None:
        """See ``Method.check``: the model."""
        require_trainable(self.config.model)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        run.describe(model=self.config.model)
        scores, similarity, claims, drawn = ArmScores(), {}, list[Claim](), list[Figure]()
        for name in self.config.experiments:
            for seed in run.repetitions(self.config.seeds):
                pairs = self._answer(run, name, seed, scores)
            claims += [replace(claim, metric=f"{name}: {claim.metric}") for claim in EXERCISES[name].claims]
            shown = [metric for metric in scores.metrics() if metric.startswith(name)]
            drawn.append(scores.bars(f"Held-out {name}, greedy answers", shown, group_by="metric"))
            drawn += [pairs_to_read(f"{name}, {kind} pairs", of_kind) for kind, of_kind in pairs.items()]
            drawn += losses(run, {f"{name}-seed{seed}-{kind}": f"{name}, {kind}" for kind in PAIRINGS})
            similarity[name] = {kind: pair_similarity(of_kind) for kind, of_kind in pairs.items()}
        show(run, drawn)
        metrics = {"scores": scores.metrics(), "pair_similarity": similarity}
        return run.finish(scores.compare(claims), metrics=metrics)

    def _answer(self, run: Run, name: Name, seed: int, scores: ArmScores) -> Pairs:
        """All steps of an exercise; the pairs that were trained on."""
        config, exercise, stage = self.config, EXERCISES[name], f"{name}-seed{seed}"
        chats, pairs, cases = data(run, config, name, seed)
        start = finetuned(run, f"{stage}-{UNTRAINED}", config.model, chats, with_seed(config.sft, seed))
        models = {UNTRAINED: start}
        for kind, of_kind in pairs.items():
            models[kind] = preferred(run, f"{stage}-{kind}", start, of_kind, with_seed(config.dpo, seed))
        greedy = Sampling(temperature=0.0, max_tokens=exercise.max_tokens)
        for arm, weights in models.items():
            texts = sampled(run, f"{stage}-{arm}", weights, cases, 1, greedy)
            rows = [exercise.scores(task, text) for task, [text] in zip(cases, texts, strict=True)]
            for metric in rows[0]:
                scores.add(arm, [row[metric] for row in rows], metric=f"{name}: {metric}", seed=seed)
        return pairs
