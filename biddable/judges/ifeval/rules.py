"""The 25 rules of IFEval (arXiv 2311.07911), as the official checkers decide them, defects included.

Published scores contain the defects, so they stay; :mod:`.repaired` holds variants without them. The ones
that matter: keywords are regular expressions found anywhere, so "art" is found in "party"; a blank piece
between paragraphs shifts which one counts as the nth; a ``---`` rule is a bullet; text in which no language
can be detected counts as being in the right one, and a short text may be taken for the wrong one. A
postscript may stand anywhere, and a highlight may reach from a bullet's asterisk to the next one in its line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from biddable.judges.ifeval.arguments import (
    COUNT,
    LANGUAGE,
    LETTER,
    ORDINAL,
    RELATION,
    TEXT,
    pattern,
    patterns,
    plural,
    quoted,
)
from biddable.judges.ifeval.findings import (
    all_there,
    compared,
    counted,
    in_english,
    language_finding,
    language_name,
    none_there,
    paragraph_starts,
    times,
    within_time,
)
from biddable.judges.ifeval.language import meant
from biddable.judges.ifeval.rule import Arg, Finding, Rule, register
from biddable.judges.ifeval.text import Text
from biddable.judges.patterns import Pattern
from biddable.judges.patterns import pattern as searched

CONSTRAINED_RESPONSES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")

Check = Callable[..., Finding]


def rule(
    id: str,
    description: str,
    *,
    at_most: dict[str, str] | None = None,
    needs: Callable[[], str] = str,
    **args: Arg,
) -> Callable[[Check], Check]:
    """Register the decorated function as a rule."""

    def registered(check: Check) -> Check:
        register(Rule(id, description, check, args, at_most or {}, needs))
        return check

    return registered


def _anywhere(keyword: str) -> Pattern:
    return searched(keyword, flags=re.IGNORECASE)


def _stripped_anywhere(keyword: str) -> Pattern:
    return _anywhere(keyword.strip())


def _whole_word(word: str) -> Pattern:
    return searched(word, r"\b{}\b", re.IGNORECASE)


@rule("keywords:existence", "Use each of these keywords: {keywords}.", keywords=patterns(_anywhere))
@within_time
def existence(text: Text, keywords: Sequence[str]) -> Finding:
    """Each keyword, a case-insensitive regular expression, is found somewhere."""
    return all_there(keywords, [word for word in keywords if not _anywhere(word).found_in(text.raw)])


@rule(
    "keywords:frequency",
    'Use the word "{keyword}" {relation} {frequency:time}.',
    keyword=pattern(_stripped_anywhere),
    frequency=COUNT,
    relation=RELATION,
)
@within_time
def frequency(text: Text, keyword: str, frequency: int, relation: str) -> Finding:
    """How many non-overlapping, case-insensitive matches the keyword has."""
    count = _stripped_anywhere(keyword).count_in(text.raw)
    return times(count, keyword.strip(), relation, frequency)


@rule(
    "keywords:forbidden_words",
    "Do not use any of these words: {forbidden_words}.",
    forbidden_words=patterns(_whole_word),
)
@within_time
def forbidden_words(text: Text, forbidden_words: Sequence[str]) -> Finding:
    """No word is found between word boundaries, in any case."""
    return none_there([word for word in forbidden_words if _whole_word(word).found_in(text.raw)])


@rule(
    "keywords:letter_frequency",
    'Let the letter "{letter}" appear {let_relation} {let_frequency:time}.',
    letter=LETTER,
    let_frequency=COUNT,
    let_relation=RELATION,
)
def letter_frequency(text: Text, letter: str, let_frequency: int, let_relation: str) -> Finding:
    """How often the character occurs in either case."""
    return times(text.lower.count(letter.lower()), letter, let_relation, let_frequency)


@rule(
    "language:response_language",
    "Write the whole response in {language} and in no other language.",
    language=LANGUAGE,
)
def response_language(text: Text, language: str) -> Finding:
    """langdetect gives this language, or can tell none."""
    language_code = text.language
    if language_code is None:
        return Finding(True, "The response has no letters to tell a language by, which counts as followed.")
    return language_finding(language_code in meant(language), language_name(language_code), language)


@rule(
    "length_constraints:number_sentences",
    "Write {relation} {num_sentences:sentence}.",
    num_sentences=COUNT,
    relation=RELATION,
)
def number_sentences(text: Text, num_sentences: int, relation: str) -> Finding:
    """How many sentences Punkt finds."""
    return counted(len(text.sentences), "sentence", relation, num_sentences)


@rule(
    "length_constraints:number_paragraphs",
    "Write exactly {num_paragraphs:paragraph}, separated by the markdown divider ***.",
    num_paragraphs=COUNT,
)
def number_paragraphs(text: Text, num_paragraphs: int) -> Finding:
    """How many pieces ``***`` divides the text into; only the first and last may be blank."""
    pieces = re.split(r"\s?\*\*\*\s?", text.raw)
    if any(not piece.strip() for piece in pieces[1:-1]):
        return Finding(False, "There is an empty paragraph between two dividers ***.")
    return counted(sum(1 for piece in pieces if piece.strip()), "paragraph", "exactly", num_paragraphs)


@rule(
    "length_constraints:number_words",
    "Write {relation} {num_words:word}.",
    num_words=COUNT,
    relation=RELATION,
)
def number_words(text: Text, num_words: int, relation: str) -> Finding:
    r"""How many ``\w+`` tokens there are."""
    return counted(text.words, "word", relation, num_words)


@rule(
    "length_constraints:nth_paragraph_first_word",
    "Write exactly {num_paragraphs:paragraph}, separated by blank lines; paragraph {nth_paragraph} must "
    'start with the word "{first_word}".',
    at_most={"nth_paragraph": "num_paragraphs"},
    num_paragraphs=COUNT,
    nth_paragraph=ORDINAL,
    first_word=TEXT,
)
def nth_paragraph_first_word(text: Text, num_paragraphs: int, nth_paragraph: int, first_word: str) -> Finding:
    """How many pieces that are not blank lie between two newlines, and how the nth (blank or not) starts."""
    return paragraph_starts(text.raw.split("\n\n"), num_paragraphs, nth_paragraph, first_word)


@rule(
    "detectable_content:number_placeholders",
    "Leave at least {num_placeholders:placeholder} in square brackets, such as [address].",
    num_placeholders=COUNT,
)
def number_placeholders(text: Text, num_placeholders: int) -> Finding:
    """How many one-line spans in square brackets there are, empty ones included."""
    count = sum(map(_placeholders, text.raw.split("\n")))
    return counted(count, "placeholder", "at least", num_placeholders)


def _placeholders(line: str) -> int:
    r"""The matches of ``\[.*?\]``, in one pass however many brackets there are."""
    count, at = 0, line.find("[")
    while at >= 0 and (end := line.find("]", at)) >= 0:
        count, at = count + 1, line.find("[", end)
    return count


# How the two markers of the benchmark are looked for; any other is a regular expression itself.
_POSTSCRIPTS = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}


def _in_lower_case(marker: str) -> Pattern:
    marker = marker.strip()
    return searched("", _POSTSCRIPTS[marker]) if marker in _POSTSCRIPTS else searched(marker.lower())


@rule(
    "detectable_content:postscript",
    "Add a postscript at the end that starts with {postscript_marker}",
    postscript_marker=pattern(_in_lower_case),
)
@within_time
def postscript(text: Text, postscript_marker: str) -> Finding:
    """The marker is found anywhere, in any case, the usual two with blanks between their letters or not."""
    marker = postscript_marker.strip()
    if _in_lower_case(postscript_marker).found_in(text.lower):
        return Finding(True, f'The response has a postscript marked "{marker}".')
    return Finding(False, f'The response has no postscript marked "{marker}".')


@rule(
    "detectable_format:number_bullet_lists",
    "Give exactly {num_bullets:bullet point}, each on a line of its own that starts with an asterisk, "
    "* like this.",
    num_bullets=COUNT,
)
def number_bullet_lists(text: Text, num_bullets: int) -> Finding:
    """How many lines start with one asterisk or with a dash."""
    starred = re.findall(r"^[^\S\n]*\*[^*].*$", text.raw, re.MULTILINE)
    dashed = re.findall(r"^[^\S\n]*-.*$", text.raw, re.MULTILINE)
    return counted(len(starred) + len(dashed), "bullet point", "exactly", num_bullets)


@rule(
    "detectable_format:constrained_response",
    f"Answer with one of these: {quoted(CONSTRAINED_RESPONSES)}.",
)
def constrained_response(text: Text) -> Finding:
    """One of three answers is found, in this very case."""
    given = [option for option in CONSTRAINED_RESPONSES if option in text.raw]
    if given:
        return Finding(True, f"The response gives an allowed answer: {quoted(given)}.")
    return Finding(False, f"The response gives none of the allowed answers: {quoted(CONSTRAINED_RESPONSES)}.")


@rule(
    "detectable_format:number_highlighted_sections",
    "Highlight at least {num_highlights:part} of the response with markdown, *like this*.",
    num_highlights=COUNT,
)
def number_highlighted_sections(text: Text, num_highlights: int) -> Finding:
    """How many one-line spans between asterisks, or between pairs of them, are not blank."""
    single = re.findall(r"\*([^\n*]*)\*", text.raw)
    double = re.findall(r"\*\*([^\n*]*)\*\*", text.raw)
    count = sum(1 for inner in single + double if inner.strip())
    return counted(count, "highlighted part", "at least", num_highlights)


def _numbered(heading: str) -> Pattern:
    return searched(heading.strip(), r"\s?{}\s?\d+\s?")


@rule(
    "detectable_format:multiple_sections",
    "Divide the response into at least {num_sections:section}, each headed by {section_spliter} and its "
    "number, as in {section_spliter} 1.",
    section_spliter=pattern(_numbered),
    num_sections=COUNT,
)
@within_time
def multiple_sections(text: Text, section_spliter: str, num_sections: int) -> Finding:
    """How often the heading is followed by a number."""
    count = _numbered(section_spliter).count_in(text.raw)
    return times(count, f"{section_spliter.strip()} (number)", "at least", num_sections)


_FENCES = ("```json", "```Json", "```JSON", "```")


@rule(
    "detectable_format:json_format",
    "Give the whole response as JSON; a markdown code fence around it is fine.",
)
def json_format(text: Text) -> Finding:
    """The text parses as JSON once a code fence is taken off; a bare number does too."""
    inner = text.stripped
    for fence in _FENCES:
        inner = inner.removeprefix(fence)
    try:
        json.loads(inner.removesuffix("```").strip())
    except (ValueError, RecursionError) as error:
        return Finding(False, f"The response is not valid JSON: {error}.")
    return Finding(True, "The response is valid JSON.")


@rule("detectable_format:title", "Give the response a title in double angular brackets, <<like this>>.")
def title(text: Text) -> Finding:
    """There is something that is not blank in double angular brackets on one line."""
    titles = [title.lstrip("<").rstrip(">").strip() for title in map(_in_brackets, text.raw.split("\n"))]
    if any(titles):
        return Finding(True, f"The response has a title: {quoted(list(filter(None, titles)))}.")
    return Finding(False, "The response has no title in double angular brackets.")


def _in_brackets(line: str) -> str:
    """What ``<<.+>>`` matches, in one pass however many brackets there are; empty without a match."""
    start, end = line.find("<<"), line.rfind(">>")
    return line[start : end + 2] if start >= 0 and end > start + 2 else ""


@rule("combination:two_responses", "Give two different responses, separated by six asterisks: ******.")
def two_responses(text: Text) -> Finding:
    """Two different pieces lie around six asterisks; only before and after may be blank."""
    pieces = [piece.strip() for piece in text.raw.split("******")]
    if not all(pieces[1:-1]):
        return Finding(False, "There is an empty response between two separators ******.")
    given = [piece for piece in pieces if piece]
    if len(given) != 2:
        return compared(len(given), f"****** separates {plural(len(given), 'response')}", "exactly", 2)
    if given[0] == given[1]:
        return Finding(False, "The two responses are the same, where different ones were asked for.")
    return Finding(True, "There are two different responses separated by ******.")


@rule(
    "combination:repeat_prompt",
    'Before anything else, repeat this word for word: "{prompt_to_repeat}"',
    prompt_to_repeat=TEXT,
)
def repeat_prompt(text: Text, prompt_to_repeat: str) -> Finding:
    """The text starts with the prompt, in any case."""
    if text.stripped.lower().startswith(prompt_to_repeat.strip().lower()):
        return Finding(True, "The response starts by repeating the request.")
    return Finding(False, "The response does not start by repeating the request word for word.")


@rule(
    "startend:end_checker",
    'End with exactly this phrase and nothing after it: "{end_phrase}"',
    end_phrase=TEXT,
)
def end_checker(text: Text, end_phrase: str) -> Finding:
    """The text ends with the phrase, in any case, quotation marks at its end aside."""
    phrase = end_phrase.strip()
    if text.stripped.strip('"').lower().endswith(phrase.lower()):
        return Finding(True, f'The response ends with "{phrase}".')
    ending = text.stripped[-len(phrase) :]
    return Finding(False, f'The response ends with "{ending}", where "{phrase}" was asked for.')


@rule("startend:quotation", "Put the whole response in double quotation marks.")
def quotation(text: Text) -> Finding:
    """The first and the last character are both quotation marks."""
    whole = text.stripped
    if len(whole) > 1 and whole[0] == whole[-1] == '"':
        return Finding(True, "The response is in double quotation marks.")
    return Finding(False, "The response does not both start and end with a double quotation mark.")


@rule(
    "change_case:capital_word_frequency",
    "Use words in all capital letters {capital_relation} {capital_frequency:time}.",
    capital_frequency=COUNT,
    capital_relation=RELATION,
)
def capital_word_frequency(text: Text, capital_frequency: int, capital_relation: str) -> Finding:
    """How many tokens are all capitals, as NLTK cuts words."""
    return counted(text.capital_words, "all-capital word", capital_relation, capital_frequency)


@rule("change_case:english_capital", "Write the whole response in English and in capital letters only.")
def english_capital(text: Text) -> Finding:
    """All letters are capitals, and the language is English or cannot be told."""
    if not text.raw.isupper():
        return Finding(False, "Not all letters of the response are capitals.")
    return in_english(text.language, "capital")


@rule("change_case:english_lowercase", "Write the whole response in English and in lower-case letters only.")
def english_lowercase(text: Text) -> Finding:
    """All letters are small, and the language is English or cannot be told."""
    if not text.raw.islower():
        return Finding(False, "Not all letters of the response are in lower case.")
    return in_english(text.language, "lower-case")


@rule("punctuation:no_comma", "Do not use any commas.")
def no_comma(text: Text) -> Finding:
    """There is no comma."""
    count = text.raw.count(",")
    return Finding(not count, f"The response has {plural(count, 'comma')}, where none is allowed.")
