"""Instructions and instances that a model makes from seeds, as stages of a run.

``instruct`` and ``instantiate`` are Ensemble-Instruct's two pipelines (arXiv 2310.13961, for instructions
that need an input and for those that do not); ``self_instruct`` is the baseline's one (arXiv 2212.10560). The
prompts are laid out as theirs, in words of our own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from biddable.config import Count, Share, settings
from biddable.models.base import GREEDY, Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.run import Run
from biddable.suites.answers import Ask, answers
from biddable.tasks.generated import (
    END,
    Kind,
    Sample,
    filter_instruction,
    is_classification,
    novel,
    parse_input_first,
    parse_instances,
    parse_output_first,
    post_filter,
    split_instructions,
)
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Prompt, Response, user

Layout = Literal["auto", "none", "chat"]
"""Few-shot requests as raw text (none), as a user's turn (chat), or as a turn where a model is served."""

FAILED = "could not be had"
NOTHING = "nothing was written"

_HEADERS: dict[Kind, str] = {
    "input": "A series of tasks, each of which is to be done with an input:",
    "output": "A series of tasks, each of which can be done without any input:",
}
_SELF_HEADER = "A list of different tasks:"
_GO_ON = "Continue the following text. Write nothing but how it goes on.\n\n"
_EXAMPLES: dict[Kind, str] = {
    "input": "For each instruction, an input for it and the right output.",
    "output": "For each instruction, a good output.",
}
_CLASSIFY = (
    ("Tell whether the review is friendly or hostile.", "Yes"),
    ("Write a short poem about autumn.", "No"),
    ("Sort the words by length.", "No"),
    ("Which of the three topics is the text about: sport, music or money?", "Yes"),
    ("Translate the sentence into Dutch.", "No"),
    ("Is the statement true or false?", "Yes"),
    ("Give me advice for a job interview.", "No"),
    ("Label the e-mail as spam or no spam.", "Yes"),
    ("Sum the article up.", "No"),
    ("Decide if the two sentences mean the same. Reply yes or no.", "Yes"),
    ("What can I cook with rice and eggs?", "No"),
    ("Find the verb in the sentence.", "No"),
    ("How urgent is the message: low, medium or high?", "Yes"),
    ("Explain how a bicycle stays upright.", "No"),
    ("Is the number even or odd?", "Yes"),
    ("Make up a name for a boat.", "No"),
)
_OUTPUT_FIRST = (
    ("Tell whether the review is friendly or hostile.", "friendly", "What a lovely evening!"),
    ("Is the statement true or false?", "false", "A spider has six legs."),
    ("Which of the topics is the text about: sport, music or money?", "music", "The violins were late."),
    ("Label the e-mail as spam or no spam.", "spam", "You have won a car! Click here to get it."),
    ("How urgent is the message: low, medium or high?", "high", "Water is running down the stairs!"),
    ("Is the number even or odd?", "odd", "17"),
    ("Did this happen, or is it still to come? Answer past or future.", "past", "We met Ann in June."),
    ("Say if the animal can fly. Answer yes or no.", "no", "cow"),
    ("In which language is the sentence: English, French or German?", "German", "Ich habe Hunger."),
    ("Who is speaking, a doctor or a teacher?", "doctor", "Take two of these before you go to bed."),
)


_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s|$)|\n|[。！？]")
"""The end of a sentence, or of a line."""


@settings
class GenerateSettings:
    """How a generator is asked, and what of its texts is kept."""

    number: Count = 28
    """New instructions of each kind, after which no more are asked for (the published sample run: 100)."""
    requests: Count = 16
    """Requests in a round, each of which may show what the rounds before gave (published: 5)."""
    rounds: Count = 5
    """Rounds at most, so that a generator that writes nothing new comes to an end."""
    shown_input: Count = 24
    """Instructions that a request shows, of those that need an input."""
    shown_output: Count = 10
    """Instructions that a request shows, of those that do not."""
    machine: Count = 4
    """How many of them are generated ones, at most."""
    threshold: Share = 0.7
    """A new instruction's ROUGE-L with any other is at most this."""
    demos_input: Count = 8
    """Solved examples before an instruction that needs an input (paper: 19)."""
    demos_output: Count = 8
    """Solved examples before one that does not (paper: 15)."""
    later: bool = False
    """Count the instructions that the generator itself goes on with, too."""
    sampling: Sampling = Sampling(max_tokens=48, temperature=0.9, top_p=0.9)
    """How instructions are drawn (paper: 15 to 256 tokens)."""
    instance_sampling: Sampling = Sampling(max_tokens=128, temperature=0.7, top_p=0.9)
    """How inputs and outputs are drawn (paper: 50 to 512 tokens)."""

    def shown(self, kind: Kind) -> int:
        """Instructions that a request shows."""
        return self.shown_input if kind == "input" else self.shown_output

    def demos(self, kind: Kind) -> int:
        """Solved examples that a request shows."""
        return self.demos_input if kind == "input" else self.demos_output


@dataclass(frozen=True, slots=True)
class Written:
    """An instruction that a model wrote, and what it wrote when it was asked for an instance of it."""

    kind: Kind
    instruction: str
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """Lines that a model wrote, and what each step makes of those that the step before kept."""

    rows: dict[str, Written]
    answers: list[Written | Drop]
    filtered: list[Written | Drop]
    new: list[Written | Drop]


def funnel_of(parts: Sequence[Collected]) -> Funnel[Written]:
    """The funnel of several at once."""
    funnel = Funnel({name: row for part in parts for name, row in part.rows.items()})
    funnel.apply("answers", [each for part in parts for each in part.answers])
    funnel.apply("instruction filters", [each for part in parts for each in part.filtered])
    funnel.apply("novelty", [each for part in parts for each in part.new])
    return funnel


@dataclass(frozen=True)
class Generator:
    """A model that continues texts; asked through a chat, it is told to."""

    model: LazyModel
    chat: bool

    @classmethod
    def of(cls, model: LazyModel, layout: Layout) -> Generator:
        """Asked as ``layout`` says."""
        served = str(model.weights).startswith("openai:")
        return cls(model, layout == "chat" or (layout == "auto" and served))

    def ask(self, run: Run, name: str, texts: Sequence[str], sampling: Sampling) -> list[Response]:
        """How each text goes on; a stage of the run. Each has a seed of its own."""
        prompts: list[Prompt] = [user(_GO_ON + text) if self.chat else text for text in texts]
        seeds = [run.seed(name, i) for i in range(len(texts))]
        return [row[0] for row in answers(run, name, Ask(self.model, sampling), prompts, seeds)]


@dataclass(slots=True)
class Tally:
    """What a generator was asked for and wrote: requests and tokens (0 where a server does not tell)."""

    requests: int = 0
    tokens: int = 0

    def add(self, responses: Sequence[Response]) -> None:
        """Count them."""
        self.requests += len(responses)
        self.tokens += sum(len(each.token_ids) for each in responses)


def instruction_prompt(header: str, shown: Sequence[str], mark: str = f" {END}") -> str:
    """A numbered list that goes on with the next number."""
    lines = [f"{n}. {' '.join(text.split()).rstrip(':')}{mark}" for n, text in enumerate(shown, 1)]
    return "\n".join((header, *lines, f"{len(shown) + 1}."))


def instance_prompt(kind: Kind, demos: Sequence[Sample], instruction: str, given: str | None = None) -> str:
    """Solved examples and an instruction; with ``given``, its input too, so that its output is to come."""
    blocks = [_EXAMPLES[kind], *(f"{_block(kind, each)}\n{END}" for each in demos)]
    last = f"instruction: {instruction}\n"
    last += "" if given is None else f"input: {given}\noutput:" if kind == "input" else "output:"
    return "\n\n".join((*blocks, last))


def _block(kind: Kind, each: Sample) -> str:
    given = f"input: {each.input}\n" if kind == "input" else ""
    return f"instruction: {each.instruction}\n{given}output: {each.output}"


def instruct(
    run: Run, generator: Generator, kind: Kind, seeds: Sequence[str], how: GenerateSettings, tally: Tally
) -> Collected:
    """New instructions of a kind, and with their reasons the lines that are none.

    Each request shows instructions of seeds and of what was accepted before; all of them where there are
    fewer than it has room for.
    """

    def prompt(accepted: Sequence[str], number: int) -> str:
        rng = run.rng("instructions", kind, number)
        own = [accepted[i] for i in rng.permutation(len(accepted))[: how.machine]]
        people = [seeds[i] for i in rng.permutation(len(seeds))[: max(1, how.shown(kind) - len(own))]]
        shown = [*own, *people]
        return instruction_prompt(_HEADERS[kind], [shown[i] for i in rng.permutation(len(shown))])

    sampling = replace(how.sampling, stop=(END,))
    return _collected(run, f"{kind}-instructions", generator, prompt, seeds, how, sampling, kind, tally)


def self_instructions(
    run: Run, generator: Generator, seeds: Sequence[str], how: GenerateSettings, tally: Tally
) -> Collected:
    """The same as Self-Instruct has it: eight shown, several written at once, texts cut off left out."""

    def prompt(accepted: Sequence[str], number: int) -> str:
        rng = run.rng("self-instructions", number)
        own = [accepted[i] for i in rng.permutation(len(accepted))[:2]]
        people = [seeds[i] for i in rng.permutation(len(seeds))[: 8 - len(own)]]
        shown = [*own, *people]
        return instruction_prompt(_SELF_HEADER, [shown[i] for i in rng.permutation(len(shown))], "")

    # As many tokens a request as several instructions take; the list is to end at its sixteenth.
    sampling = replace(how.sampling, max_tokens=6 * how.sampling.max_tokens, stop=("\n\n", "\n16"))
    both = replace(how, number=2 * how.number)
    return _collected(run, "self-instructions", generator, prompt, seeds, both, sampling, None, tally)


def _collected(
    run: Run,
    name: str,
    generator: Generator,
    prompt: Callable[[Sequence[str], int], str],
    seeds: Sequence[str],
    how: GenerateSettings,
    sampling: Sampling,
    kind: Kind | None,
    tally: Tally,
) -> Collected:
    """Rounds of requests until there are enough instructions; ``kind`` is None for Self-Instruct's."""
    rows: dict[str, Written] = {}
    had: list[Written | Drop] = []
    filtered: list[Written | Drop] = []
    new: list[Written | Drop] = []
    accepted: list[str] = []
    for number in range(how.rounds):
        if len(accepted) >= how.number:
            break
        first, before = number * how.requests, len(filtered)
        texts = [prompt(accepted, first + i) for i in range(how.requests)]
        responses = generator.ask(run, f"{name}{number}", texts, sampling)
        tally.add(responses)
        for i, response in enumerate(responses, first + 1):
            lines, why = _lines(response, whole=kind is None)
            for j, line in enumerate(lines or [response.text.strip()], 1):
                row = rows[f"{name} {i}.{j}"] = Written(kind or "output", line)
                had.append(why or row)
                filtered += [] if why else [_filtered(row)]
        fresh = [row for row in filtered[before:] if isinstance(row, Written)]
        results = novel([row.instruction for row in fresh], [*seeds, *accepted], how.threshold)
        new += [each if isinstance(each, Drop) else row for row, each in zip(fresh, results, strict=True)]
        accepted += [each for each in results if isinstance(each, str)]
    return Collected(rows, had, filtered, new)


def _lines(response: Response, *, whole: bool) -> tuple[list[str], Drop | None]:
    """The instructions of an answer, or why there are none; ``whole``: by Self-Instruct's rules."""
    if response.error:
        return [], Drop(FAILED, response.error)
    if whole and response.finish_reason == "length":
        return [], Drop("the list is cut off")
    lines = split_instructions(response.text)
    if not lines:
        return [], Drop(NOTHING)
    return [line.capitalize() for line in lines] if whole else lines, None


def _filtered(row: Written) -> Written | Drop:
    result = filter_instruction(row.instruction)
    return result if isinstance(result, Drop) else row


def instantiate(
    run: Run,
    name: str,
    generator: Generator,
    written: Sequence[Written],
    demos: dict[Kind, Sequence[Sample]],
    how: GenerateSettings,
    tally: Tally,
) -> list[tuple[Written, list[Sample] | Drop]]:
    """What the generator writes for each instruction, and the samples in it, or why there is none."""
    texts = [instance_prompt(row.kind, demos[row.kind], row.instruction) for row in written]
    sampling = replace(how.instance_sampling, stop=() if how.later else (END, "\n\n"))
    responses = generator.ask(run, name, texts, sampling)
    tally.add(responses)
    return [
        (replace(row, raw=response.text), _instances(row, response, how.later))
        for row, response in zip(written, responses, strict=True)
    ]


def _instances(row: Written, response: Response, later: bool) -> list[Sample] | Drop:
    if response.error:
        return Drop(FAILED, response.error)
    samples = parse_instances(response.text, row.instruction, row.kind, later=later)
    if isinstance(samples, Drop) or response.finish_reason != "length":
        return samples
    # Only the last output of a text can be cut off.
    if response.text.rstrip().endswith(samples[-1].output):
        samples = samples[:-1]
    return samples or Drop("the output is cut off")


def whole_text(response: Response) -> str:
    """A response; of one that was cut off what ends with a sentence or a line."""
    text = response.text.strip()
    if response.finish_reason != "length":
        return text
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]].strip() if ends else ""


def self_instances(
    run: Run,
    generator: Generator,
    written: Sequence[Written],
    demos: dict[Kind, Sequence[Sample]],
    how: GenerateSettings,
    tally: Tally,
) -> list[tuple[Written, list[Sample] | Drop]]:
    """The same as Self-Instruct has it: is it a classification? Then labels first, otherwise inputs first."""
    asked = [_question(row.instruction) for row in written]
    told = generator.ask(run, "self-classes", asked, replace(GREEDY, max_tokens=4, stop=("\n",)))
    tally.add(told)
    classes = [is_classification(each.text) for each in told]
    before = _self_demos(demos)
    texts = [
        f"{_LABELS_FIRST}Task: {row.instruction}\n" if choosing else f"{before}Task: {row.instruction}\n"
        for row, choosing in zip(written, classes, strict=True)
    ]
    sampling = replace(how.instance_sampling, stop=("Task:", "Example 3"))
    responses = generator.ask(run, "self-instances", texts, sampling)
    tally.add(responses)
    results: list[tuple[Written, list[Sample] | Drop]] = []
    for row, choosing, response in zip(written, classes, responses, strict=True):
        parse = parse_output_first if choosing else parse_input_first
        cut_off = response.finish_reason == "length"
        samples: list[Sample] | Drop = Drop(FAILED, response.error)
        if not response.error:
            samples = parse(response.text, row.instruction, cut_off=cut_off)
        results.append((replace(row, raw=response.text), samples))
    return results


def passes_filters(samples: list[Sample] | Drop) -> list[Sample] | Drop:
    """The samples that Self-Instruct's last filters keep, or why none."""
    return samples if isinstance(samples, Drop) else post_filter(samples)


def _question(instruction: str) -> str:
    blocks = [f"Task: {text}\nIs it a classification? {answer}" for text, answer in _CLASSIFY]
    head = "Is a task a classification, to be answered by one of few labels?"
    return "\n\n".join((head, *blocks, f"Task: {instruction}\nIs it a classification?"))


def _self_demos(demos: dict[Kind, Sequence[Sample]]) -> str:
    """Self-Instruct's input-first prompt, with about as many examples of either kind as it has."""
    blocks = ["Come up with examples for the following tasks."]
    for each in [*demos["input"][:8], *demos["output"][:6]]:
        given = f"Example 1\nInput: {each.input}\n" if each.input else ""
        blocks.append(f"Task: {each.instruction}\n{given}Output: {each.output}")
    return "\n\n".join(blocks) + "\n\n"


_LABELS_FIRST = (
    "Give a label and an input that it is right for, for each of these classifications.\n\n"
    + "".join(
        f"Task: {text}\nClass label: {label}\nInput: {given}\n\n" for text, label, given in _OUTPUT_FIRST
    )
)
