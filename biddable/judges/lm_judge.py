"""A language model as judge and refiner: the prompts, how its answers are read, and the vote.

Source: SPaR (arXiv 2412.11605), section 2 and appendix. The formats and parsing rules are the paper's;
the wording is ours, and short, so that a small model with a small context can be asked. One template
serves search and training alike: a refiner is trained on exactly what it is asked later.
"""

from __future__ import annotations

from collections.abc import Sequence

from biddable.errors import InputError
from biddable.judges.base import require_equal_lengths
from biddable.models.base import LanguageModel, Sampling
from biddable.types import Chat, CheckResult, Message, Response, Task, Verdict, as_chat, user

JUDGEMENT = "Final Judgement"
START, END = "[[start]]", "[[end]]"

VOTE = "vote"
"""The name of a vote among a verdict's checks."""

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
    instruction = _quoted(_plain(as_chat(task.prompt)))
    return user(JUDGE_REQUEST.format(instruction=instruction, response=_quoted(response)))


def refine_chat(task: Task, response: str, critique: str) -> Chat:
    """The request to repair ``response``: the judge's request, its answer, and the third turn."""
    return (
        *judge_chat(task, response),
        Message("assistant", critique),
        Message("user", REFINE_REQUEST),
    )


def parse_judgement(text: str) -> bool | None:
    """True for yes, False for no, None where neither can be read.

    Looked at is what stands between the first "Final Judgement" and the next, if there is one; the
    "Yes" or "No" that comes first there counts. Plain substrings, as in the paper's code: "Not" counts
    as no, and a repeated "(Yes or No)" as yes.
    """
    _, marker, rest = text.partition(JUDGEMENT)
    answer = rest.partition(JUDGEMENT)[0]
    yes, no = answer.find("Yes"), answer.find("No")
    if not marker or yes == no:
        return None
    return no < 0 or 0 <= yes < no


def extract_refinement(text: str) -> str | None:
    """The first marked block, without surrounding space; None without a start marker, or of an empty block.

    A missing end marker keeps the rest: the model ran out of tokens or forgot it.
    """
    _, marker, rest = text.partition(START)
    return (rest.partition(END)[0].strip() or None) if marker else None


class LMJudge:
    """Judges by the majority of ``votes`` sampled judgements (paper: 5 at temperature 0.7).

    Args:
        model: the model that judges.
        votes: judgements of each response.
        sampling: how they are drawn.

    Raises:
        InputError: no votes, or several at temperature 0, which would all be the same.
    """

    def __init__(self, model: LanguageModel, votes: int = 5, sampling: Sampling = JUDGE_SAMPLING):
        if votes < 1:
            raise InputError("votes", votes, "an integer of at least 1")
        if votes > 1 and sampling.temperature == 0:
            raise InputError("temperature", 0, "above 0 with more than one vote, or all votes are the same")
        self.model, self.votes, self.sampling = model, votes, sampling

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """One verdict each (see ``verdict_of_votes``), all votes from one call of the model.

        Raises:
            InputError: not one response, or not one seed, for each task.
        """
        require_equal_lengths(tasks, responses, seeds)
        if not tasks:
            return []
        chats = [judge_chat(task, response.text) for task, response in zip(tasks, responses, strict=True)]
        samples = self.model.generate(chats, n=self.votes, sampling=self.sampling, seeds=seeds)
        return [verdict_of_votes([vote.text for vote in votes]) for votes in samples]


def verdict_of_votes(critiques: Sequence[str]) -> Verdict:
    """Settle several judgements of one response by majority (SPaR, section 2.3 and appendix).

    Args:
        critiques: the judge's texts in the order they were drawn. One that cannot be read is no vote.

    Returns:
        ``score`` is the share of yes among the votes, None without any. ``passed`` is what the majority says,
        None on a tie, which says nothing and is not settled by a coin. ``critique`` is the first that agrees
        with the majority (the official script takes the last where it makes targets for the refiner), empty
        without one. ``checks`` holds each vote.
    """
    labels = [(parse_judgement(critique), critique) for critique in critiques]
    votes = tuple(CheckResult(VOTE, label, critique) for label, critique in labels if label is not None)
    if not votes:
        return Verdict(None, None)
    yes = sum(vote.passed for vote in votes)
    score, passed = yes / len(votes), 2 * yes > len(votes)
    if 2 * yes == len(votes):
        return Verdict(score, None, checks=votes)
    return Verdict(score, passed, next(vote.reason for vote in votes if vote.passed == passed), votes)


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
