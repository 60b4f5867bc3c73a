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
RoleOfComparison = Literal["claim", "control", "question"]


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


def as_chat(prompt: Prompt) -> Chat:
    """A prompt as a chat; raw text is one user turn."""
    return user(prompt) if isinstance(prompt, str) else prompt


def exchange(prompt: Prompt, response: str) -> Chat:
    """The chat of a prompt and the response to it."""
    return (*as_chat(prompt), Message("assistant", response))


def last_turn(prompt: Prompt) -> str:
    """What is asked: the text of a chat's last turn, or the raw text."""
    return as_chat(prompt)[-1].content


@dataclass(frozen=True, slots=True)
class Check:
    """A verifiable constraint: which rule, with which arguments (``length_constraints:number_words``)."""

    id: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """An instruction to follow and how it is checked.

    Attributes:
        id: tells it from the others of its suite.
        prompt: what is asked.
        checks: verifiable constraints on the response.
        references: responses that are right; where there are ``choices``, those of them that are.
        meta: what else is known. ``group`` names what it is reported under (a subject, a category),
            ``source`` what it shares with tasks that it is not independent of (a document, a passage).
        choices: texts to choose among; empty where the response is free.
    """

    id: str
    prompt: Prompt
    checks: tuple[Check, ...] = ()
    references: tuple[str, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)
    choices: tuple[str, ...] = ()


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
class Record:
    """One task of a suite as one model answered it.

    Attributes:
        task: what was asked, without the solved examples before it.
        responses: what the model said, once for each sample; of a task with choices, the chosen one.
        verdicts: what the judge says of each response.
        scores: of each choice its log-probability in nats; of a text to be predicted, its own.
        priors: the same of each choice after a prompt without content, where the suite has one.
        metrics: a number for each of the suite's metrics.
        weights: what a metric's number weighs in the mean, where that is not 1.
        groups: what else its headline counts in, each with a number: a subject, a kind of rule.
        shots: how many solved examples came before the task.
        prompt_tokens: what the model read; 0 where it does not say.
    """

    task: Task
    responses: tuple[Response, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    scores: tuple[float, ...] = ()
    priors: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    groups: tuple[tuple[str, float], ...] = ()
    shots: int = 0
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Preference:
    """Two responses to one prompt, of which the first is better."""

    prompt: Prompt
    chosen: str
    rejected: str
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat to learn from: ``trained`` says of each turn whether it is learned (assistant turns only)."""

    chat: Chat
    trained: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """An instruction, and what was seen and done about it: T actions between T + 1 observations.

    It stands in columns, as the field's files do: an array of all steps is read, cut and batched at once.

    Attributes:
        instruction: what was to be done; one that changes on the way is a part of the observations.
        observations: name of each part of an observation -> its T + 1 values: an array [T + 1, ...], or a
            tuple where they are no numbers of one shape (texts, the elements of a page).
        actions: the T actions: an array [T, ...], or a tuple.
        rewards: [T].
        success: whether the instruction was followed; None where nobody says.
        terminated: whether the last step ended the task, so that nothing could follow.
        truncated: whether the episode was cut off there (by a time limit, say), so that more could follow.
        meta: what else is known: ``seed``, ``task``, ``source`` (what it shares with others that it is not
            independent of).
    """

    instruction: str
    observations: dict[str, Any]
    actions: Any
    rewards: Any
    success: bool | None = None
    terminated: bool = False
    truncated: bool = False
    meta: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """T, the number of actions."""
        return len(self.actions)

    def observation(self, t: int) -> dict[str, Any]:
        """What a policy sees before action ``t``, or at the end with t = T: all parts and the instruction."""
        seen = {name: values[t] for name, values in self.observations.items()}
        return {"instruction": self.instruction, **seen}


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
        verdict: what came of the claim; None where nothing is claimed.
        baseline_name, method_name: what is compared.
        role: "control" where our own construction fixes the outcome, "question" where nobody predicts it;
            both claim nothing.
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
