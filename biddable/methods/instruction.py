"""What methods that teach instruction following have in common: tasks, arms, how a run begins and ends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from biddable.experiments.claims import Claim
from biddable.experiments.instructions import BASE, Instructions, InstructionSettings
from biddable.experiments.measured import Measured
from biddable.methods.base import Method, show
from biddable.models.base import Sampling
from biddable.runs.figures import Figure
from biddable.runs.results import Results
from biddable.runs.run import Run


class InstructionMethod(Method):
    """A method that trains models on tasks and measures each on held-out ones.

    A subclass names its ``arms`` and writes ``run``: ``begin``, the algorithm, ``finish``. Its configuration
    extends ``InstructionSettings`` and holds ``sampling``, or else it says what ``sampling`` is.

    Attributes:
        instructions: the tasks to learn from, and the held-out suites.
    """

    config: Any
    only: ClassVar[Mapping[str, Sequence[str]]] = {
        "no tasks": ("compose", "test.tasks", "test.held_out"),
        "compose.held_out_types": ("test.held_out",),
        "tasks": ("test.share",),
        "test.ifeval": ("test.ifeval_tokens", "test.ifeval_arms"),
    }

    def __init__(self, config: InstructionSettings):
        super().__init__(config)
        self.instructions = Instructions(config, self.sampling.max_tokens)

    @property
    @abstractmethod
    def arms(self) -> list[str]:
        """All models of a run by name, from the one as it comes (``BASE``) to what the method ends with."""

    @property
    def sampling(self) -> Sampling:
        """How the answers are drawn that are learned from; the held-out ones are as long at most."""
        return self.config.sampling

    def check(self) -> None:
        """See ``Method.check``: the tasks, the arms to score on IFEval, and the model."""
        self.instructions.check(self.arms)

    def seeds(self, run: Run) -> range:
        """The seed of each repetition."""
        return run.repetitions(self.config.seeds)

    def begin(self, run: Run, **facts: Any) -> Measured:
        """The held-out suites with the answers of the model as it comes; ``facts`` are noted in the run."""
        run.describe(model=self.config.model, **facts)
        measured = Measured(run, self.instructions)
        measured.add(BASE, self.config.model)
        return measured

    def finish(
        self,
        run: Run,
        measured: Measured,
        pairs: Sequence[tuple[str, str]],
        *,
        questions: Sequence[tuple[str, str]] = (),
        claims: Sequence[Claim] = (),
        figures: Sequence[Figure] = (),
        models: Mapping[str, Path],
        metrics: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
    ) -> Results:
        """Compare the arms, and leave figures and models.

        Args:
            run: the run.
            measured: what the arms answered.
            pairs: (baseline, method) of arms; the method is to pass more tasks of every suite.
            questions: pairs of which nobody says which is better.
            claims: on other scores in ``measured.scores``.
            figures: for the report.
            models: folders of weights by the kind of artifact, such as ``model``.
            metrics: further numbers, beside the accuracy of every arm.
            notes: what a reader must know.
        """
        show(run, list(figures))
        for kind, weights in models.items():
            run.publish(weights, kind)
        comparisons = [
            *measured.comparisons(pairs, self.arms[-1], questions),
            *measured.scores.compare(claims),
        ]
        numbers = {"accuracy": measured.metrics(), **(metrics or {})}
        return run.finish(comparisons, metrics=numbers, notes=notes)
