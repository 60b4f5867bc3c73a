"""Compatible demonstrations (Gandhi et al., CoRL 2022, arXiv 2210.08073).

Demonstrators who solve a task equally well in different ways harm each other's demonstrations: a policy that
learns from all of them averages their actions. The paper measures whether a new demonstration is compatible
with a policy trained on one operator's (``policies.compatibility``), filters what is not, and elicits
compatible ones from new demonstrators, with feedback (``policies.elicitation``).

For a pair of state and action, *error* is the mean squared difference between the actions of an ensemble's
members and the demonstrated one; *novelty* is the standard deviation of the members. A pair is incompatible
where the error is high and the novelty low. The feedback on a rejected demonstration is its worst parts, and
the base demonstration nearest by dynamic time warping: by the root of the least sum of squared distances
between states, as in the official code.

Claim: in simulated nut assembly and hammer placement and with a real arm, filtering and eliciting raise
success over taking all demonstrations. The paper's tables were not at hand, so only directions are compared:
all < filtered, all < elicited, and all may be below the base operator's policy alone.

Departures, and why:

* *Tasks* are the two toy tasks of the official code (``envs/reach2d``), and demonstrators are scripts with
  noise on their actions, in place of people and a real arm. After a rejection one changes to another style
  with probability ``style_change_probability``.
* *Thresholds*: the error is the paper's 0.4, for actions in [-1, 1]; the novelty is a quantile of the base
  operator's own demonstrations, each held out from the ensemble that measures it (the paper's numbers are
  its tasks' own).
* *Networks* are 128 wide and have no dropout (the paper: 1024 and 0.5): states have four numbers.
* *The way back*: five of the new demonstrations are of the reverse task, which the base operator never did,
  so that the condition on novelty matters. Every arm with new demonstrations has them.
* *The base operator* gave 20 demonstrations from three quarters of the width of starts and goals. With half
  the width the policy fails so often that any demonstration helps, also one in another style; with all of it
  no demonstration helps.
* An arm of our own, *dropped at random*, loses as many pairs as the filter drops.
"""

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
from biddable.experiments.demonstrator_styles import BASE_STYLE, STYLES, Sizes
from biddable.experiments.scores import ArmScores
from biddable.methods.base import About, Method, show
from biddable.runs.figures import Clip, Figure, Replays, Table
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.types import Prediction

if TYPE_CHECKING:
    from biddable.experiments.compatible_policies import Experiment, Outcome
    from biddable.policies.cloning import CloningConfig

Task = Literal["Reach2D", "Reach2DPillar"]

SUCCESS, REVERSE_SUCCESS = "success", "success on the way back"
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
    "Demonstrators are scripts with noise on their actions; after a rejection one changes style with "
    "probability `style_change_probability`.",
    "All arms have the test's starts and goals, settings and training in common; they differ in the "
    "demonstrations they learn from. The elicited arm has as many new ones as the naive arm, if its quota "
    "was filled: more were offered.",
)


@settings
class CompatibleDemosConfig:
    """Settings of the comparison."""

    tasks: Annotated[tuple[Task, ...], Field(min_length=1)] = ("Reach2DPillar", "Reach2D")
    """Which tasks: an open field, or one with a pillar in the middle."""
    seeds: Count = 10
    """Repetitions, each with its own demonstrations and initial weights."""
    base_demos: Annotated[int, Field(ge=2)] = 20
    """Demonstrations of the base operator, from a smaller region of starts and goals."""
    new_demos: Annotated[int, Field(ge=3)] = 20
    """New demonstrations, in all styles in turn."""
    reverse_demos: Count = 5
    """New demonstrations of the reverse task (from goals to starts), which the base operator never did."""
    action_noise: NonNegative = 0.1
    """Standard deviation of the noise on a demonstrator's actions, which are from -1 to 1."""
    cases: Annotated[int, Field(ge=2)] = 100
    """Test cases (a start and a goal) on which every policy is scored."""

    members: Annotated[int, Field(ge=2)] = 5
    """Networks in an ensemble (paper: 5)."""
    hidden: Count = 128
    """Width of their hidden layers (paper: 1024)."""
    epochs: Count = 50
    """Passes over the demonstrations (paper: 50); the weights of the best by validation are kept."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of hidden units left out while training (paper: 0.5)."""

    max_error: NonNegative = 0.4
    """Error above which an action is incompatible where novelty is low (paper: 0.4)."""
    novelty_quantile: Share = 0.95
    """Novelty counts as low below this quantile of the novelty of held-out base demonstrations."""
    max_incompatible: Natural = 3
    """The most incompatible steps of an accepted demonstration (paper: 0 and 3)."""
    style_change_probability: Share = 0.5
    """Probability that a demonstrator changes style after a rejection."""
    max_offers: Count = 100
    """Demonstrations after which elicitation stops, even if the quota is not filled."""

    def sizes(self) -> Sizes:
        """The sizes of the experiment."""
        return Sizes(
            base_demos=self.base_demos,
            new_demos=self.new_demos,
            reverse_demos=self.reverse_demos,
            cases=self.cases,
            action_noise=self.action_noise,
            max_incompatible=self.max_incompatible,
            style_change_probability=self.style_change_probability,
            max_offers=self.max_offers,
        )

    def cloning(self) -> CloningConfig:
        """The hyperparameters of the ensembles."""
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
        seeds = list(run.repetitions(self.config.seeds))
        by_task = {task: self._outcomes(run, task, seeds) for task in self.config.tasks}
        scores = ArmScores()
        figures: list[Figure] = []
        for task, outcomes in by_task.items():
            _add(scores, task, outcomes, seeds)
            figures += _figures(task, outcomes, scores)
            clips = run.stage(
                f"{task.lower()}-clips", partial(self._clips, run, task, seeds[0], outcomes[0]), list[Clip]
            )
            figures.append(Replays(f"{task}: one test case, by each policy of the first seed", tuple(clips)))
        show(run, figures)
        claims = [claim for task in by_task for claim in _claims(task, len(seeds))]
        metrics: dict[str, Any] = {task: _metrics(outcomes) for task, outcomes in by_task.items()}
        metrics["scores"] = scores.metrics()
        return run.finish(scores.compare(claims), metrics=metrics, notes=NOTES)

    def _outcomes(self, run: Run, task: str, seeds: Sequence[int]) -> list[Outcome]:
        """What came of each seed; the policies of the first one are kept."""
        from biddable.experiments.compatible_policies import ARMS, Outcome, outcomes_of

        experiments = {seed: self._experiment(run, task, seed) for seed in seeds}
        files = {arm: _weights(run, task, arm) for arm in ARMS}
        train = partial(outcomes_of, experiments, {seeds[0]: files})
        return run.map(f"{task.lower()}-seeds", list(seeds), train, Outcome, batch_size=1)

    def _clips(self, run: Run, task: str, seed: int, outcome: Outcome) -> list[Clip]:
        """Clips of a seed's policies on the case where the elicited and naive arms differ most."""
        from biddable.experiments.compatible_policies import TEST_REGION, TEST_SEED
        from biddable.policies.cloning import Ensemble
        from biddable.policies.replays import clip, filmed

        difference = np.array(outcome.success["elicited"]) - np.array(outcome.success["naive"])
        case = TEST_SEED + int(difference.argmax())

        def record_clips() -> list[Clip]:
            with closing(self._experiment(run, task, seed).env(TEST_REGION)) as env:
                return [
                    clip(env, Ensemble.load(_weights(run, task, arm)), case, arm) for arm in outcome.success
                ]

        return filmed(record_clips)

    def _experiment(self, run: Run, task: str, seed: int) -> Experiment:
        from biddable.experiments.compatible_policies import Experiment

        config = self.config
        sizes, cloning = config.sizes(), config.cloning()
        rng_seed = run.seed(task, seed)
        return Experiment(task, sizes, cloning, config.max_error, config.novelty_quantile, rng_seed)


def _weights(run: Run, task: str, arm: str) -> Path:
    """The file of the first seed's policy of an arm."""
    return run.artifact("model", f"{task.lower()}-{arm.replace(' ', '-')}.safetensors")


def _claims(task: str, seeds: int) -> Iterator[Claim]:
    """The paper's claims on a task, and a control."""
    for baseline, method, predicted in CLAIMS:
        yield Claim(baseline, method, predicted, f"{task}: {SUCCESS}")
    # A control: on the way back every action is far from what the base operator's policy would do, so
    # without its condition on novelty the filter always drops it.
    yield Claim("filtered by error alone", "filtered", "higher", f"{task}: {REVERSE_SUCCESS}", role="control")
    if seeds > 1:  # one number from each seed has no interval where there is one seed
        yield Claim("chance", "score", "higher", f"{task}: {AUC}")


def _add(scores: ArmScores, task: str, outcomes: Sequence[Outcome], seeds: Sequence[int]) -> None:
    """The scores of all seeds of a task."""
    scores.add("chance", 0.5, metric=f"{task}: {AUC}")
    for seed, outcome in zip(seeds, outcomes, strict=True):
        scores.add("score", auc(outcome.scores), metric=f"{task}: {AUC}", seed=seed)
        for arm, values in outcome.success.items():
            scores.add(arm, values, metric=f"{task}: {SUCCESS}", seed=seed)
        for arm, values in outcome.reverse_success.items():
            name = "filtered by error alone" if arm == "error alone" else arm
            scores.add(name, values, metric=f"{task}: {REVERSE_SUCCESS}", seed=seed)


def auc(scores: Mapping[str, Sequence[float]]) -> float:
    """AUC: probability that a demonstration in the base style scores above another; ties count half."""
    fitting = np.array(scores[BASE_STYLE])[:, None]
    others = np.array(
        [score for style, of_style in scores.items() if style != BASE_STYLE for score in of_style]
    )
    return float(((fitting > others) + 0.5 * (fitting == others)).mean())


def _figures(task: str, outcomes: Sequence[Outcome], scores: ArmScores) -> Iterator[Figure]:
    yield scores.bars(
        f"{task}: success of policies, by what they learned from",
        (f"{task}: {SUCCESS}",),
        unit="share of test cases",
    )
    scores_by_style = _stacked([outcome.scores for outcome in outcomes])
    dropped = _stacked([outcome.dropped for outcome in outcomes])
    yield Table(
        title=f"{task}: what the filter makes of each style",
        columns=("style", "score", "share of pairs dropped"),
        rows=tuple(
            (style, round(float(scores_by_style[style].mean()), 3), round(float(dropped[style].mean()), 3))
            for style in STYLES[task]
        ),
        note=f"The base operator's style is {BASE_STYLE}.",
    )


def _metrics(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Every other number: means over seeds, or one for each."""
    arms = _stacked([outcome.success for outcome in outcomes])
    return {
        "success": {
            arm: {"mean": float(r.mean()), "per_seed": r.mean(1).tolist()} for arm, r in arms.items()
        },
        "reverse_success": _means([outcome.reverse_success for outcome in outcomes]),
        "score": _means([outcome.scores for outcome in outcomes]),
        "dropped": _means([outcome.dropped for outcome in outcomes]),
        "reverse_kept": _means([outcome.reverse_kept for outcome in outcomes]),
        "auc": [auc(outcome.scores) for outcome in outcomes],
        "offered": [outcome.offered for outcome in outcomes],
        "accepted": [outcome.accepted for outcome in outcomes],
        "thresholds": [list(outcome.thresholds) for outcome in outcomes],
    }


def _stacked(per_seed: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Name -> [seeds, cases] (or [seeds])."""
    return {name: np.array([values[name] for values in per_seed]) for name in per_seed[0]}


def _means(per_seed: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {name: float(rows.mean()) for name, rows in _stacked(per_seed).items()}
