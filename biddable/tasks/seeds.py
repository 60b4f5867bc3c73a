"""Seed tasks: instructions with an example or more, from which a model makes others of the kind.

Read are Self-Instruct's ``seed_tasks.jsonl`` (Wang et al. 2023, arXiv 2212.10560) and every row that has an
instruction and its output. Those that come with the library were written for it, or are composed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biddable.errors import FileError, InputError
from biddable.tasks.compose.skills import skill_tasks
from biddable.tasks.data import read_prompt_rows, split
from biddable.tasks.formats import UnknownShapeError, conversation_of
from biddable.tasks.generated import Kind, Sample
from biddable.tasks.rows import Row
from biddable.types import Task, last_turn, user

OUTPUTS = ("output", "outputs", "response", "completion", "answer", "target", "references")

COMPOSED_SEEDS = (
    *("first_item", "sorted_list", "person", "kind_of_thing", "fruit_in_list", "sentiment", "opposite"),
    *("sum", "larger", "capital_letters", "plural", "spanish", "continent", "digits_to_words"),
    "past_or_future",
)
"""The composed tasks that are seeds; the others, which have right answers as well, are left to test on."""


HELD_OUT = 0.2
"""The share of seeds that is held out where nothing else is there to measure on."""
FEWEST_TO_DIVIDE = 50
"""Fewer seeds are all used as seeds."""


@dataclass(frozen=True, slots=True)
class SeedTask:
    """An instruction with its examples.

    Attributes:
        id: what it is called in its file.
        instruction: what is asked.
        instances: inputs, which may be empty, each with its output; one or more.
    """

    id: str
    instruction: str
    instances: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> Kind:
        """Whether it needs an input, by its first instance."""
        return "input" if self.instances[0][0] else "output"

    @property
    def sample(self) -> Sample:
        """The first instance."""
        return Sample(self.instruction, *self.instances[0])


def split_seed_tasks(seeds: Iterable[SeedTask]) -> dict[Kind, list[SeedTask]]:
    """The seeds that need an input, and those that do not."""
    of: dict[Kind, list[SeedTask]] = {"input": [], "output": []}
    for seed in seeds:
        of[seed.kind].append(seed)
    return of


def read_seeds(source: str | Path) -> tuple[list[SeedTask], list[str]]:
    """The seeds of a source (see ``tasks.data``), and of each row that is none its place and the reason.

    A row has an instruction, an input or none, and an output; or ``instances`` of these (Self-Instruct's); or
    it is a conversation of one exchange, of which the request is the instruction. Rows of one instruction are
    one seed.

    Raises:
        FileError: the source cannot be read, or a row has none of the shapes that requests have.
    """
    instances: dict[str, dict[tuple[str, str], None]] = {}
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    left_out = []
    for row, _, _ in read_prompt_rows(source):
        try:
            samples = _samples(row)
        except InputError as error:
            left_out.append(f"{row.name}: {error}")
            continue
        for sample in samples:
            other = taken.setdefault(row.name, sample.instruction) != sample.instruction  # of another file
            names.setdefault(sample.instruction, row.where if other else row.name)
            instances.setdefault(sample.instruction, {})[sample.input, sample.output] = None
    seeds = [SeedTask(names[text], text, tuple(of)) for text, of in instances.items()]
    if not seeds:
        raise FileError(source, f"holds no seed: {left_out[0]}")
    return seeds, left_out


def _samples(row: Row) -> list[Sample]:
    """The sample of a row; several, where it has several right outputs."""
    value = row.value if isinstance(row.value, dict) else {}
    if value.get("instruction") is None:
        return [_from_chat(row)]
    name = next((name for name in OUTPUTS if value.get(name) is not None), "output")
    held = value.get(name)
    if held is None and value.get("instances") is not None:
        raise InputError("instances", value["instances"], "at least one, with an output")
    instruction = _text("instruction", value["instruction"])
    given = _text("input", value.get("input") or "", blank=True)
    outputs = held if isinstance(held, list) and held else [held]
    return [Sample(instruction, given, _text(name, output)) for output in outputs]


def _from_chat(row: Row) -> Sample:
    try:
        chat = conversation_of(row).chat
    except UnknownShapeError:
        raise InputError("row", row.value, "an instruction with its output, or a conversation") from None
    if [turn.role for turn in chat] != ["user", "assistant"]:
        roles = ", ".join(turn.role for turn in chat)
        raise InputError("messages", roles, "one turn of the user's and one of the assistant's")
    return Sample(chat[0].content.strip(), "", chat[1].content.strip())


def _text(field: str, text: Any, *, blank: bool = False) -> str:
    if not isinstance(text, str) or not (blank or text.strip()):
        raise InputError(field, text, "a text" if blank else "a text that is not blank")
    return text.strip()


def library_seeds() -> list[SeedTask]:
    """The seeds that come with the library: 27 that need an input, 13 that do not."""
    composed = {task.name: task for task in skill_tasks(2)}
    rows = [(composed[name].definition, composed[name].positive[0]) for name in COMPOSED_SEEDS]
    return [
        *(
            SeedTask(f"input {i}", text, ((given, out),))
            for i, (text, given, out) in enumerate(_WITH_INPUT, 1)
        ),
        *(
            SeedTask(name, text, ((example.input, example.output),))
            for name, (text, example) in zip(COMPOSED_SEEDS, rows, strict=True)
        ),
        *(SeedTask(f"output {i}", text, (("", out),)) for i, (text, out) in enumerate(_WITHOUT, 1)),
    ]


def gold_tasks(seeds: Iterable[SeedTask], *, first: bool) -> list[Task]:
    """Instances of seeds as tasks, the outputs of equal inputs as references; ``first``: the first ones too.

    A task's ``meta`` has its instruction, its input and, as ``group``, the seed.
    """
    tasks = []
    for seed in seeds:
        references: dict[str, list[str]] = {}
        for given, output in seed.instances:
            references.setdefault(given, []).append(output)
        if not first:
            del references[seed.instances[0][0]]
        for number, (given, outputs) in enumerate(references.items(), 1):
            prompt = Sample(seed.instruction, given, "").prompt
            meta = {"group": seed.id, "instruction": seed.instruction, "input": given}
            tasks.append(Task(f"{seed.id}/{number}", user(prompt), references=tuple(outputs), meta=meta))
    return tasks


def library_gold(number: int) -> list[Task]:
    """Instances, at least ``number`` if there are, of the composed tasks that are no seeds."""
    names = {task.name for task in skill_tasks(1)} - {*COMPOSED_SEEDS}
    each = -(-number // len(names))
    left = [task for task in skill_tasks(each) if task.name in names]
    seeds = [
        SeedTask(
            task.name,
            task.definition,
            tuple((str(row.meta["input"]), row.references[0]) for row in task.instances),
        )
        for task in left
    ]
    return gold_tasks(seeds, first=True)


def held_out_tasks(
    seeds: Sequence[SeedTask], number: int, source: str | Path | None = None
) -> tuple[list[SeedTask], list[Task], list[str]]:
    """Seeds to make others from, at most ``number`` tasks to measure on, and what of ``source`` is no seed.

    Measured on is what ``source`` has and no seed shows; else the further inputs of seeds that have several;
    else a fifth of the seeds, which are no seeds then, if there are enough to spare it.
    """
    left, left_out = list(seeds), list[str]()
    if source is not None:
        read, left_out = read_seeds(source)
        shown = {each.sample.prompt for each in seeds}
        rows = [row for row in gold_tasks(read, first=True) if last_turn(row.prompt) not in shown]
    elif not (rows := gold_tasks(seeds, first=False)) and len(seeds) >= FEWEST_TO_DIVIDE:
        left, held = split(left, [each.instruction for each in left], HELD_OUT, seed=0)
        rows = gold_tasks(held, first=True)
    order = np.random.default_rng(len(rows)).permutation(len(rows))[:number]
    return left, [rows[i] for i in sorted(order)], left_out


def one_line(seeds: Sequence[SeedTask], most: int = 300) -> list[Sample]:
    """The first instances that can be shown as solved examples: input and output of a line each, not long."""
    samples = [seed.sample for seed in seeds]
    return [
        each
        for each in samples
        if not any("\n" in text or len(text) > most for text in (each.instruction, each.input, each.output))
    ]


_WITH_INPUT = (
    (
        "Rewrite the sentence so that it sounds more polite.",
        "Send me the report today.",
        "Could you please send me the report today?",
    ),
    (
        "Sum the text up in one short sentence.",
        "The bakery on Mill Road has closed its doors after forty years. Its owners could find nobody who "
        "wanted to take it over.",
        "The bakery on Mill Road closed because nobody would take it over.",
    ),
    (
        "Correct the spelling mistakes in this sentence.",
        "The wether was nice, so we went for a wlak.",
        "The weather was nice, so we went for a walk.",
    ),
    (
        "Write a title for the following news story.",
        "A fox was found asleep in a supermarket on Tuesday. Staff led it out through the back door with a "
        "trail of ham.",
        "Sleeping Fox Found in Supermarket",
    ),
    (
        "Answer the question with the help of the passage.",
        "Passage: The library opens at nine and closes at six, on Saturdays at noon. Question: When does it "
        "close on Saturdays?",
        "At noon.",
    ),
    (
        "Turn the statement into a question.",
        "The train leaves at seven.",
        "When does the train leave?",
    ),
    (
        "List the ingredients that the recipe needs, separated by commas.",
        "Beat two eggs with some sugar, stir in the flour and bake it in butter.",
        "eggs, sugar, flour, butter",
    ),
    (
        "Tell in what mood the writer of this message is.",
        "I have waited an hour and nobody even called me back!",
        "angry",
    ),
    (
        "Suggest a gift for the person who is described.",
        "My uncle loves gardening and drinks a lot of tea.",
        "A pot of herbs for tea that he can grow himself.",
    ),
    (
        "Explain the meaning of the saying in plain words.",
        "The early bird catches the worm.",
        "Those who start early have the better chance of success.",
    ),
    (
        "Continue the story with one more sentence.",
        "Emma opened the old box that she had found in the attic.",
        "Inside lay a bundle of letters, tied together with a red ribbon.",
    ),
    (
        "Give one argument against the opinion.",
        "Everybody should work from home.",
        "Many people learn most from the colleagues who sit next to them.",
    ),
)
_WITHOUT = (
    (
        "Name three things that help against hiccups.",
        "Holding your breath, sipping cold water, a spoon of sugar.",
    ),
    (
        "Explain to a child why the moon changes its shape.",
        "The sun lights only half of the moon, and as the moon travels around us we see more or less of it.",
    ),
    (
        "Give me a tip for sleeping better.",
        "Go to bed at the same time every day and put your phone away before.",
    ),
    (
        "Write two sentences about a rainy day at the sea.",
        "The rain drew rings on the grey water. Nobody was on the beach but a dog and its very wet owner.",
    ),
    ("Suggest a name for a small bookshop.", "The Dog-Eared Page"),
    (
        "Describe how to boil an egg.",
        "Put the egg in boiling water, wait seven minutes, and cool it under the tap.",
    ),
    (
        "What should I ask before I rent a flat?",
        "Ask what the rent includes, how long the notice is, and who pays for repairs.",
    ),
    (
        "Make up a riddle about a clock, with its answer.",
        "It has hands and a face but cannot smile: a clock.",
    ),
    (
        "Compose a short message that invites friends to a picnic.",
        "Hi all, let us meet at the lake on Sunday at noon; bring something to eat and a blanket!",
    ),
    (
        "Which is healthier for a snack, nuts or crisps, and why?",
        "Nuts, because they have good fats and protein and far less salt.",
    ),
    (
        "Tell me a fact about bees that few people know.",
        "Bees tell each other where flowers are by dancing.",
    ),
    ("How can I save water at home?", "Take short showers and turn the tap off while you brush your teeth."),
    ("List four words that rhyme with light.", "night, bright, kite, white"),
)
