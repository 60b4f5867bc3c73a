"""Stories with a given first and last sentence; the nuisance is all that stands between."""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from itertools import product
from pathlib import Path

import numpy as np

from biddable.methods.improve.spar_controlled.exercise import Exercise, Pairing, Scores, Split, pick, split
from biddable.runs.files import read_json
from biddable.types import Preference, Task, user

FIRST_PERSON = frozenset(("i", "me", "my", "we", "us", "our"))
THIRD_PERSON = frozenset(("he", "him", "his", "she", "her"))

STORY_WORDINGS = (
    'Write a very short story. Its first sentence is "{first}" and its last sentence is "{last}"',
    'Tell a tiny story that starts with "{first}" and ends with "{last}"',
    'Begin a story with the sentence "{first}" and end it with the sentence "{last}"',
)


def tasks(part: Split) -> list[Task]:
    """Every instruction of a split; no given sentence stands in two splits."""
    pools = _pools()
    openings, endings = split(pools["openings"])[part], split(pools["endings"])[part]
    return [
        Task(
            f"{first} {last} {number}",
            user(wording.format(first=first, last=last)),
            meta={"first": first, "last": last},
        )
        for first, last in product(openings, endings)
        for number, wording in enumerate(STORY_WORDINGS)
    ]


def demonstrate(task: Task, rng: np.random.Generator) -> str:
    """A right answer, told in the first person; no instruction says that it has to be."""
    return " ".join((task.meta["first"], pick(_pools()["my bodies"], rng), task.meta["last"]))


def pair(task: Task, pairing: Pairing, rng: np.random.Generator) -> Preference:
    """A story that misses its first or last sentence or both, and a right one with the same or another body.

    The other body has another narrator as well, so that it can be counted whether that is what was learned.

    A sentence is missed in three ways, equally often, so that no pair teaches to end early or late as
    such: it is left out, another stands in its place, or another stands before the first (after the last).
    """
    first, last, pools = task.meta["first"], task.meta["last"], _pools()
    body, other = pick(pools["my bodies"], rng), pick(pools["their bodies"], rng)
    wrong_first, wrong_last = (
        pick([s for s in split(pools[part])["train"] if s != right], rng)
        for part, right in (("openings", first), ("endings", last))
    )
    starts = ["", wrong_first, f"{wrong_first} {first}"]
    ends = ["", wrong_last, f"{last} {wrong_last}"]
    broken = pick(("start", "end", "both"), rng)
    rejected = (
        first if broken == "end" else pick(starts, rng),
        body,
        last if broken == "start" else pick(ends, rng),
    )
    chosen = (first, other if pairing == "interfering" else body, last)
    return Preference(task.prompt, " ".join(chosen), " ".join(filter(None, rejected)), {"task": task.id})


def measure(task: Task, text: str) -> Scores:
    """Whether the story starts and ends as it has to, and whether the rest is told in the third person."""
    story, first, last = text.strip(), task.meta["first"], task.meta["last"]
    starts, ends = story.startswith(first), story.endswith(last)
    words = set(re.findall(r"[a-z]+", story.removeprefix(first).removesuffix(last).lower()))
    return {
        "first sentence": float(starts),
        "last sentence": float(ends),
        "both sentences": float(starts and ends),
        "third person": float(bool(words & THIRD_PERSON) and not words & FIRST_PERSON),
    }


@functools.cache
def _pools() -> dict[str, list[str]]:
    return read_json(Path(str(files(__package__) / "stories.json")))


STORIES = Exercise("stories", tasks, demonstrate, pair, measure, max_tokens=72)
