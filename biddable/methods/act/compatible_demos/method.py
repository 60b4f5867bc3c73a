"""Base, all, filtered and elicited demonstrations side by side: settings, comparisons, run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from biddable.config import Count, Natural, NonNegative, Share, settings
from biddable.experiments.claims import Claim
from biddable.experiments.scores import ArmScores
from biddable.methods.act.compatible_demos.settings import BASE_STYLE, STYLES, Sizes
from biddable.methods.base import About, Method, show
from biddable.runs.figures import Clip, Figure, Replays, Table
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.types import Prediction

if TYPE_CHECKING:
    from biddable.methods.act.compatible_demos.experiment import Experiment, Outcome
    from biddable.policies.cloning import CloningConfig

Task = Literal["Reach2D", "Reach2DPillar"]

SUCCESS, BACK = "success", "success on the way back"
AUC = "AUC of the score, fitting people against others"

CLAIMS: tuple[tuple[str, str, Prediction], ...] = (
    ("base", "naive", "lower"),
    ("naive", "filtered", "higher"),
    ("naive", "elicited", "higher"),
    ("base", "filtered", "higher"),
    ("base", "elicited", "higher"),
    ("dropped at random", "filtered", "higher"),
    ("filtered", "elicited", "higher"),
)
"""What the paper predicts of success: (baseline, arm, direction)."""

NOTES = (
    "People are scripts with an unsteady hand; one whose demonstration was rejected changes style with "
    "probability `learns`.",
    "All arms have the test's starts and goals, settings and training in common; they differ in the "
    "demonstrations they learn from. The elicited arm has as many new ones as the naive arm, if its quota "
    "was filled: people gave more.",
)


@settings
class CompatibleDemosConfig:
    """Settings of the comparison."""

    tasks: Annotated[tuple[Task, ...], Field(min_length=1)] = ("Reach2DPillar", "Reach2D")
    """Which tasks: an open field, or one with a pillar in the middle."""
    seeds: Count = 10
    """Repetitions with other demonstrations and first weights."""
    base: Annotated[int, Field(ge=2)] = 20
    """Demonstrations of the base operator, from a part of the starts and goals."""
    new: Annotated[int, Field(ge=3)] = 20
    """Demonstrations of new people, in all styles in turn."""
    back: Count = 5
    """New demonstrations of the way back, where the base operator never was."""
    noise: NonNegative = 0.1
    """Standard deviation of a demonstrator's hand, in actions from -1 to 1."""
    cases: Annotated[int, Field(ge=2)] = 100
    """Starts and goals that every policy is tried on."""

    members: Annotated[int, Field(ge=2)] = 5
    """Networks in an ensemble (paper: 5)."""
    hidden: Count = 128
    """Width of their hidden layers (paper: 1024)."""
    epochs: Count = 50
    """Passes over the demonstrations (paper: 50); the best by validation counts."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of hidden units left out while training (paper: 0.5)."""

    max_error: NonNegative = 0.4
    """Error above which an action does not fit in a familiar place (paper: 0.4)."""
    novelty_quantile: Share = 0.95
    """A place is familiar if it is no newer than this share of the base operator's own, seen by others."""
    limit: Natural = 3
    """The most steps of an accepted demonstration that may not fit (paper: 0 and 3)."""
    learns: Share = 0.5
    """How probably somebody changes style after a rejection."""
    most_offers: Count = 100
    """When to stop asking, though the quota is not filled."""

    def sizes(self) -> Sizes:
        """How much of everything."""
        return Sizes(
            base=self.base,
            new=self.new,
            back=self.back,
            cases=self.cases,
            noise=self.noise,
            limit=self.limit,
            learns=self.learns,
            most_offers=self.most_offers,
        )

    def cloning(self) -> CloningConfig:
        """How ensembles are trained."""
        from biddable.policies.cloning import CloningConfig

        return CloningConfig(
            members=self.members, hidden=self.hidden, epochs=self.epochs, dropout=self.dropout
        )


class CompatibleDemos(Method):
    """Compatible demonstrations (see ``biddable.methods.act.compatible_demos``)."""

    about = About(
        title="Compatible demonstrations",
        citation="Gandhi et al., CoRL 2022, arXiv 2210.08073",
        claim=(
            "Demonstrations of people with other styles, taken as they come, lower success; dropping what "
            "does not fit the policy, or asking for what does, raises it."
        ),
        needs="MuJoCo (pip install 'biddable[envs]'); 2 CPU cores",
        minutes={"smoke": "1 (2 cores)", "default": "8 (1 core)", "gpu": "not measured"},
        leaves="the weights of every policy (artifacts/model)",
    )
    Config = CompatibleDemosConfig
    packages = ("gymnasium", "mujoco")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"tasks": ("Reach2DPillar",), "seeds": 2, "epochs": 15, "hidden": 32, "cases": 20},
        "gpu": {"seeds": 30, "cases": 500, "hidden": 1024, "dropout": 0.5},
    }
    config: CompatibleDemosConfig

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        seeds = list(range(run.root_seed, run.root_seed + self.config.seeds))
        outcomes = {task: self._outcomes(run, task, seeds) for task in self.config.tasks}
        scores = ArmScores()
        shown: list[Figure] = []
        for task, found in outcomes.items():
            _add(scores, task, found, seeds)
            shown += _figures(task, found, scores)
            clips = run.stage(
                f"{task.lower()}-clips", partial(self._clips, run, task, seeds[0], found[0]), list[Clip]
            )
            shown.append(Replays(f"{task}: one test case, by each policy of the first seed", tuple(clips)))
        show(run, shown)
        claims = [claim for task in outcomes for claim in _claims(task, len(seeds))]
        metrics: dict[str, Any] = {task: _metrics(found) for task, found in outcomes.items()}
        metrics["scores"] = scores.metrics()
        return run.finish(scores.compare(claims), metrics=metrics, notes=NOTES)

    def _outcomes(self, run: Run, task: str, seeds: Sequence[int]) -> list[Outcome]:
        from biddable.methods.act.compatible_demos.experiment import Outcome

        def one_seed(batch: list[int]) -> list[Outcome]:
            found = []
            for seed in batch:
                outcome, trained = self._experiment(run, task, seed).run()
                found.append(outcome)
                for arm, ensemble in trained.items() if seed == seeds[0] else ():
                    ensemble.save(_weights(run, task, arm))
            return found

        return run.map(f"{task.lower()}-seeds", list(seeds), one_seed, Outcome, batch_size=1)

    def _clips(self, run: Run, task: str, seed: int, outcome: Outcome) -> list[Clip]:
        """The policies of a seed on a case that tells them apart."""
        from biddable.methods.act.compatible_demos.experiment import TEST_SEED, WIDER
        from biddable.policies.cloning import Ensemble
        from biddable.policies.replays import clip, filmed

        apart = np.array(outcome.success["elicited"]) - np.array(outcome.success["naive"])
        case = TEST_SEED + int(apart.argmax())

        def play() -> list[Clip]:
            with closing(self._experiment(run, task, seed).env(WIDER)) as env:
                return [
                    clip(env, Ensemble.load(_weights(run, task, arm)), case, arm) for arm in outcome.success
                ]

        return filmed(play)

    def _experiment(self, run: Run, task: str, seed: int) -> Experiment:
        from biddable.methods.act.compatible_demos.experiment import Experiment

        config = self.config
        sizes, cloning = config.sizes(), config.cloning()
        draw = run.seed(task, seed)
        return Experiment(task, sizes, cloning, config.max_error, config.novelty_quantile, draw)


def _weights(run: Run, task: str, arm: str) -> Path:
    """Where the first seed's policy of an arm is kept."""
    return run.artifact("model", f"{task.lower()}-{arm.replace(' ', '-')}.safetensors")


def _claims(task: str, seeds: int) -> Iterator[Claim]:
    """What the paper says of a task."""
    for baseline, method, predicted in CLAIMS:
        yield Claim(baseline, method, predicted, f"{task}: {SUCCESS}")
    # A control: on the way back every action is far from what the base operator's policy would do, so
    # without its second condition the filter cannot but drop it.
    yield Claim("filtered by error alone", "filtered", "higher", f"{task}: {BACK}", role="control")
    if seeds > 1:  # one number from each seed has no interval where there is one seed
        yield Claim("chance", "score", "higher", f"{task}: {AUC}")


def _add(scores: ArmScores, task: str, found: Sequence[Outcome], seeds: Sequence[int]) -> None:
    """The scores of all seeds of a task."""
    scores.add("chance", 0.5, metric=f"{task}: {AUC}")
    for seed, outcome in zip(seeds, found, strict=True):
        scores.add("score", auc(outcome.scores), metric=f"{task}: {AUC}", seed=seed)
        for arm, values in outcome.success.items():
            scores.add(arm, values, metric=f"{task}: {SUCCESS}", seed=seed)
        for arm, values in outcome.success_back.items():
            name = "filtered by error alone" if arm == "error alone" else arm
            scores.add(name, values, metric=f"{task}: {BACK}", seed=seed)


def auc(scores: Mapping[str, Sequence[float]]) -> float:
    """How probably a demonstration in the base operator's style scores above another's; ties count half."""
    fitting = np.array(scores[BASE_STYLE])[:, None]
    others = np.array(
        [score for style, of_style in scores.items() if style != BASE_STYLE for score in of_style]
    )
    return float(((fitting > others) + 0.5 * (fitting == others)).mean())


def _figures(task: str, found: Sequence[Outcome], scores: ArmScores) -> Iterator[Figure]:
    yield scores.bars(
        f"{task}: success of policies, by what they learned from",
        (f"{task}: {SUCCESS}",),
        unit="share of test cases",
    )
    fit, dropped = _stacked([one.scores for one in found]), _stacked([one.dropped for one in found])
    yield Table(
        title=f"{task}: what the filter makes of each style",
        columns=("style", "score", "share of pairs dropped"),
        rows=tuple(
            (style, round(float(fit[style].mean()), 3), round(float(dropped[style].mean()), 3))
            for style in STYLES[task]
        ),
        note=f"The base operator's style is {BASE_STYLE}.",
    )


def _metrics(found: Sequence[Outcome]) -> dict[str, Any]:
    """Every other number: means over seeds, or one for each."""
    arms = _stacked([one.success for one in found])
    return {
        "success": {
            arm: {"mean": float(r.mean()), "per_seed": r.mean(1).tolist()} for arm, r in arms.items()
        },
        "success_back": _means([one.success_back for one in found]),
        "score": _means([one.scores for one in found]),
        "dropped": _means([one.dropped for one in found]),
        "kept_on_the_way_back": _means([one.kept_back for one in found]),
        "auc": [auc(one.scores) for one in found],
        "offered": [one.offered for one in found],
        "accepted": [one.accepted for one in found],
        "thresholds": [list(one.thresholds) for one in found],
    }


def _stacked(per_seed: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Name -> [seeds, cases] (or [seeds])."""
    return {name: np.array([one[name] for one in per_seed]) for name in per_seed[0]}


def _means(per_seed: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {name: float(rows.mean()) for name, rows in _stacked(per_seed).items()}
