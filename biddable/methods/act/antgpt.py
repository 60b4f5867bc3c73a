"""AntGPT: what somebody will do next, by a language model that goes on with the words for what was done.

Zhao et al. 2023, "AntGPT: Can Large Language Models Help Long-term Action Anticipation from Videos?"
(arXiv 2307.16368, ICLR 2024). What was recognised in a video is written as "verb noun, verb noun, ..."; a
language model is fine-tuned to continue it (bottom-up), and may be told the goal first (top-down).

Claim: a language model that reads action words alone is competitive without an explicit goal, and rare
actions gain most; goal-conditioned prediction can be better, and a goal inferred from few examples is enough;
another goal changes the prediction sensibly. On Ego4D the fine-tuned GPT-3 came to an edit distance of 0.707
for verbs and 0.719 for nouns (a notebook of the authors'; the tables were not checked).

The steps:

1. sequences: of a file (``--data``), or composed ones; windows of 8 actions observed and 20 that follow, in
   three parts by source (person, video or goal);
2. bigram: the next action by the last one alone;
3. scratch: a small transformer on the same words, without and with the words of goals;
4. LM: an adapter is trained on the same windows, with the goal before every second one;
5. K continuations of every test history, without a goal and with the true, an inferred and another goal;
6. replies are parsed, and the least edit distance of the K is taken: Levenshtein's, in which two actions in
   the wrong order cost 2, over Z; for verbs, nouns and pairs;
7. histories of your own (``--ask``) are continued.

Departures from the paper, and why:

* *No recognition*: there are no videos. Histories are what the data say was done; recognise first with
  whatever you have.
* *One model for both modes*, half of the windows with a goal; the paper tunes two.
* *Goals to learn from are the data's*, where the paper has inferred ones; those come only in tests.
* *The temperature of every arm is chosen* on validation windows by the first seed; the paper's is 0.3.
* *An unknown word stays unknown* and is counted; it is no "put" or "dough". A list that is too short repeats
  its last pair, as in the paper; a reply without an action is as far off as can be.
* *Pairs are compared as pairs*: the official code adds the numbers of verb and noun first.
* *The adapter is on all layers*, with SmolLM2 instead of Llama-2-7B; distillation into a smaller model and
  integers instead of words are not repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from biddable.config import Count, Positive, Share, settings
from biddable.errors import InputError
from biddable.experiments.anticipating import (
    MOVED,
    NOUNS,
    PAIRS,
    RARE,
    VERBS,
    Foreseen,
    bare,
    continuations,
    coolest,
    from_bigrams,
    from_scratch,
    nouns_of_goals,
    prediction_lines,
    rare_pairs,
)
from biddable.experiments.anticipating_figures import figures, reply_notes, write_asked
from biddable.experiments.anticipation_prompts import (
    Parts,
    divide,
    infer_goals,
    lessons,
    prompt,
    read_histories,
    wrong_goals,
)
from biddable.experiments.claims import Claim
from biddable.experiments.stages import finetuned, with_seed
from biddable.methods.base import About, Method, show
from biddable.models.base import Sampling
from biddable.models.load import require_trainable
from biddable.policies.anticipation import ActionTransformerConfig
from biddable.policies.bigram import Candidates
from biddable.runs.files import write_atomic, write_json
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.action_data import read_sequences
from biddable.tasks.action_windows import ActionSequence, Window
from biddable.tasks.actions import Taxonomy
from biddable.tasks.compose_actions import compose_sequences
from biddable.tasks.data import write_prompts
from biddable.tasks.steps import Drop, Funnel
from biddable.train.config import LoraConfig, SftConfig

BIGRAM, SCRATCH, LM = "bigram", "scratch", "LM"
SCRATCH_GOAL, TRUE, INFERRED, WRONG = "scratch, goal", "LM, goal", "LM, inferred goal", "LM, other goal"


@settings
class AntGptConfig:
    """Settings of AntGPT."""

    data: Path | None = None
    """Sequences of actions (docs/methods/antgpt.md); composed ones where no file is named."""
    taxonomy: Path | None = None
    """The verbs and nouns there are, as Ego4D lists them (JSON); empty: those of the data."""
    ask: Path | None = None
    """Histories of your own to continue: rows as in ``data``, of each the last actions."""
    base: str = "smollm2"
    """The language model, whose weights are here."""
    observed: Count = 8
    """Actions of a history."""
    ahead: Count = 10
    """Z, the actions to foresee (paper: 20)."""
    candidates: Count = 5
    """K, the continuations of each history."""
    temperatures: tuple[Positive, ...] = (0.3, 0.8)
    """Each arm takes the one that does best on validation windows."""
    max_tokens: Count = 80
    """The longest reply."""
    held_out: Share = 0.3
    """The share of people, videos or goals to choose by (a quarter of them) and to test on (the others)."""
    train_windows: Count = 180
    """Windows to learn from, at most; of more, so many are drawn."""
    validation_windows: Count = 12
    """Windows to choose by, at most."""
    test_windows: Count = 24
    """Windows to test on, at most."""
    stride: Count = 3
    """Actions from one window to learn from to the next."""
    test_stride: Count = 6
    """The same for the others."""
    goals: Annotated[int, Field(ge=3, le=2000)] = 60
    """Composed goals."""
    sequences: Annotated[int, Field(ge=1, le=100)] = 2
    """Composed sequences of each."""
    seeds: Count = 5
    """Repetitions of every arm."""
    scratch: ActionTransformerConfig = ActionTransformerConfig()
    """The transformer that is trained from nothing."""
    sft: SftConfig = SftConfig(lr=1e-3, epochs=2, lora=LoraConfig(rank=8), too_long="drop")
    """How the language model is tuned."""


class AntGpt(Method):
    """AntGPT (see ``biddable.methods.act.antgpt``)."""

    about = About(
        title="AntGPT: what somebody will do next, by a language model over action words",
        citation="Zhao et al. 2023, arXiv 2307.16368",
        claim=(
            "A language model that continues action words is competitive without a goal, rare actions gain "
            "most; a goal, given or inferred, makes it better; another goal changes what it foresees."
        ),
        needs="a model whose weights can be trained",
        minutes={"smoke": "not measured", "default": "24 (1 core, busy)", "full": "not measured"},
        takes='sequences of "verb noun" (--data), histories to continue (--ask), a model (--base)',
        leaves="an adapter (artifacts/model), K continuations of test histories and of yours "
        "(artifacts/predictions), prompts of its form (artifacts/prompts), the words "
        "(artifacts/taxonomy.json), what was counted in reading replies (artifacts/replies.json), what was "
        "dropped and why (artifacts/dropped)",
    )
    Config = AntGptConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **{"ahead": 4, "candidates": 2, "temperatures": (0.3,), "max_tokens": 24, "train_windows": 16},
            **{"validation_windows": 3, "test_windows": 4, "goals": 8, "seeds": 1, "scratch.epochs": 4},
        },
        "full": {"ahead": 20, "max_tokens": 160, "train_windows": 600, "test_windows": 40, "goals": 200,
                 "sft.epochs": 3},
        "gpu": {"ahead": 20, "max_tokens": 160, "train_windows": 4000, "validation_windows": 100,
                "test_windows": 400, "goals": 800, "sequences": 4, "temperatures": (0.3, 0.6, 1.0)},
    }  # fmt: skip
    only: ClassVar = {"no data": ("goals", "sequences"), "data": ("taxonomy",)}
    config: AntGptConfig

    # -- 1. sequences --------------------------------------------------------------------------------------

    def check(self) -> None:
        """See ``Method.check``: the model, the files, and whether there is enough in them."""
        config = self.config
        if not config.temperatures or len({*config.temperatures}) < len(config.temperatures):
            raise InputError("temperatures", list(config.temperatures), "at least one, each once")
        if not 0 < config.held_out < 1:
            raise InputError("held_out", config.held_out, "a number between 0 and 1")
        if config.scratch.width % config.scratch.heads:
            raise InputError("scratch.width", config.scratch.width, f"a multiple of {config.scratch.heads}")
        try:
            require_trainable(config.base)
        except InputError as error:
            raise error.at("base") from None
        self.notes: list[str] = []
        self.listed = Taxonomy.from_json(config.taxonomy) if config.taxonomy else None
        self._read(np.random.default_rng(0))
        self._divided(np.random.default_rng(0))
        self.asked: list[Window] = []
        if config.ask is not None:
            self.asked, notes = read_histories(config.ask, config.observed, self.words)
            self.notes += notes

    def _read(self, rng: np.random.Generator) -> None:
        """The sequences, and the words there are; ``rng`` is of composed ones."""
        config, words = self.config, self.listed
        if config.data is None:
            composed = compose_sequences(config.goals, config.sequences, rng)
            self.funnel: Funnel[Any] = Funnel({each.id: each for each in composed})
        else:
            read = read_sequences(config.data, words)
            self.funnel, words = read.funnel, words or read.taxonomy
            self.notes = read.notes
        actions = (action for each in self.funnel.rows for action in each.actions)
        self.words = words or Taxonomy.of(actions)
        least = config.observed + config.ahead
        longest = max(len(each.actions) for each in self.funnel.rows)
        self.funnel.apply("length", [self._long_enough(each, least) for each in self.funnel.rows])
        if not self.funnel.rows:
            expected = f"with ahead ({config.ahead}) at most {longest}, the longest sequence, and some such"
            raise InputError("observed", config.observed, expected)

    def _long_enough(self, each: ActionSequence, least: int) -> ActionSequence | Drop:
        if len(each.actions) < least:
            return Drop("too few actions", f"{len(each.actions)}, of {least}")
        end = each.observed
        if end and not self.config.observed <= end <= len(each.actions) - self.config.ahead:
            told = f"{end} and {len(each.actions) - end}, of {self.config.observed} and {self.config.ahead}"
            return Drop("too few actions before or after", told)
        return each

    def _divided(self, rng: np.random.Generator) -> Parts:
        config = self.config
        most = (config.train_windows, config.validation_windows, config.test_windows)
        strides = (config.stride, config.test_stride)
        how = (config.observed, config.ahead, strides, config.held_out, most, rng)
        return divide(self.funnel.rows, *how)

    # -- the run -------------------------------------------------------------------------------------------

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        run.describe(base=config.base)
        if config.data is None:
            self._read(run.rng("sequences"))
        self.parts = parts = self._divided(run.rng("windows"))
        with_goals = all(each.goal for part in (parts.train, parts.validation, parts.test) for each in part)
        with_goals = with_goals and len({each.goal for each in parts.test}) > 1
        if not with_goals:
            self.parts = parts = Parts(bare(parts.train), bare(parts.validation), bare(parts.test))
            self.notes.append("No arm has a goal: some sequences have none, or all test windows the same.")
            if any(each.goal for each in self.asked):
                self.asked = bare(self.asked)
                self.notes.append("Goals of --ask are left out: no model has learned what one tells.")
        goals = self._goals(run) if with_goals else {}
        foreseen = Foreseen(parts.test, rare_pairs(parts.train))
        nouns = nouns_of_goals(self.funnel.rows)
        moved = [nouns[g] - nouns[w.goal] for g, w in zip(goals.get(WRONG, ()), parts.test, strict=False)]
        temperatures: dict[str, list[float]] = {BIGRAM: [], SCRATCH: []}
        for seed in range(config.seeds):
            chosen, found = from_bigrams(run, seed, parts, config.candidates, config.temperatures)
            temperatures[BIGRAM].append(chosen)
            foreseen.add(BIGRAM, found, seed)
            told = from_scratch(run, seed, parts, config.scratch, config.candidates, config.temperatures)
            temperatures[SCRATCH].append(told.temperature)
            foreseen.add(SCRATCH, told.without, seed)
            if with_goals:
                foreseen.add(SCRATCH_GOAL, told.with_goals, seed)
        weights = [self._tuned(run, seed) for seed in range(config.seeds)]
        temperature = self._temperature(run, weights[0])
        temperatures[LM] = [temperature]
        for seed, tuned in enumerate(weights):
            for arm, each in ({LM: [""] * len(parts.test)} | goals).items():
                name = f"{arm.lower().replace(',', '').replace(' ', '-')}{seed}"
                found, counts = self._continued(run, name, tuned, parts.test, each, temperature)
                foreseen.counts.setdefault(arm, Counter()).update(counts)
                foreseen.add(arm, found, seed)
                if arm in (TRUE, WRONG):
                    foreseen.add_moved(arm, found, moved, seed)
        foreseen.cluster()
        asked = self._ask(run, weights[0], temperature)

        comparisons = foreseen.scores.compare(self._claims(foreseen))
        run.publish(weights[0], "model")
        write_json(run.artifact("taxonomy.json"), self.words.plain())
        write_atomic(run.artifact("predictions", "test.jsonl"), prediction_lines(foreseen, goals))
        asking = [prompt(each.history, config.ahead, each.goal) for each in parts.test]
        write_prompts(run.artifact("prompts", "test.jsonl"), asking)
        write_json(run.artifact("replies.json"), {arm: dict(of) for arm, of in foreseen.counts.items()})
        self.funnel.write_dropped(run.artifact("dropped", "sequences.jsonl"))
        if asked is not None:
            write_asked(run.artifact("predictions", "asked.jsonl"), self.asked, asked)
        stages = {f"lm{seed}": f"seed {seed}" for seed in range(config.seeds)}
        show(run, figures(run, foreseen, goals, self.funnel, stages))
        metrics = {
            "windows": {name: len(getattr(parts, name)) for name in ("train", "validation", "test")},
            "sequences": self.funnel.counts(),
            "words": {"verbs": len(self.words.verbs), "nouns": len(self.words.nouns)},
            "temperatures": temperatures,
            "scores": foreseen.scores.metrics(),
            "area_under_edit_distances": {arm: foreseen.area(arm) for arm in foreseen.curves},
            "replies": {arm: dict(of) for arm, of in foreseen.counts.items()},
            "inferred_goals_right": _same(goals.get(INFERRED, []), goals.get(TRUE, [])),
        }
        notes = [*self.notes, *self._notes(goals), *reply_notes(foreseen.counts)]
        steps = (
            "biddable generate {run} --prompts {run}/artifacts/prompts/test.jsonl --out answers.jsonl",
            "biddable run antgpt --data FILE --ask HISTORIES --out FOLDER",
        )
        return run.finish(comparisons, metrics=metrics, notes=notes, next_steps=steps)

    def _goals(self, run: Run) -> dict[str, list[str]]:
        """By arm, the goal that each test window is given."""
        test = self.parts.test
        return {
            TRUE: [window.goal for window in test],
            INFERRED: infer_goals(run, self.config.base, test, self.parts.train),
            WRONG: wrong_goals(test, run.rng("other goals")),
        }

    # -- 4. and 5. the language model -----------------------------------------------------------------------

    def _tuned(self, run: Run, seed: int) -> Path:
        sft = with_seed(self.config.sft, run.first_seed + seed)
        return finetuned(run, f"lm{seed}", self.config.base, lessons(self.parts.train), sft)

    def _continued(
        self,
        run: Run,
        name: str,
        weights: Path,
        of: Sequence[Window],
        goals: Sequence[str],
        temperature: float,
    ) -> tuple[Candidates, Counter[str]]:
        config, words = self.config, self.words
        sampling = Sampling(max_tokens=config.max_tokens, temperature=temperature)
        return continuations(run, name, weights, of, goals, words, config.candidates, config.ahead, sampling)

    def _temperature(self, run: Run, weights: Path) -> float:
        """The one that the first model does best with on validation windows, without goals."""
        given, of = self.config.temperatures, self.parts.validation
        if len(given) == 1:
            return given[0]
        found = {
            each: self._continued(run, f"validation{at}", weights, of, [""] * len(of), each)[0]
            for at, each in enumerate(given)
        }
        return coolest(found, of)

    def _ask(self, run: Run, weights: Path, temperature: float) -> Candidates | None:
        """K continuations of the user's histories, where there are any."""
        if not self.asked:
            return None
        goals = [window.goal for window in self.asked]
        return self._continued(run, "asked", weights, self.asked, goals, temperature)[0]

    # -- what is claimed ------------------------------------------------------------------------------------

    def _claims(self, foreseen: Foreseen) -> list[Claim]:
        # Composed sequences are made from their goals: that a goal tells what follows is our doing.
        role: Any = "control" if self.config.data is None else "claim"
        claims = [Claim(SCRATCH, LM, "lower", metric) for metric in (PAIRS, VERBS, NOUNS)]
        claims.append(Claim(BIGRAM, LM, "lower", PAIRS))
        if RARE in foreseen.scores.metrics():
            claims.append(Claim(SCRATCH, LM, "higher", RARE))
        if TRUE in foreseen.scores.arms(PAIRS):
            claims += [
                Claim(LM, TRUE, "lower", PAIRS, role),
                Claim(LM, INFERRED, "lower", PAIRS),
                Claim(TRUE, WRONG, "higher", PAIRS, role),
                Claim(TRUE, WRONG, "higher", MOVED, role),
                Claim(SCRATCH_GOAL, TRUE, "lower", PAIRS, "question"),
            ]
        return claims

    def _notes(self, goals: Mapping[str, Sequence[str]]) -> list[str]:
        z, k = self.config.ahead, self.config.candidates
        notes = [
            f"Edit distance: Levenshtein's (not Damerau's) over the {z} actions, the least of {k} candidates."
        ]
        if goals:
            right = _same(goals[INFERRED], goals[TRUE])
            notes.append(f"{right} of {len(goals[TRUE])} inferred goals are the true one, word for word.")
        if goals and self.config.data is not None:
            notes.append("Goals are those of the data, perhaps written after all was done.")
        return notes


def _same(said: Sequence[str], true: Sequence[str]) -> int:
    return sum(one.lower() == other.lower() for one, other in zip(said, true, strict=True))
