"""The conversation in which Instruct-SkillMix has a row written, and what is read from it (arXiv 2408.14774).

Five turns: write a query that needs the skills, with a response; write the response in full; what is good and
bad about it; refine both; write them in full once more. The wording is ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from biddable.errors import FileError
from biddable.runs.files import parse_json, read_bytes
from biddable.tasks.skillmix import JOIN, Mix
from biddable.tasks.steps import Drop

Style = Literal["gpt", "claude"]
"""Whose habits the parser expects: the instruction in turn 4 and the response in turn 5 (gpt), or both in the
last turn that has a response under a heading (claude)."""

PLACEHOLDERS = ("skills", "query_type", "definition")
"""What the first turn has to hold, in braces; ``{k}`` may stand there too."""

FULL = (
    "Your response may have been cut off. Write it again in full, complete to its last sentence and no "
    "longer than it has to be."
)
TURNS = (
    """\
We are making examples from which an assistant learns to be helpful. Each is a request that a person could \
really make, and an excellent response to it. To answer well one must need all of these {k} skills:

{skills}

The request is of this kind: {query_type}. {definition}

Write the request as the person would: concrete, with the details that matter, and not longer than needed. \
Do not name the skills. Then answer it.

An example. Kind: Help-Seeking. Skills: budgeting, writing with warmth.
### Instruction:
My sister turns thirty on Saturday and I have 40 euros left. Plan a small evening for six people and write \
me the invitation.
### Response:
For 40 euros six people can eat well: two large pots of tomato pasta (14), bread and salad (10), a cake \
that you bake (9), and candles (5), with 2 euros to spare.
"Dear all, on Saturday Mira turns thirty, and I would love to have you around our table at seven. Bring \
nothing but a story about her."

Now yours. Use exactly the headings "### Instruction:" and "### Response:".""",
    FULL,
    "Imagine that you are the person who asked. What is good about the response, and what is weak? Is it too "
    "general, too long, does it leave something out?",
    "Refine the instruction and the response: keep what is good, mend what is weak. Use exactly the headings "
    '"### Refined Instruction:" and "### Refined Response:".',
    f'{FULL} Use the heading "### Response:".',
)
"""The five turns of the user's. Of a conversation, the last two are read."""

_HEAD = r"(?:^[ \t]*|#+[ \t]*)(?:#+[ \t]*)?\**[ \t]*(?:(?:refined|revised|improved|final)[ \t]+)?"
_INSTRUCTION = re.compile(_HEAD + r"instruction[ \t]*\**[ \t]*:[ \t]*\**", re.IGNORECASE | re.MULTILINE)
_RESPONSE = re.compile(_HEAD + r"response[ \t]*\**[ \t]*:[ \t]*\**", re.IGNORECASE | re.MULTILINE)
_QUERY = re.compile(_HEAD + r"query[ \t]*\**[ \t]*:[ \t]*\**", re.IGNORECASE | re.MULTILINE)
_HEADED_RESPONSE = re.compile(r"^[ \t]*#+[^\n]*?response[ \t]*\**[ \t]*:?[ \t]*\**", re.I | re.M)
_REFINED = re.compile(r"###[ \t]*Refined\b[ \t]*|###")
_QUOTES = (('"', '"'), ("“", "”"), ("'", "'"), ("«", "»"))


def read_turns(path: str | Path) -> tuple[str, ...]:
    """The turns of a file: a JSON list of five texts, the first with all ``PLACEHOLDERS``.

    Raises:
        FileError: it cannot be read, or is none.
    """
    turns = parse_json(read_bytes(path), path, first_line=1)
    if (
        not isinstance(turns, list)
        or len(turns) != len(TURNS)
        or not all(isinstance(each, str) and each.strip() for each in turns)
    ):
        raise FileError(path, f"expected a JSON list of {len(TURNS)} texts, one for each turn")
    if missing := [name for name in PLACEHOLDERS if f"{{{name}}}" not in turns[0]]:
        raise FileError(path, f"the first text has no {{{missing[0]}}}")
    return tuple(turns)


def first_turn(template: str, mix: Mix) -> str:
    """The first turn of the user's for a mix."""
    values = {
        "k": str(len(mix.skills)),
        "query_type": mix.query_type.name,
        "definition": mix.query_type.definition,
        "skills": JOIN.join(mix.skills),
    }
    # In one pass, so that braces in a skill are no placeholders.
    return re.sub(r"\{(k|query_type|definition|skills)\}", lambda match: values[match[1]], template)


def parse_refinement(said: Sequence[str], style: Style = "gpt") -> tuple[str, str] | Drop:
    """The instruction and the response in what a model said in its five turns, or why there is none."""
    instruction, response = (_gpt if style == "gpt" else _claude)(said)
    instruction = _unquoted(_REFINED.sub("", instruction).strip().strip("*").strip())
    response = response.strip()
    if not instruction and not response:
        return Drop("neither instruction nor response was written")
    if not instruction:
        return Drop("no instruction was written")
    if not response:
        return Drop("no response was written")
    if instruction == response:
        return Drop("instruction and response are the same")
    return instruction, response


def _gpt(said: Sequence[str]) -> tuple[str, str]:
    """The instruction of turn 4, else of 5; the response of turn 5, which may be all of it, else of 4."""
    fourth, fifth = (_QUERY.sub("\n### Instruction: ", text) for text in (said[3], said[4]))
    instruction = _instruction(fourth) or _instruction(fifth)
    response = _after(_RESPONSE, fifth)
    if response is None and not _INSTRUCTION.search(fifth):
        response = fifth
    return instruction, (response or "").strip() or _after(_RESPONSE, fourth) or ""


def _claude(said: Sequence[str]) -> tuple[str, str]:
    """Both of the last of the last three turns that has a response under a heading."""
    for at in range(len(said) - 1, max(-1, len(said) - 4), -1):
        headings = list(_HEADED_RESPONSE.finditer(said[at]))
        if not headings:
            continue
        response = said[at][headings[-1].end() :]
        # A last turn may hold the response alone: then the instruction is that of the turn before.
        texts = [said[at][: headings[-1].start()], *reversed(said[max(0, len(said) - 3) : at])]
        instructions = (_between(mark, text) for text in texts for mark in (_INSTRUCTION, _QUERY))
        return next(filter(None, instructions), ""), response
    return "", ""


def _instruction(text: str) -> str:
    return _between(_INSTRUCTION, text)


def _between(mark: re.Pattern[str], text: str) -> str:
    """What stands after a mark, up to the response."""
    rest = _after(mark, text)
    return "" if rest is None else _RESPONSE.split(rest)[0].strip()


def _after(mark: re.Pattern[str], text: str) -> str | None:
    match = mark.search(text)
    return None if match is None else text[match.end() :]


def _unquoted(text: str) -> str:
    """The text without one pair of quotation marks around all of it."""
    for opening, closing in _QUOTES:
        if len(text) > 1 and text.startswith(opening) and text.endswith(closing):
            return text[1:-1].strip()
    return text
