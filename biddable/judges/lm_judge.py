"""A language model as judge and refiner: the prompts, how its answers are read, and the vote.

Source: SPaR (arXiv 2412.11605), section 2 and appendix. The formats and parsing rules are the paper's;
the wording is ours, and short, so that a small model with a small context can be asked. One template
serves search and training alike: a refiner is trained on exactly what it is asked later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from biddable.errors import InputError
from biddable.judges.votes import Label, Vote, vote
from biddable.models.base import LanguageModel, Sampling
from biddable.types import Chat, Message, Response, Task, Verdict, user

JUDGEMENT = "Final Judgement"
START, END = "[[start]]", "[[end]]"

JUDGE_SAMPLING = Sampling(max_tokens=512, temperature=0.7)
"""The paper's, but for the length (2048 there)."""

JUDGE_REQUEST = f"""\
Does the response follow the instruction? Name what it misses, then end with \
"{JUDGEMENT}: Yes" or "{JUDGEMENT}: No".

<instruction>
{{instruction}}
</instruction>

<response>
{{response}}
</response>"""
"""What is the same in all requests comes first, so that it is computed once for all of them."""

REFINE_REQUEST = f"Say what has to change, then repair the response between {START} and {END}."

# What our formats rest on, each with a harmless look-alike. None of these can arise from replacing another.
_LOOKALIKES = {
    JUDGEMENT: JUDGEMENT.lower(),
    START: "[ [start] ]",
    END: "[ [end] ]",
    "</instruction>": "< /instruction>",
    "</response>": "< /response>",
}


def judge_chat(task: Task, response: str) -> Chat:
    """The request to judge ``response``."""
    instruction = _quoted(_plain(task.prompt))
    return user(JUDGE_REQUEST.format(instruction=instruction, response=_quoted(response)))


def refine_chat(task: Task, response: str, critique: str) -> Chat:
    """The request to repair ``response``: the judge's request, its answer, and the third turn."""
    return (
        *judge_chat(task, response),
        Message("assistant", critique),
        Message("user", REFINE_REQUEST),
    )


def parse_judgement(text: str) -> Label:
    """1 for yes, 0 for no, -1 where neither can be read.

    Looked at is what stands between the first "Final Judgement" and the next, if there is one; the
    "Yes" or "No" that comes first there counts. Plain substrings, as in the paper's code: "Not" counts
    as no, and a repeated "(Yes or No)" as yes.
    """
    _, marker, rest = text.partition(JUDGEMENT)
    answer = rest.partition(JUDGEMENT)[0]
    yes, no = answer.find("Yes"), answer.find("No")
    if not marker or yes == no:
        return -1
    return 1 if no < 0 or 0 <= yes < no else 0


def extract_refinement(text: str) -> str | None:
    """The first marked block, without surrounding space; None without a start marker, or of an empty block.

    A missing end marker keeps the rest: the model ran out of tokens or forgot it.
    """
    _, marker, rest = text.partition(START)
    return (rest.partition(END)[0].strip() or None) if marker else None


@dataclass(frozen=True, slots=True)
class Votes:
    """All that was said of one response: critiques and their labels, in the order they were drawn."""

    critiques: tuple[str, ...]
    labels: tuple[Label, ...]

    @property
    def decision(self) -> Vote:
        """What the majority says (see ``vote``)."""
        return vote(self.labels)

    @property
    def critique(self) -> str:
        """The first critique that agrees with the majority; empty on a tie."""
        first = self.decision.first
        return "" if first is None else self.critiques[first]


class LMJudge:
    """Judges by majority of ``votes`` sampled judgements (paper: 5 at temperature 0.7)."""

    def __init__(self, model: LanguageModel, votes: int = 5, sampling: Sampling = JUDGE_SAMPLING):
        if votes < 1:
            raise InputError("votes", votes, "an integer of at least 1")
        if votes > 1 and sampling.temperature == 0:
            raise InputError("temperature", 0, "above 0 with more than one vote, or all votes are the same")
        self.model, self.votes, self.sampling = model, votes, sampling

    def __call__(self, tasks: Sequence[Task], responses: Sequence[Response]) -> list[Verdict]:
        """One verdict each: the score is the share of yes, the reason the first critique that agrees.

        ``passed`` is None on a tie, and so is ``score`` where no vote could be read.
        """
        ballots = self.votes_for(tasks, [response.text for response in responses])
        return [_verdict(ballot) for ballot in ballots]

    def votes_for(
        self, tasks: Sequence[Task], responses: Sequence[str], seeds: Sequence[int] | None = None
    ) -> list[Votes]:
        """All votes on each response, from one call of the model: a response's votes share their prompt."""
        chats = [judge_chat(task, response) for task, response in zip(tasks, responses, strict=True)]
        answers = self.model.generate(chats, n=self.votes, sampling=self.sampling, seeds=seeds)
        return [_votes([answer.text for answer in each]) for each in answers]


def _votes(texts: list[str]) -> Votes:
    return Votes(tuple(texts), tuple(parse_judgement(text) for text in texts))


def _verdict(ballot: Votes) -> Verdict:
    decision = ballot.decision
    if decision.label is None:
        unread = ballot.labels.count(-1)
        return Verdict(
            decision.pass_rate, None, f"undecided: {len(ballot.labels)} votes, {unread} unreadable"
        )
    return Verdict(decision.pass_rate, decision.label == 1, ballot.critique)


def _plain(prompt: Chat) -> str:
    """A single user turn as it is; anything longer with its roles."""
    if len(prompt) == 1:
        return prompt[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in prompt)


def _quoted(text: str) -> str:
    """``text`` as the judge may quote it: without anything that our formats would read as theirs."""
    for reserved, lookalike in _LOOKALIKES.items():
        text = text.replace(reserved, lookalike)
    return text
