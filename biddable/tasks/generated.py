"""What a model wrote when it was asked for instructions, and for inputs with outputs, as data.

Filters and parsers of Self-Instruct (arXiv 2212.10560) and Ensemble-Instruct (arXiv 2310.13961). What they
drop has its reason (``tasks.steps.Drop``).
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from biddable.tasks.neighbours import by_words
from biddable.tasks.steps import Drop

Kind = Literal["input", "output"]
"""Instructions that need an input (type A of the paper), and those that are whole (type B)."""
KINDS: tuple[Kind, ...] = ("input", "output")

END = "|EoS|"
"""What ends an instruction or an output in the prompts of Ensemble-Instruct."""
FEWEST_WORDS, MOST_WORDS = 4, 150
NEEDS_MORE_THAN_TEXT = (
    *("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps"),
    *("draw", "plot", "go to"),
)
"""Words of instructions that a language model cannot follow."""
LATER_WORDS = 5
"""A later instruction of a raw text has more words, the label among them."""

_BLOCKED = re.compile(rf"\b({'|'.join(NEEDS_MORE_THAN_TEXT)})\b", re.IGNORECASE)
_NUMBERED = re.compile(r"\n\d+\s?\. ")
_CLASS_LABEL = re.compile(r"class label:", re.IGNORECASE)
_EXAMPLE = re.compile(r"^\s*example\s*\d*\.?:?\s*$", re.IGNORECASE | re.MULTILINE)
_LABEL = re.compile(r"^\s*(input|output)\s*:", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """An instruction with an output, and the input that it is about; empty where it needs none."""

    instruction: str
    input: str
    output: str

    @property
    def prompt(self) -> str:
        """What is asked: instruction, and input in the next line."""
        return f"{self.instruction}\n{self.input}" if self.input else self.instruction


# -- instructions ------------------------------------------------------------------------------------------


def split_instructions(raw: str) -> list[str]:
    """The instructions in a list that a model went on with: cut at line feed, number and full stop.

    Blanks are one, marks of the end are taken off, and what says nothing is left out.
    """
    texts = [" ".join(part.replace(END, " ").split()) for part in _NUMBERED.split(raw)]
    return [text for text in texts if text]


def filter_instruction(text: str) -> str | Drop:
    """The instruction, or why it is none that a language model could be taught by."""
    words = len(text.split())
    if words < FEWEST_WORDS:
        return Drop("too short", f"{words} words")
    if words > MOST_WORDS:
        return Drop("too long", f"{words} words")
    if blocked := _BLOCKED.search(text):
        return Drop("asks for more than text", blocked[0])
    if text.startswith("Write a program"):
        return Drop("asks for a program")
    if text[0] in string.punctuation:
        return Drop("begins with punctuation", text[0])
    if not text[0].isascii():
        return Drop("begins with a letter that is not ASCII", text[0])
    return text


def novel(texts: Sequence[str], known: Sequence[str], threshold: float) -> list[str | Drop]:
    """Each text, or which of ``known``, or of those kept before it, it is too near to.

    Near is a ROUGE-L F without stemming above ``threshold``.
    """
    results: list[str | Drop] = []
    pool = list(known)
    for text in texts:
        similar = by_words([text], pool)[0].tolist()
        nearest = max(similar, default=0.0)
        if nearest > threshold:
            results.append(Drop("not new", f"ROUGE-L {nearest:.2f}", pool[similar.index(nearest)]))
        else:
            results.append(text)
            pool.append(text)
    return results


# -- instances ---------------------------------------------------------------------------------------------


def parse_instances(raw: str, instruction: str, kind: Kind, *, later: bool = False) -> list[Sample] | Drop:
    """The samples in what a model wrote after an instruction, by Ensemble-Instruct's rules; or why none.

    The text is cut at blank lines. Its first part answers the instruction: a line of input and a line of
    output, or a line of output alone. What goes on in further lines is left out.

    Args:
        raw: what was written.
        instruction: what it was asked for.
        kind: with an input, or without.
        later: whether instructions that the model itself went on with, with their inputs and outputs, count.
            The published code means to read them and, by an oversight, does not.
    """
    parts = raw.strip().split("\n\n")
    first = _fields(parts[0].splitlines(), ("input", "output") if kind == "input" else ("output",))
    samples: list[Sample] = []
    if isinstance(first, Drop):
        why = first
    else:
        samples.append(Sample(_without_end(instruction), first.get("input", ""), first["output"]))
    if later:
        samples += filter(None, (_later(part.strip().splitlines()) for part in parts[1:]))
    return samples or why


def _later(lines: Sequence[str]) -> Sample | None:
    """A sample of a part that brings its own instruction."""
    labels = (
        ("instruction", "input", "output") if _labelled(lines[1:2], "input") else ("instruction", "output")
    )
    fields = _fields(lines, labels)
    if isinstance(fields, Drop) or len(lines[0].split()) <= LATER_WORDS:
        return None
    return Sample(fields["instruction"], fields.get("input", ""), fields["output"])


def _fields(lines: Sequence[str], labels: Sequence[str]) -> dict[str, str] | Drop:
    """The first lines, each behind its label; or what is wrong with them."""
    if not any(line.strip() for line in lines):
        return Drop("nothing was written")
    fields = {}
    for place, label in enumerate(labels):
        if not _labelled(lines[place : place + 1], label):
            return Drop(f"line {place + 1} is no {label}", lines[place] if place < len(lines) else "")
        fields[label] = _without_end(lines[place].partition(":")[2])
    return fields if fields["output"] else Drop("the output is empty")


def _labelled(lines: Sequence[str], label: str) -> bool:
    return bool(lines) and lines[0].lstrip().lower().startswith(f"{label}:")


def _without_end(text: str) -> str:
    return text.replace(END, "").strip()


# -- Self-Instruct -----------------------------------------------------------------------------------------


def is_classification(raw: str) -> bool:
    """Whether an answer to the question if an instruction is one of choosing among labels begins with yes."""
    return raw.strip().lower().startswith("yes")


def parse_input_first(raw: str, instruction: str, *, cut_off: bool = False) -> list[Sample] | Drop:
    """Samples in what Self-Instruct's input-first prompt is answered with: examples, one after another.

    Each is an input, in one or more lines, and an output; or an output alone. Where the text was ``cut_off``
    the last sample is left out.
    """
    samples: list[Sample] = []
    for part in _EXAMPLE.split(raw):
        marks = list(_LABEL.finditer(part))
        if not part.strip():
            continue
        given = ""
        ends = [*(mark.start() for mark in marks[1:]), len(part)]
        for mark, end in zip(marks, ends, strict=False):
            text = part[mark.end() : end].strip()
            if mark[1].lower() == "input":
                given = text
            else:
                samples.append(Sample(instruction, given, text))
                given = ""
        if not marks:
            samples.append(Sample(instruction, "", part.strip()))
    return _whole(samples, cut_off)


def parse_output_first(raw: str, instruction: str, *, cut_off: bool = False) -> list[Sample] | Drop:
    """Samples in what Self-Instruct's output-first prompt is answered with: a label, then an input for it."""
    samples = []
    for part in _CLASS_LABEL.split(raw)[1:]:
        label, _, given = part.strip().partition("\n")
        given = re.sub(r"^\s*input\s*:", "", given, flags=re.IGNORECASE).strip()
        samples.append(Sample(instruction, given, label.strip()))
    return _whole(samples, cut_off)


def _whole(samples: list[Sample], cut_off: bool) -> list[Sample] | Drop:
    if not samples:
        return Drop("no instance was written")
    if cut_off:
        samples = samples[:-1]
    return samples or Drop("cut off before the end of the first instance")


def post_filter(samples: Sequence[Sample]) -> list[Sample] | Drop:
    """The samples of an instruction that Self-Instruct keeps; or why none."""
    rules: tuple[tuple[str, Callable[[Sample], bool]], ...] = (
        ("the output is empty", lambda each: not each.output),
        ("the output is the input", lambda each: each.input == each.output),
        (
            "input or output ends in a colon",
            lambda each: each.input.endswith(":") or each.output.endswith(":"),
        ),
    )
    kept = []
    why: Drop | None = None
    for each in dict.fromkeys(samples):
        broken = next((name for name, breaks in rules if breaks(each)), "")
        if broken:
            why = why or Drop(broken)
        else:
            kept.append(each)
    outputs: dict[str, str] = {}
    for each in kept:
        if each.input and outputs.setdefault(each.input, each.output) != each.output:
            return Drop("one input has two outputs", each.input)
    return kept or why or Drop("no instance was written")
