"""IFBench's rules ``format:*``, on the form of a response."""

from __future__ import annotations

import re
import string

from biddable.judges.ifeval.arguments import TEXT, plural
from biddable.judges.ifeval.findings import counted
from biddable.judges.ifeval.ifbench.findings import each, pairs, plain
from biddable.judges.ifeval.ifbench.tokens import MARKS, is_emoji, tokens, trimmed, unmarked
from biddable.judges.ifeval.punkt import sentences
from biddable.judges.ifeval.rule import Finding
from biddable.judges.ifeval.rules import rule
from biddable.judges.ifeval.text import Text

BRACKETS = {")": "(", "]": "[", "}": "{"}
DEPTH_OF_BRACKETS = 5
DEPTH_OF_QUOTES = 3
_LETTERED = re.compile(r"\W*a\W*b\W*c\W*", re.IGNORECASE)
_NOT_AT_THE_END = string.digits + MARKS.replace('"', "")


@rule("format:emoji", "Put an emoji at the end of every sentence.")
def emoji(text: Text) -> Finding:
    """The last character of each sentence but one or the last, or the first of the next, is an emoji.

    Marks are out; the last but one counts because an emoji may be followed by a character that modifies it.
    """
    bare = [unmarked(sentence).strip() for sentence in text.sentences]
    for number, (sentence, following) in enumerate(zip(bare, [*bare[1:], " "], strict=True), start=1):
        if not any(map(is_emoji, sentence[-2:])) and not (sentence and is_emoji(following[:1])):
            return Finding(False, f"There is no emoji at the end of sentence {number}.")
    return Finding(True, "There is an emoji at the end of every sentence.")


@rule("format:line_indent", "Create stairs by indenting each new line more than the one before.")
def line_indent(text: Text) -> Finding:
    """The number of spaces before each line rises; of blank lines in a row, every other one counts."""
    lines = text.raw.split("\n")
    place = 0
    while place < len(lines):  # A line that is taken out lets the one after it pass unseen.
        if not lines[place].strip():
            lines.remove(lines[place])
        place += 1
    return pairs([len(line) - len(line.lstrip(" ")) for line in lines], int.__lt__, "indent", "do not rise")


@rule("format:list", 'Answer with a list of items; instead of bullet points use "{sep}".', sep=TEXT)
def separated_list(text: Text, sep: str) -> Finding:
    """The separator is there at least twice, wherever it stands."""
    return counted(text.raw.count(sep), f'separator "{sep}"', "at least", 2)


@rule("format:newline", "Write each word on a new line.")
def newline(text: Text) -> Finding:
    """There are as many lines that are not empty as words, marks being out."""
    bare = unmarked(text.raw).strip()
    lines = len(list(filter(None, bare.split("\n"))))
    words = len(bare.split())
    return Finding(
        lines == words,
        f"The response has {plural(words, 'word')} on {plural(lines, 'line')}, one each asked for.",
    )


@rule(
    "format:no_bullets_bullets",
    "Write at least two sentences ending in a period, followed by at least two bullet points denoted by *.",
)
def sentences_then_bullets(text: Text) -> Finding:
    """Two sentences or more, then only bullets, two or more; a blank line may stand only before the first."""
    lines = [line.strip() for line in text.raw.split("\n")]
    first = next((place for place, line in enumerate(lines) if line.startswith("*")), len(lines))
    opening = [len(sentences(line)) for line in lines[:first]]
    if not all(opening[:-1]):
        return Finding(False, "A blank line stands among the sentences.")
    if sum(opening) < 2:
        return counted(sum(opening), "sentence before the bullets", "at least", 2)
    if not all(line.startswith("*") for line in lines[first:]):
        return Finding(False, "Something else follows the first bullet.")
    return counted(len(lines) - first, "bullet", "at least", 2)


@rule(
    "format:options",
    "Answer with one of the following options: {options}. Do not give any explanation.",
    options=TEXT,
)
def options(text: Text, options: str) -> Finding:
    """The response is an option, in any case and without marks at its ends; letters a, b, c must be exact."""
    separator = next((mark for mark in ("/", "or") if mark in options), ",")
    allowed = [option.strip() for option in options.split(separator)]
    if _LETTERED.match(options):
        passed = text.raw in allowed
    else:
        passed = trimmed(text.raw).lower() in [trimmed(option).lower() for option in allowed]
    if passed:
        return Finding(True, "The response is one of the options.")
    return Finding(False, f"The response is none of the options {options} and nothing else.")


@rule(
    "format:parentheses",
    "Nest parentheses (and [brackets {{and braces}}]) at least 5 levels deep.",
)
def parentheses(text: Text) -> Finding:
    """Five are open at once and the innermost is closed; one that closes none makes the count start anew."""
    opened: list[str] = []
    deepest = 0
    for character in text.raw:
        if character in "([{":
            opened.append(character)
            deepest = max(deepest, len(opened))
        elif character in BRACKETS:
            if not opened or opened.pop() != BRACKETS[character]:
                opened, deepest = [], 0
            elif deepest >= DEPTH_OF_BRACKETS:
                return Finding(True, f"Brackets are nested {deepest} levels deep.")
    return Finding(False, f"No {DEPTH_OF_BRACKETS} levels of brackets are nested and closed.")


@rule(
    "format:quotes",
    "Include quotes within quotes within quotes, at least 3 levels deep, alternating between double and "
    "single quotes.",
)
def quotes(text: Text) -> Finding:
    """Three plain quotation marks (apostrophes, too) are open at once, and so many are closed again."""
    opened: list[str] = []
    deepest = 0
    for character in text.raw:
        if opened and character == opened[-1]:
            opened.pop()
            if deepest - len(opened) >= DEPTH_OF_QUOTES:
                return Finding(True, f"Quotes are nested {deepest} levels deep.")
        elif character in "\"'":
            opened.append(character)
            deepest = max(deepest, len(opened))
    return Finding(False, f"No {DEPTH_OF_QUOTES} levels of quotes are nested and closed.")


@rule("format:quote_unquote", "Let an unquoted explanation follow every quoted phrase.")
def quote_unquote(text: Text) -> Finding:
    """No two double quotation marks adjoin, blanks aside, and none ends the text, digits and marks aside.

    Curly ones are none.
    """
    joined = "".join(text.raw.replace("'\"'", "").split())
    if '""' in joined:
        return Finding(False, "Two quotation marks follow one another with nothing between.")
    if joined.strip(_NOT_AT_THE_END).endswith('"'):
        return Finding(False, "The response ends with a quotation.")
    return Finding(True, "Something follows every quoted phrase.")


@rule(
    "format:sub-bullets",
    "Include bullet points denoted by * and at least one sub-bullet point denoted by - for each.",
)
def sub_bullets(text: Text) -> Finding:
    """A hyphen stands somewhere after each asterisk and before the next; without asterisks all is well."""
    after = text.raw.split("*")[1:]
    return each([piece.strip() for piece in after], lambda piece: "-" in piece, "part after *", "has no -")


@rule("format:thesis", "Begin each section with a thesis statement in italics, as HTML has them.")
def thesis(text: Text) -> Finding:
    """After the first <i> (else <em>) and before its end is something, and so there is after that end.

    Both tags are taken to be as long as those of <i>: so ``<em></em>`` passes.
    """
    start = _first(text.raw, "<i>", "<em>")
    if start < 0:
        return Finding(False, "The response has no <i> or <em>.")
    rest = text.raw[start:]
    end = _first(rest, "</i>", "</em>")
    if end < 0:
        return Finding(False, "The italics do not end.")
    if not rest[len("<i>") : end].strip():
        return Finding(False, "Nothing is in italics.")
    return Finding(bool(rest[end + len("</i>") :].strip()), "What follows the italics was looked at.")


def _first(text: str, *tags: str) -> int:
    """Where the first tag that there is stands, else -1."""
    return next((place for tag in tags if (place := text.find(tag)) >= 0), -1)


@rule("format:title_case", "Write the entire response in title case.")
def title_case(text: Text) -> Finding:
    """No token, minor words too, is in small letters or has a small first letter before capitals."""
    return each(tokens(text.raw), _titled, "word", "is not in title case")


def _titled(token: str) -> bool:
    first, rest = token[:1], token[1:]
    if not first.isalpha() or not first.islower():
        return True
    return bool(rest) and not rest.islower() and not rest.isupper()


plain(
    "format:no_whitespace",
    "Do not use any whitespace.",
    lambda text: not any(map(str.isspace, text.raw)),
    otherwise="The response has whitespace.",
)
plain(
    "format:output_template",
    "Use this exact template: My Answer: [answer] My Conclusion: [conclusion] Future Outlook: [outlook]",
    lambda text: all(part in text.raw for part in ("My Answer:", "My Conclusion:", "Future Outlook:")),
    otherwise="A part of the template is missing.",
)
