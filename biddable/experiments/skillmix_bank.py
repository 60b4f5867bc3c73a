"""Skills and kinds of requests that a teacher names for Instruct-SkillMix, as stages of a run.

The paper's prompts for this are not published; these are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from biddable.errors import RunError
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.files import write_atomic
from biddable.runs.run import Run
from biddable.suites.answers import Ask
from biddable.tasks.data import read_prompt_rows
from biddable.tasks.neighbours import duplicates
from biddable.tasks.skillmix import QueryType, SkillBank, parse_list, parse_query_types
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Chat, Response, last_turn, user

FAILED = "could not be had"
BATCH = 32
"""Requests between two entries of the journal: what an interruption can lose."""
MOST_WORDS = 8
"""A skill has at most so many words; what has more is a sentence about it."""
SAME_SKILL = 0.75
"""Two skills with that ROUGE-L or more are one."""

TOPICS = (
    "List {number} different topics that people ask an assistant about: everyday life, work, study, writing, "
    "feelings, technology and so on. A short name in each line, numbered, and nothing else."
)
SKILLS = (
    'Which skills does an assistant need to answer requests about "{topic}" very well? List {number}. A '
    "short name without commas in each line, numbered, and nothing else."
)
SKILLS_OF = (
    "Here is a request that a person made:\n\n<request>\n{instruction}\n</request>\n\nWhich skills does it "
    "take to answer it very well? List up to {number}. A short name without commas in each line, numbered, "
    "and nothing else. Do not answer the request."
)
QUERIES = (
    "Which kinds of requests do people make of an assistant? Name {number} kinds, each with a definition of "
    "one sentence. Separate them by lines with ### and write each as * name * definition. For example:\n"
    "* Information-Seeking * The person wants to know a fact or to understand something.\n###\n"
    "* Help-Seeking * The person has a problem and wants to be helped with it."
)

LIBRARY_SKILLS = (
    *("explaining step by step", "comparing options", "giving an example", "estimating numbers"),
    *("writing with empathy", "summarizing", "persuading", "planning under constraints"),
    *("spotting mistakes", "using humour", "weighing risks", "simplifying for beginners"),
)
"""Skills to show the conversation with, where a run is given none."""
LIBRARY_QUERIES = (
    QueryType("Information-Seeking", "The person wants to know a fact or to understand how something works."),
    QueryType("Help-Seeking", "The person has a problem and wants to be helped with it, step by step."),
    QueryType("Writing", "The person wants a text for a certain reader and purpose."),
    QueryType("Advice-Seeking", "The person has to decide and wants advice that fits the circumstances."),
    QueryType("Planning", "The person wants a plan with times, amounts or an order of steps."),
    QueryType("Reviewing", "The person shows a short text or plan and wants it judged and made better."),
    QueryType("Brainstorming", "The person wants several ideas that differ from each other."),
    QueryType("Role-Playing", "The person wants the assistant to speak as somebody in a certain situation."),
)
"""Kinds of requests, where a run is given none."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """Skills that a teacher named, of how many requests, and what was left out, with reasons."""

    skills: list[str]
    funnel: Funnel[str]
    notes: list[str]


def extract_skills(
    run: Run, model: LazyModel, topics: int, per_topic: int, most: int, sampling: Sampling
) -> Extracted:
    """Skills by topics that the model lists (variant SDA).

    Raises:
        RunError: it lists no topic, or no skill.
    """
    answer = asked(run, "topics", model, [user(TOPICS.format(number=topics))], sampling)[0]
    named = list(dict.fromkeys(parse_list(answer.text)))[:topics]
    if not named:
        raise RunError(f"the teacher listed no topic: {answer.error or 'nothing was written'}")
    chats = [user(SKILLS.replace("{topic}", topic).replace("{number}", str(per_topic))) for topic in named]
    notes = [f"{len(named)} of {topics} topics were listed."] if len(named) < topics else []
    made = _skills(asked(run, "topic-skills", model, chats, sampling), "topic", per_topic, most)
    return replace(made, notes=notes)


def skills_of_data(
    run: Run,
    model: LazyModel,
    source: Path,
    requests: int,
    per_row: int,
    most: int,
    sampling: Sampling,
) -> Extracted:
    """Skills that the model names for requests of a data set (variant SDD), alike ones merged.

    Raises:
        FileError: the data cannot be read.
        RunError: it names no skill.
    """
    texts = list(dict.fromkeys(last_turn(prompt) for _, prompt, _ in read_prompt_rows(source)))
    drawn = sorted(run.rng("requests").permutation(len(texts))[:requests])
    chosen = [texts[place] for place in drawn]
    chats = [
        user(SKILLS_OF.replace("{number}", str(per_row)).replace("{instruction}", text)) for text in chosen
    ]
    made = _skills(asked(run, "data-skills", model, chats, sampling), "request", per_row, most)
    shown = f"Skills were named for {len(chosen)} of {len(texts)} different requests (--requests)."
    return replace(made, notes=[shown] if len(chosen) < len(texts) else [])


def _skills(responses: Sequence[Response], what: str, each: int, most: int) -> Extracted:
    """The skills in lists that a model wrote, those of most lists first, without what is none."""
    items: dict[str, str] = {}
    for number, response in enumerate(responses, 1):
        listed = parse_list(response.text)[:each] if not response.error else []
        items |= {f"{what} {number}, skill {place}": text for place, text in enumerate(listed, 1)} or {
            f"{what} {number}": ""
        }
    funnel = Funnel(items)
    why = {f"{what} {n}": response.error for n, response in enumerate(responses, 1)}
    funnel.apply("lists", [text or _no_list(why[name]) for name, text in funnel.kept.items()])
    funnel.apply("names", [_named(text) for text in funnel.rows])
    # Those that are named most often come first, so that it is they that alike ones are merged into.
    often = Counter(text.casefold() for text in funnel.rows)
    order = sorted(funnel.ids, key=lambda name: -often[funnel.kept[name].casefold()])
    texts = [funnel.kept[name] for name in order]
    near = dict(zip(order, duplicates(texts, SAME_SKILL) if texts else [], strict=True))
    results: list[str | Drop] = []
    for name, text in funnel.kept.items():
        same = near[name]
        results.append(text if same is None else Drop("named before", like=order[same.place]))
    funnel.apply("merging", results)
    kept = [name for name in order if name in funnel.kept][:most]
    funnel.select("number", kept, "more than were asked for")
    if not funnel.kept:
        raise RunError(
            f"the teacher named no skill for {len(responses)} {what}s; dropped: {why_none(funnel)}"
        )
    return Extracted(funnel.rows, funnel, [])


def _no_list(error: str) -> Drop:
    return Drop(FAILED, error) if error else Drop("no skill was listed")


def _named(text: str) -> str | Drop:
    """The name of a skill, or why it is none; what stands behind a colon or a dash explains it."""
    name = text.partition(":")[0].partition(" - ")[0].strip()
    if not any(letter.isalpha() for letter in name):
        return Drop("has no letter", text)
    if "," in name:
        return Drop("holds a comma", text)
    number = len(name.split())
    return Drop("longer than a name", f"{number} words") if number > MOST_WORDS else " ".join(name.split())


def extract_query_types(
    run: Run, model: LazyModel, number: int, sampling: Sampling
) -> tuple[list[QueryType], list[str]]:
    """Kinds of requests that the model lists, the library's where none can be read; and notes."""
    answer = asked(run, "query-types", model, [user(QUERIES.format(number=number))], sampling)[0]
    types, left_out = parse_query_types(answer.text, "the teacher's queries")
    if not types:
        why = answer.error or (left_out[0] if left_out else "nothing was written")
        return [*LIBRARY_QUERIES], [f"The teacher listed no query type, so the library's are used: {why}"]
    return types[:number], [f"Left out: {each}" for each in left_out]


def asked(run: Run, name: str, model: LazyModel, chats: Sequence[Chat], sampling: Sampling) -> list[Response]:
    """A response to each chat, each asked for once; one that could not be had says why (``error``)."""
    items = [(chat, run.seed(name, place)) for place, chat in enumerate(chats)]
    rows = run.map(name, items, Ask(model, sampling), list[Response], BATCH)
    return [row[0] for row in rows]


def why_none(funnel: Funnel[Any]) -> str:
    """The reasons for all that was dropped, with how often each was."""
    reasons = Counter[str]()
    for step in funnel.steps:
        reasons.update(step.reasons)
    return ", ".join(f"{reason} ({number})" for reason, number in reasons.most_common())


def write_bank(skills: Path, queries: Path, bank: SkillBank) -> None:
    """Leave skills and kinds of requests as files that a run reads."""
    write_atomic(skills, "".join(f"{skill}\n" for skill in bank.skills))
    entries = (f"* {each.name} * {each.definition}\n" for each in bank.query_types)
    write_atomic(queries, "###\n".join(entries))
