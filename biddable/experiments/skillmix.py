"""Rows that a teacher writes for Instruct-SkillMix, as stages of a run, and what they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from biddable.errors import InputError, RunError
from biddable.experiments.skillmix_bank import FAILED, asked, why_none
from biddable.experiments.stages import Weights
from biddable.judges.degenerate import degeneracy
from biddable.judges.pairwise import PairJudge, PairVerdict, judge_pairs, pair_notes, summarize_pairs
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.figures import Cell, Table
from biddable.runs.run import Run
from biddable.suites.answers import Ask, answers
from biddable.tasks.neighbours import duplicates
from biddable.tasks.skillmix import (
    Coverage,
    Example,
    Mix,
)
from biddable.tasks.skillmix_turns import Style, first_turn, parse_refinement
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Chat, Comparison, Message, Task, user

NOT_ASKED = Drop("was not asked for")

# -- rows --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Conversation:
    """What was said so far about a mix: the teacher's turns, and what became of it.

    Attributes:
        said: the teacher's turns.
        result: instruction and response, or why there is none yet.
        passes: how often it was worked on.
        cut_off: whether the last turn ran into the limit of tokens.
    """

    mix: Mix
    said: list[str] = field(default_factory=list)
    result: tuple[str, str] | Drop = NOT_ASKED
    passes: int = 0
    cut_off: bool = False


def converse(
    run: Run,
    model: LazyModel,
    mixes: Sequence[Mix],
    turns: Sequence[str],
    *,
    sampling: Sampling,
    style: Style,
    passes: int,
) -> list[Conversation]:
    """A conversation about each mix, as stages of the run.

    In each pass a conversation goes on from where it is. Where nothing can be read from it its last turn is
    forgotten, and asked for again in the next pass; so is a turn that could not be had. No turn is asked for
    twice in a pass.
    """
    conversations = [Conversation(mix) for mix in mixes]
    for number in range(passes):
        open_ones = [each for each in conversations if isinstance(each.result, Drop)]
        for turn in range(len(turns)):
            ready = [each for each in open_ones if len(each.said) == turn]
            if not ready:
                continue
            chats = [_chat(each, turns[: turn + 1]) for each in ready]
            responses = asked(run, f"pass{number}-turn{turn}", model, chats, sampling)
            for each, response in zip(ready, responses, strict=True):
                if response.error:
                    each.result = Drop(FAILED, f"turn {turn + 1}: {response.error}")
                elif not response.text.strip():
                    each.result = Drop("nothing was written", f"turn {turn + 1}")
                else:
                    each.said.append(response.text)
                    each.cut_off = response.finish_reason == "length"
        for each in open_ones:
            each.passes = number + 1
            if len(each.said) == len(turns):
                each.result = parse_refinement(each.said, style)
                if isinstance(each.result, Drop) and number + 1 < passes:
                    each.said.pop()
    return conversations


def _chat(conversation: Conversation, turns: Sequence[str]) -> Chat:
    """The user's turns so far with the teacher's between them."""
    opening = first_turn(turns[0], conversation.mix)
    chat = [Message("user", opening)]
    for said, turn in zip(conversation.said, turns[1:], strict=True):
        chat += [Message("assistant", said), Message("user", turn)]
    return tuple(chat)


def examples_of(conversations: Sequence[Conversation], generator: str, name: str = "row") -> Funnel[Example]:
    """The rows in conversations, each that there is none of with its reason."""
    funnel = Funnel(
        {
            f"{name} {number}": Example(
                "", "\n\n".join(each.said), each.mix.skills, each.mix.query_type.name, generator
            )
            for number, each in enumerate(conversations, 1)
        }
    )
    funnel.apply(
        "conversation",
        [
            each.result
            if isinstance(each.result, Drop)
            else replace(row, instruction=each.result[0], output=each.result[1])
            for row, each in zip(funnel.rows, conversations, strict=True)
        ],
    )
    finish(funnel)
    return funnel


def finish(funnel: Funnel[Example]) -> None:
    """Drop rows whose responses are none, and those whose instruction was there before."""
    funnel.apply("responses", [_proper(row) for row in funnel.rows])
    texts, ids = [row.instruction for row in funnel.rows], funnel.ids
    near = duplicates(texts, 1.0) if texts else []
    funnel.apply(
        "duplicates",
        [
            row if same is None else Drop("the same instruction", like=ids[same.place])
            for row, same in zip(funnel.rows, near, strict=True)
        ],
    )


def _proper(row: Example) -> Example | Drop:
    fault = degeneracy(row.instruction, row.output)
    return Drop("the response is no answer", fault) if fault else row


# -- what is shown -----------------------------------------------------------------------------------------


def require_examples(funnel: Funnel[Example], teacher: str) -> None:
    """Stop with one line that says why, where no row is left.

    Raises:
        RunError: so it is.
    """
    if not funnel.kept:
        came = funnel.steps[0].came
        raise RunError(f"none of {came} conversations with {teacher} gave a row: {why_none(funnel)}")


def pass_table(conversations: Sequence[Conversation]) -> Table:
    """How many rows each pass gave."""
    done = Counter(each.passes for each in conversations if not isinstance(each.result, Drop))
    last = max((each.passes for each in conversations), default=0)
    rows: list[tuple[Cell, ...]] = [(number, done[number]) for number in range(1, last + 1)]
    return Table("Conversations that a row could be read from, by pass", ("pass", "rows"), tuple(rows))


def coverage_table(of: dict[str, Coverage]) -> Table:
    """What data sets cover."""
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            each.rows,
            f"{each.used} of {each.skills}",
            f"{each.pairs} of {each.possible}",
            None if each.similarity is None else round(each.similarity, 3),
            round(each.instruction_words, 1),
            round(each.output_words, 1),
        )
        for name, each in of.items()
    ]
    columns = ("rows of", "rows", "skills", "pairs of skills", "ROUGE-L of two instructions")
    lengths = ("words of an instruction", "words of a response")
    note = "ROUGE-L: the mean of all pairs of instructions (of at most 300); lower is more diverse."
    return Table("What the rows cover", (*columns, *lengths), tuple(rows), note)


def coverage_numbers(of: Coverage) -> dict[str, Any]:
    """The same for ``results.json``."""
    return {**asdict(of), "share": of.share}


def judged(
    run: Run,
    judge: PairJudge,
    rows: Sequence[Example],
    models: Mapping[str, Weights],
    max_tokens: int,
    notes: list[str],
) -> list[Comparison]:
    """How often the second model's greedy answers to rows are better than the first's, by a judge.

    Args:
        run: where answers and verdicts are kept.
        judge: of pairs.
        rows: whose instructions are asked.
        models: two, by name.
        max_tokens: the longest answer.
        notes: what was left out, and what cannot be compared, is added.
    """
    tasks = [Task(f"held-out {number}", user(row.instruction)) for number, row in enumerate(rows, 1)]
    greedy = Sampling(max_tokens=max_tokens, temperature=0.0)
    said = []
    for name, weights in models.items():
        ask = Ask(LazyModel(weights), greedy)
        said.append([row[0] for row in answers(run, f"{name}-on-held-out", ask, [t.prompt for t in tasks])])
    theirs, ours = said
    verdicts = run.stage("judged", lambda: judge_pairs(judge, tasks, ours, theirs), list[PairVerdict])
    base, student = models
    made: list[Comparison] = []
    try:
        summary = summarize_pairs(verdicts, ours, theirs)
        notes += pair_notes(summary, ours, theirs)
        rate = summary.win_rate
        names: dict[str, Any] = {"baseline_name": base, "method_name": student, "seeds": [run.first_seed]}
        made.append(rate.comparison(**names))
        made.append(rate.comparison(controlled=True, **names))
    except InputError as error:
        notes.append(f"Not compared{' at equal lengths' if made else ''}: {error}.")
    return made
