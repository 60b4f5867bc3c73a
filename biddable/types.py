"""The nouns of the library: small frozen dataclasses that everything else passes around.

They hold data and nothing else, so they can be written to JSON or Parquet and read back
without loss (``biddable.runs.codec``). Import them from here; they import nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "error"]
Prediction = Literal["higher", "lower", "equal"]
VerdictOnClaim = Literal["held", "not shown", "contradicted"]
RoleOfComparison = Literal["claim", "control"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


Chat = tuple[Message, ...]
"""A conversation, oldest turn first."""


Prompt = Chat | str
"""What a model answers: a chat, or raw text that it goes on with as it stands."""


def user(text: str) -> Chat:
    """The commonest chat: one user turn."""
    return (Message("user", text),)


@dataclass(frozen=True, slots=True)
class Check:
    """A verifiable constraint: which rule, with which arguments (``length_constraints:number_words``)."""

    id: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """An instruction to follow and how it is checked."""

    id: str
    prompt: Chat
    checks: tuple[Check, ...] = ()
    references: tuple[str, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said. ``logprobs`` are natural logs under the model itself, one per token.

    ``error`` says in one line why there is no answer: the server refused this request, say. The text is
    then empty and ``finish_reason`` is "error".
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish_reason: FinishReason = "stop"
    error: str = ""

    @property
    def logprob(self) -> float:
        """Log-probability of the whole response, in nats."""
        return sum(self.logprobs)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of one check; ``reason`` says in words what was found and what was asked."""

    id: str
    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one response; the same for rules, models, classifiers and reward models.

    Attributes:
        score: how good the response is, higher is better; None where the judge gave no score.
        passed: whether it does what was asked; None where the judge did not decide.
        critique: what is right or wrong with it, in words.
        checks: one entry for each thing that was looked at (a rule, a vote), where they are told apart.
    """

    score: float | None
    passed: bool | None
    critique: str = ""
    checks: tuple[CheckResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Preference:
    """Two responses to one prompt, of which the first is better."""

    prompt: Chat
    chosen: str
    rejected: str
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat to learn from: ``trained`` says of each turn whether it is learned (assistant turns only)."""

    chat: Chat
    trained: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an episode: what was seen, what was done, what it earned."""

    observation: Any
    action: Any
    reward: float


@dataclass(frozen=True, slots=True)
class Episode:
    """An instruction and what a policy did about it."""

    instruction: str
    steps: tuple[Step, ...]
    success: bool
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A method beside its baseline on one metric over the same cases.

    Attributes:
        metric: what is measured.
        baseline, method: the metric's means.
        difference: method minus baseline.
        interval: its 95 % confidence interval.
        n: cases per seed.
        seeds: the seeds.
        predicted: the paper's claim as a sign.
        verdict: what came of the claim; None for a control.
        baseline_name, method_name: what is compared.
        role: "control" where our own construction fixes the outcome, which then claims nothing.
        interval_kind: what the interval is and over what ("t over 5 seeds"); empty where it is not known.
        p_value: two-sided, exact sign flips of the seeds' differences; None below 6 seeds.
    """

    metric: str
    baseline: float
    method: float
    difference: float
    interval: tuple[float, float]
    n: int
    seeds: tuple[int, ...]
    predicted: Prediction
    verdict: VerdictOnClaim | None
    baseline_name: str = "baseline"
    method_name: str = "method"
    role: RoleOfComparison = "claim"
    interval_kind: str = ""
    p_value: float | None = None
