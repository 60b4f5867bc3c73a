"""Voters: models that are asked for an output each, so that outputs can be chosen by agreement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from biddable import registry
from biddable.errors import InputError, MissingDependency
from biddable.experiments.generation import instance_prompt, whole_text
from biddable.models.base import LanguageModel, Sampling
from biddable.models.lazy import LazyModel
from biddable.models.load import locate, model_identity, require_trainable
from biddable.models.weights import PACKAGED
from biddable.runs.run import Run
from biddable.search.consensus import BRANCHES, Decision, consensus
from biddable.suites.answers import BATCH, Ask
from biddable.tasks.generated import END, Kind, Sample
from biddable.tasks.steps import Drop
from biddable.types import Prompt, Response, user

SHOTS = 4
"""Solved examples that a base model is shown, which has no chat template and would not know what is asked."""

Demos = dict[Kind, Sequence[Sample]]


@dataclass(frozen=True)
class Voter:
    """A model that is asked for outputs: by the bare request, or after solved examples.

    Attributes:
        spec: how it was named, which is how it is called.
        model: the model.
        shots: solved examples before each request, as raw text; None: 4 for a base model, none for others.
        temperature: 0: the likeliest output.
    """

    spec: str
    model: LazyModel
    shots: int | None = None
    temperature: float = 0.0

    @classmethod
    def read(cls, spec: str, models: dict[str, LazyModel]) -> Voter:
        """The voter of ``MODEL?shots=4&temperature=0.7``; ``models`` by name are added to, each loaded once.

        Raises:
            InputError: no such option, or a value that it does not take.
        """
        name, options = registry.split_spec("voters", spec)

        def make(name: str, shots: int = -1, temperature: float = 0.0) -> Voter:
            if shots < -1:
                raise InputError("voters", spec, "shots of at least 0")
            if not 0 <= temperature < float("inf"):
                raise InputError("voters", spec, "a temperature of at least 0")
            model = models.setdefault(name, LazyModel(name))
            return cls(spec, model, None if shots < 0 else shots, temperature)

        made: Voter = registry.made(make, [name], options)
        return made

    @property
    def identity(self) -> str:
        """What tells its weights from others."""
        return model_identity(self.model.weights)

    def prompts(self, samples: Sequence[Sample], demos: Demos) -> list[Prompt]:
        """How it is asked for the output of each sample."""
        model = self.model()
        shots = self.shots if self.shots is not None else SHOTS * is_base(model)
        if not shots:
            return [user(each.prompt) for each in samples]
        return [
            instance_prompt(kind_of(each), demos[kind_of(each)][:shots], each.instruction, each.input)
            for each in samples
        ]


def kind_of(sample: Sample) -> Kind:
    """Whether a sample needs its input."""
    return "input" if sample.input else "output"


def is_base(model: LanguageModel) -> bool:
    """Whether a model has no chat template of its own; one that is served is taken to have one."""
    from biddable.models.chat import PLAIN_TEMPLATE

    tokenizer = getattr(model, "tokenizer", None)
    template = getattr(tokenizer, "chat_template", None) or ""
    # What stands in for a template is the plain one, after the token that begins a text.
    return tokenizer is not None and (not template or str(template).endswith(PLAIN_TEMPLATE))


def read_voters(specs: Sequence[str], models: dict[str, LazyModel]) -> list[Voter]:
    """The voters that are named (see ``Voter.read``).

    Raises:
        InputError: none, no such model or option, or one voter twice, which always agrees.
        MissingDependency: the package of one is not installed.
    """
    voters = [Voter.read(spec, models) for spec in specs]
    if not voters:
        raise InputError("voters", list(specs), "at least one model; the paper has two")
    for voter in voters:
        require_model("voters", str(voter.model.weights))
    for first, second in combinations(voters, 2):
        if (first.identity, first.shots, first.temperature) == (
            second.identity,
            second.shots,
            second.temperature,
        ):
            expected = f"voters that differ: {second.spec} twice always agrees with itself (other shots, say)"
            raise InputError("voters", ",".join(specs), expected)
    return voters


def require_model(field: str, name: str) -> None:
    """Refuse a model that is not there before anything is computed; a served one is not asked.

    Raises:
        InputError: no such model.
        MissingDependency: it comes in a package that is not installed.
    """
    if name.startswith(("openai:", "vllm:")):
        return
    if name in PACKAGED:
        try:
            locate(name)
        except MissingDependency:
            instead = f"{PACKAGED[name].install} (or name another model: --{field})"
            raise MissingDependency(f"model {name}", instead) from None
    try:
        require_trainable(name)
    except InputError as error:
        raise InputError(field, name, error.expected) from None


def alike_note(generator: str, voters: Sequence[Voter]) -> list[str]:
    """Says which of generator and voters are one model, whose agreement says less."""
    by_model: dict[str, list[str]] = {model_identity(generator): [f"the generator {generator}"]}
    for voter in voters:
        by_model.setdefault(voter.identity, []).append(f"the voter {voter.spec}")
    return [
        f"{', '.join(names[:-1])} and {names[-1]} are one model, asked in other ways, and so no "
        "heterogeneous mixture: what it gets wrong in the same way counts as agreement."
        for names in by_model.values()
        if len(names) > 1
    ]


@dataclass(frozen=True)
class _AskVoter:
    """Asks a voter a batch of (sample, seed); it can be sent to other processes."""

    voter: Voter
    demos: Demos
    max_tokens: int

    def __call__(self, batch: Sequence[tuple[Sample, int]]) -> list[list[Response]]:
        prompts = self.voter.prompts([sample for sample, _ in batch], self.demos)
        raw = any(isinstance(prompt, str) for prompt in prompts)
        stop = (END, "\n\n", "\ninstruction:") if raw else ()
        ask = Ask(
            self.voter.model,
            Sampling(max_tokens=self.max_tokens, temperature=self.voter.temperature, stop=stop),
        )
        return ask(list(zip(prompts, (seed for _, seed in batch), strict=True)))


def outputs_of(
    run: Run, name: str, voter: Voter, samples: Sequence[Sample], demos: Demos, max_tokens: int
) -> list[str]:
    """A voter's output for each sample, whose own output it does not see; empty where it could not be had.

    One that is cut off ends with its last whole sentence; without any it is empty. Samples that ask for the
    same are asked for once. What failed and what was cut off is remarked.
    """
    distinct = list(dict.fromkeys((each.instruction, each.input) for each in samples))
    items = [(Sample(*each, ""), run.seed(name, *each)) for each in distinct]
    rows = run.map(name, items, _AskVoter(voter, demos, max_tokens), list[Response], BATCH)
    if errors := [row[0].error for row in rows if row[0].error]:
        run.remark(
            f"{voter.spec}: {len(errors)} of {len(rows)} outputs could not be had ({name}): {errors[0]}"
        )
    if cut_off := sum(row[0].finish_reason == "length" for row in rows):
        told = f"{cut_off} of {len(rows)} outputs were cut off at {max_tokens} tokens (--max-tokens)"
        run.remark(f"{voter.spec}: {told} and end with their last whole sentence ({name}).")
    of = {each: whole_text(row[0]) for each, row in zip(distinct, rows, strict=True)}
    return [of[each.instruction, each.input] for each in samples]


def decide(outputs: Iterable[Sequence[str]], threshold: float) -> list[Decision]:
    """The vote on each row of outputs, the generator's first."""
    return [consensus(row, threshold) for row in outputs]


def dropped_for(decision: Decision, outputs: Sequence[str]) -> Drop:
    """Why a vote kept nothing."""
    silent = sum(not text.strip() for text in outputs)
    if silent:
        return Drop("no consensus: a voter said nothing", f"{silent} of {len(outputs)} outputs are empty")
    worst = min(decision.overlaps)
    return Drop("no consensus", f"two outputs have a ROUGE-L of {worst:.2f}")


def by_branch(decisions: Sequence[Decision]) -> dict[str, int]:
    """How many votes ended in which branch."""
    return {branch: sum(each.branch == branch for each in decisions) for branch in BRANCHES}
