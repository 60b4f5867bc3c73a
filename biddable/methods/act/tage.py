"""tagE: an instruction becomes a list of robot tasks with typed arguments, by nested decoders.

Sarkar et al. 2023, "tagE: Enabling an Embodied Agent to Understand Human Instructions" (arXiv 2310.15605,
Findings of EMNLP 2023). One instruction may ask for several tasks, a task may have several arguments, and
words may serve more than one of them; skills are grounded in what the robot can do, arguments in objects.

Claim: an encoder with nested decoders, one for tasks and inside it one for their arguments, parses better
than strong baselines, which are BART and T5 fine-tuned to write all tasks as one string (no number of the
paper is verified here).

The steps:

1. rows: instructions with frames (``--data``), or composed ones; three parts, by sentences or wordings;
2. states: what a frozen language model has at each word;
3. nested: the outer decoder emits a task (skill and trigger words) or stops; for each task the inner one
   emits its arguments (role and words) or stops; tags of the words say which objects they name;
4. flat: a decoder that emits all of it as one sequence and copies words from their places; the same states,
   encoder, layers, rows, epochs and choice of the epoch by the validation rows;
5. a language model with an adapter that writes the string of all tasks (``--lora-seeds``);
6. the test, once: F1 by tagE's scorer, by the number of tasks; object classes by tags beside by names;
7. the parser that was best on the validation rows is left, with what it reads off the test and as calls.

Departures from the paper, and why:

* *Frozen states of a decoder* instead of a fine-tuned BART: a small model on two cores. What follows a word
  is brought in by a bidirectional layer, which both arms learn.
* *The flat arm copies*, which makes it stronger than one that writes from a vocabulary: what is compared is
  nesting, not the copying that comes with spans.
* *What the outer decoder takes in* of a task are its words, pooled, not the inner decoder's states: so a
  batch's tasks are learned at once.
* *Object classes* are those of the rows to learn from, not a list of 88 names. Modifiers are kept in data and
  are not predicted, as they are not scored.
* *Weights of the losses* are 1 each; sizes of layers are not given in what could be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from biddable.config import Count, Natural, Share, settings
from biddable.errors import InputError
from biddable.experiments import frame_figures as figures
from biddable.experiments import frames as stages
from biddable.experiments.claims import Claim
from biddable.experiments.frames import EXACT, F1, GROUNDED, TASKS, FrameData, Frames
from biddable.experiments.scores import ArmScores
from biddable.methods.base import About, Method, show
from biddable.models.lazy import LazyModel
from biddable.models.load import require_trainable
from biddable.policies.frame_config import Kind, ParserConfig
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.frames import ROLES, SKILLS, read_sentences
from biddable.tasks.robot_calls import RobotCall, ground_to_skills, read_scene, read_skill_map
from biddable.tasks.steps import Drop, Funnel
from biddable.train.config import LoraConfig, SftConfig

NESTED, FLAT, BY_NAME, LORA = "nested", "flat with copy", "nested, classes by name", "LoRA, flat string"
GAP = "nested minus flat, argument F1"
ARMS: dict[str, Kind] = {NESTED: "nested", FLAT: "flat"}
AT_ONCE = 64
"""Sentences of a user's that are parsed at once."""


@settings
class TagEConfig:
    """Settings of tagE."""

    data: Path | None = None
    """A folder with train.csv (and dev.csv, test.csv), or one CSV; with ``parser`` the sentences to parse (a
    text file, a line each, or a table). Composed instructions where nothing is named."""
    parser: Path | None = None
    """A run that left a parser, or its folder: nothing is learned, ``data`` is parsed."""
    skill_map: Path | None = None
    """JSON of SKILL: FUNCTION, for the calls of your robot; without, functions are called as skills."""
    scene: Path | None = None
    """JSON of OBJECT: CLASS, or a list of objects such as cup_1; without, a class stands for its object."""
    skills: tuple[str, ...] = SKILLS
    """The skills that annotations may have."""
    roles: tuple[str, ...] = ROLES
    """The roles that they may have."""
    base: str = "smollm2"
    """The language model whose states are read, and which gets the adapter; its weights are here."""
    layer: Count = 9
    """After which of its layers."""
    echo: bool = False
    """Read each sentence twice and take the states of the second time, which have seen all of it."""
    network: ParserConfig = ParserConfig()
    """How the parsers are built and fitted."""
    seeds: Count = 5
    """Repetitions of both parsers."""
    lora_seeds: Natural = 0
    """Repetitions of the language model with an adapter: none, 1, or as many as ``seeds``."""
    sft: SftConfig = SftConfig(lr=5e-4, epochs=3, batch_size=16, lora=LoraConfig(rank=16), too_long="drop")
    """How that is tuned."""
    max_tokens: Count = 160
    """The longest string that it writes."""
    test_share: Share = 0.25
    """Of one CSV, or a folder without test.csv: the share that is held out."""
    dev_share: Share = 0.15
    """The same for the choice of the epoch."""
    train: Count = 500
    """Composed instructions to learn from."""
    dev: Count = 100
    """Composed ones to choose the epoch by."""
    test: Count = 300
    """Composed ones of the test."""


class TagE(Method):
    """tagE (see ``biddable.methods.act.tage``)."""

    about = About(
        title="tagE: instructions as robot tasks with arguments, by nested decoders",
        citation="Sarkar et al. 2023, arXiv 2310.15605",
        claim=(
            "Nested decoders for tasks and their arguments parse complex instructions better than generating "
            "one flat string, and ground them in skills and objects."
        ),
        needs="a model whose weights are here, for its states",
        minutes={"smoke": "1 (2 cores)", "default": "8 (1 core)", "full": "not measured"},
        takes="annotated instructions as CSV (--data), or with --parser RUN sentences to parse; a robot's "
        "functions (--skill-map) and objects (--scene)",
        leaves="a parser (artifacts/parser), frames of the held-out or the given sentences as JSON lines "
        "(artifacts/frames.jsonl), robot calls (artifacts/calls.jsonl)",
    )
    Config = TagEConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **{"train": 60, "dev": 16, "test": 24, "seeds": 2, "layer": 2},
            **{"network.epochs": 3, "network.width": 32},
        },
        "full": {"seeds": 5, "lora_seeds": 1, "train": 1180, "dev": 182, "test": 580},
        "gpu": {"seeds": 5, "lora_seeds": 5, "network.width": 256, "train": 1180, "dev": 182, "test": 580},
    }
    only: ClassVar = {
        "no parser": (
            *("skills", "roles", "base", "layer", "echo", "network", "seeds", "lora_seeds", "sft"),
            *("max_tokens", "test_share", "dev_share", "train", "dev", "test"),
        ),
        "data": ("skills", "roles", "test_share", "dev_share"),
        "no data": ("train", "dev", "test"),
        "lora_seeds": ("sft", "max_tokens"),
    }
    config: TagEConfig

    def check(self) -> None:
        """See ``Method.check``: the files, the parser or the model, and the numbers."""
        config = self.config
        self.skill_map = read_skill_map(config.skill_map) if config.skill_map else None
        self.scene = read_scene(config.scene) if config.scene else None
        self.rows: FrameData | None = None
        if config.parser is not None:
            from biddable.policies.frame_parser import load_parser

            if config.data is None:
                raise InputError("data", None, "a file of sentences, for the parser to read")
            self.fitted = load_parser(config.parser)
            self.sentences = read_sentences(config.data)
            return
        if config.lora_seeds not in (0, 1, config.seeds):
            raise InputError("lora_seeds", config.lora_seeds, f"0, 1 or {config.seeds}, as many as seeds")
        if config.network.width % 2:
            raise InputError("network.width", config.network.width, "an even number")
        for name, listed in (("skills", config.skills), ("roles", config.roles)):
            if not listed or any(each != each.lower() for each in listed):
                raise InputError(name, list(listed), "names in lower case, at least one")
        try:
            require_trainable(config.base)
        except InputError as error:
            raise error.at("base") from None
        if config.data is not None:
            shares = config.test_share, config.dev_share
            for part, share in zip(("test", "dev"), shares, strict=True):
                if not 0 < share < 1:
                    raise InputError(f"{part}_share", share, "a share above 0 and below 1")
                if self.given.get(f"{part}_share") and (config.data / f"{part}.csv").exists():
                    raise InputError(f"{part}_share", share, f"nothing: {part}.csv is all of it")
            self.rows = stages.read_parts(config.data, config.skills, config.roles, *shares, seed=0)

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        return self._fit_and_compare(run) if self.config.parser is None else self._parse(run)

    # -- 1. to 7. ------------------------------------------------------------------------------------------

    def _fit_and_compare(self, run: Run) -> Results:
        config = self.config
        run.describe(base=config.base)
        data = self.rows or self._composed(run)
        model, rows, test = LazyModel(config.base), data.rows, data.rows["test"]
        states = stages.states_of(run, model, rows, config.layer, config.echo)  # 2.

        predicted: dict[tuple[str, int], list[Frames]] = {}
        fits: dict[tuple[str, int], stages.Fitted] = {}
        encoder = (config.base, config.layer, config.echo)
        for seed in range(config.seeds):  # 3. and 4.
            for arm, kind in ARMS.items():
                name = f"{kind}-seed{seed}"
                how = (config.network, encoder, run.seed("weights", seed))
                fits[arm, seed] = made = stages.fitted(run, name, kind, rows, states, *how)
                predicted[arm, seed] = stages.parsed_by(
                    run, f"{name}-test", made.folder, test, states["test"]
                )
        for seed in range(config.lora_seeds):  # 5.
            how_tuned = (config.sft, config.max_tokens, run.first_seed + seed)
            name = f"lora-seed{seed}"
            predicted[LORA, seed] = stages.generated(run, name, config.base, rows, *how_tuned)

        objects = stages.Labels.of(rows["train"]).objects
        for seed in range(config.seeds):
            predicted[BY_NAME, seed] = stages.classes_by_name(predicted[NESTED, seed], objects)
        scores = self._scores(data, predicted)  # 6.
        best = max(range(config.seeds), key=lambda seed: fits[NESTED, seed].validation_f1)  # 7.
        run.publish(fits[NESTED, best].folder, "parser")
        calls = self._leave(run, [row.text for row in test], predicted[NESTED, best], test)
        if data.funnel.steps:
            data.funnel.write_dropped(run.artifact("dropped", "rows.jsonl"))
        show(run, self._figures(run, data, scores, predicted))
        metrics = {
            "rows": {part: len(of) for part, of in rows.items()},
            "dropped": data.funnel.counts(),
            "scores": scores.metrics(),
            "validation_f1": {arm: [fits[arm, s].validation_f1 for s in range(config.seeds)] for arm in ARMS},
            "parameters": {arm: fits[arm, 0].parameters for arm in ARMS},
            "groups": {name: len(places) for name, places in stages.groups(test).items()},
            "calls": calls,
        }
        notes = [*data.notes, *self._notes(data, predicted)]
        steps = ("biddable run tage --parser {run} --data SENTENCES.txt --out FOLDER",)
        comparisons = scores.compare(self._claims(scores))
        return run.finish(comparisons, metrics=metrics, notes=notes, next_steps=steps)

    def _composed(self, run: Run) -> FrameData:
        config = self.config
        sizes = {"train": config.train, "dev": config.dev, "test": config.test}
        return stages.composed({part: run.rng("composed", part) for part in sizes}, sizes)

    def _leave(self, run: Run, texts: Sequence[str], frames: Sequence[Frames], gold: Any) -> dict[str, Any]:
        """Write frames and calls of sentences; how many calls can be made."""
        right = None if gold is None else [row.tasks for row in gold]
        figures.write_frame_lines(run.artifact("frames.jsonl"), texts, frames, right)
        calls: list[list[RobotCall]] = [ground_to_skills(of, self.skill_map, self.scene) for of in frames]
        figures.write_calls(run.artifact("calls.jsonl"), texts, calls)
        return figures.call_counts(calls)

    # -- 6. the test ---------------------------------------------------------------------------------------

    def _scores(self, data: FrameData, predicted: Mapping[tuple[str, int], list[Frames]]) -> ArmScores:
        """Scores of every arm over all test rows and by group; the gap between the two parsers."""
        scores, test, lone = ArmScores(), data.rows["test"], self.config.lora_seeds == 1
        by_group = stages.groups(test)
        for (arm, at), frames in predicted.items():
            seed = None if arm == LORA and lone else at
            for metric, values in stages.scored(frames, test).items():
                scores.add(arm, values, metric=metric, seed=seed)
            for name, places in by_group.items():
                part = stages.scored([frames[i] for i in places], [test[i] for i in places])
                scores.add(arm, part[F1], metric=f"{F1}, {name}", seed=seed)
        of_metric = {metric: [*range(len(test))] for metric in (F1, GROUNDED, TASKS, EXACT)}
        of_metric |= {f"{F1}, {name}": places for name, places in by_group.items()}
        for metric, places in of_metric.items():
            sources = [data.sources[i] for i in places]
            if 1 < len({*sources}) < len(sources):
                scores.cluster(metric, sources)
        for name in ("1 task", "3 and more tasks"):
            if name in by_group and self.config.seeds > 1:
                by_seed = [scores.values(arm, f"{F1}, {name}").mean(1) for arm in (NESTED, FLAT)]
                for seed, gap in enumerate((by_seed[0] - by_seed[1]).tolist()):
                    scores.add(name, gap, metric=GAP, seed=seed)
        return scores

    def _claims(self, scores: ArmScores) -> list[Claim]:
        # Composed objects have names beside that of their class, which a match by name cannot know.
        by_name: Any = "control" if self.config.data is None else "claim"
        several = [f"{F1}, {name}" for name in ("3 and more tasks", "shared arguments")]
        return [
            Claim(FLAT, NESTED, "higher", F1),
            Claim(FLAT, NESTED, "higher", GROUNDED),
            *(Claim(FLAT, NESTED, "higher", metric) for metric in several if scores.arms(metric)),
            *([Claim("1 task", "3 and more tasks", "higher", GAP)] if len(scores.arms(GAP)) == 2 else []),
            Claim(FLAT, NESTED, "higher", EXACT, "question"),
            Claim(BY_NAME, NESTED, "higher", GROUNDED, by_name),
            *(
                Claim(LORA, NESTED, "higher", metric)
                for metric in ((F1, GROUNDED) if self.config.lora_seeds else ())
            ),
        ]

    def _figures(
        self,
        run: Run,
        data: FrameData,
        scores: ArmScores,
        predicted: Mapping[tuple[str, int], list[Frames]],
    ) -> list[Any]:
        test = data.rows["test"]
        gold = [row.tasks for row in test]
        arms = [arm for arm in (FLAT, LORA, NESTED) if arm in scores.arms(F1)]
        by_group = {name: len(places) for name, places in stages.groups(test).items()}
        means = {
            arm: {name: float(np.mean(scores.values(arm, f"{F1}, {name}"))) for name in by_group}
            for arm in arms
        }
        fits = {
            f"{kind}-seed{s}": f"{arm} {s}" for arm, kind in ARMS.items() for s in range(self.config.seeds)
        }
        first = {arm: predicted[arm, 0] for arm in arms}
        return [
            scores.table("Arms on the test rows", (F1, GROUNDED, TASKS, EXACT), arms=[*arms, BY_NAME]),
            figures.group_bars("By what an instruction asks for", means, by_group),
            figures.class_table("Nested, by skill", predicted[NESTED, 0], gold, "skills"),
            figures.class_table("Nested, by role", predicted[NESTED, 0], gold, "roles"),
            *figures.training_curves(run, fits),
            *([data.funnel.table()] if data.funnel.steps else []),
            figures.sentence_browser(
                test, first, "Right: all tasks, arguments and classes. Of the first seed."
            ),
        ]

    def _notes(self, data: FrameData, predicted: Mapping[tuple[str, int], list[Frames]]) -> list[str]:
        config = self.config
        notes = [
            f"States are those of {config.base} after layer {config.layer}, frozen"
            + (
                ", of a second reading of the sentence."
                if config.echo
                else ", which have seen what is before."
            ),
            "The interval of F1 is that of its linearised numbers by row (delta method).",
        ]
        if dropped := len(data.funnel.dropped):
            first = data.funnel.dropped[0]
            told = f"{dropped} rows were left out (artifacts/dropped); the first"
            notes.append(f"{told}: {first.id}: {first.why.reason}. {first.why.detail}".strip())
        if not config.lora_seeds:
            notes.append("No language model was tuned to write the string (--lora-seeds 1 does).")
        if config.lora_seeds == 1:
            notes.append(f"{LORA}: one training, beside every seed of the others: nothing of its own seeds.")
        if broken := sum(not tasks for tasks in predicted.get((LORA, 0), [])):
            notes.append(
                f"{LORA}: in {broken} of {len(data.rows['test'])} texts of the first seed is no task."
            )
        return notes

    # -- parsing alone -------------------------------------------------------------------------------------

    def _parse(self, run: Run) -> Results:
        """Read tasks off the user's sentences with a parser that is there."""
        parser = self.fitted
        run.describe(base=parser.encoder)
        funnel: Funnel[Any] = Funnel(dict(self.sentences))
        long = Drop(f"longer than {stages.LONGEST} words")
        results = [
            text if isinstance(text, Drop) or len(text.split()) <= stages.LONGEST else long
            for text in funnel.rows
        ]
        funnel.apply("reading", results)
        texts, model = funnel.rows, LazyModel(parser.encoder)
        if not texts:
            raise InputError("data", f"{len(results)} sentences", f"some of at most {stages.LONGEST} words")
        frames = run.map("parse", texts, lambda batch: parser(batch, model()), Frames, AT_ONCE)
        calls = self._leave(run, texts, frames, None)
        funnel.write_dropped(run.artifact("dropped", "rows.jsonl"))
        none = sum(not of for of in frames)
        notes = [f"In {none} of {len(texts)} sentences no task was read."] if none else []
        if funnel.dropped:
            notes.append(f"{len(funnel.dropped)} lines were left out (artifacts/dropped).")
        metrics = {"sentences": len(texts), "without_tasks": none, "calls": calls, "dropped": funnel.counts()}
        show(run, [figures.parsed_table(texts, frames), funnel.table()])
        return run.finish([], metrics=metrics, notes=notes, next_steps=())
