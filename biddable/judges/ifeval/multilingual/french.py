"""M-IFEval's rules ``fr:*``: those of IFEval in French, and six of French itself."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from biddable.judges.ifeval import punkt
from biddable.judges.ifeval.arguments import LETTER, TEXT, plural
from biddable.judges.ifeval.findings import counted
from biddable.judges.ifeval.multilingual.shared import (
    all_cased,
    as_in_english,
    enclosed,
    one_of,
    relation_in,
    titled,
)
from biddable.judges.ifeval.rule import Arg, Finding
from biddable.judges.ifeval.rules import rule
from biddable.judges.ifeval.text import Text

RELATION = relation_in({"moins de": "less than", "au moins": "at least"})
ANSWERS = ("Oui.", "Non.", "Peut-être.")

_INFORMAL = re.compile(r"\b(?:tu|te|toi|ton|ta|tes)\b|\bt'\b", re.IGNORECASE)
_ACCENTED = re.compile("[àáâãäåçèéêëìíîïñòóôõöùúûüýÿ]", re.IGNORECASE)


def _number_sentences(text: Text, num_sentences: int, relation: str) -> Finding:
    """How many sentences Punkt finds with its French parameters."""
    found = punkt.sentences(text.raw, punkt.installed("french"))
    return counted(len(found), "sentence", relation, num_sentences)


for _id in (
    "combination:repeat_prompt",
    "combination:two_responses",
    "detectable_content:number_placeholders",
    "detectable_content:postscript",
    "detectable_format:json_format",
    "detectable_format:multiple_sections",
    "detectable_format:number_bullet_lists",
    "detectable_format:number_highlighted_sections",
    "keywords:existence",
    "keywords:forbidden_words",
    "language:response_language",
    "length_constraints:nth_paragraph_first_word",
    "length_constraints:number_paragraphs",
    "punctuation:no_comma",
    "startend:end_checker",
):
    as_in_english("fr", _id)
as_in_english("fr", "change_case:capital_word_frequency", capital_relation=RELATION)
as_in_english("fr", "keywords:frequency", relation=RELATION)
as_in_english("fr", "keywords:letter_frequency", let_relation=RELATION)
as_in_english("fr", "length_constraints:number_sentences", _number_sentences, relation=RELATION)
as_in_english("fr", "length_constraints:number_words", relation=RELATION)
rule("fr:detectable_format:constrained_response", 'Answer with "Oui.", "Non." or "Peut-être.".')(
    one_of(ANSWERS)
)
rule("fr:startend:quotation", "Put the whole response in quotation marks, such as « ».")(
    enclosed('""', "''", "«»")
)
all_cased("fr:change_case:french_capital", "French", "fr", str.isupper, "capital")
all_cased("fr:change_case:french_lowercase", "French", "fr", str.islower, "small")


rule("fr:detectable_format:title", "Give the response a title in double hash signs, ##like this##.")(
    titled("##", "##")
)


@rule("fr:detectable_content:informal_address", 'Address the reader as "tu".')
def informal_address(text: Text) -> Finding:
    """One of tu, te, toi, ton, ta and tes is there as a whole word; "vous" does not matter."""
    found = _INFORMAL.search(text.raw)
    return Finding(bool(found), f'The response has "{found[0]}".' if found else 'The response has no "tu".')


@rule("fr:detectable_content:no_digits", "Use no Arabic digits.")
def no_digits(text: Text) -> Finding:
    """There is no digit."""
    count = len(re.findall(r"\d", text.raw))
    return Finding(not count, f"The response has {plural(count, 'digit')}, where none is allowed.")


@rule("fr:special_character:no_accents", "Use no letters with accents or a cedilla.")
def no_accents(text: Text) -> Finding:
    """There is no letter with an accent; œ and letters whose accent is a character of its own are none."""
    count = len(_ACCENTED.findall(text.raw))
    return Finding(not count, f"The response has {plural(count, 'letter')} with an accent.")


@rule(
    "fr:special_character:ethel_or_cedilla",
    "Do not use the character {forbidden_char}.",
    forbidden_char=LETTER,
)
def ethel_or_cedilla(text: Text, forbidden_char: str) -> Finding:
    """The character is not there in either case."""
    count = len(re.findall(re.escape(forbidden_char), text.raw, re.IGNORECASE))
    return Finding(not count, f'The response has "{forbidden_char}" {plural(count, "time")}.')


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(TEXT.accepts, [*value, *value.values()]))


@rule(
    "fr:special_character:accents",
    "Put the accents on these words: {word_to_accentuate}.",
    word_to_accentuate=Arg(
        _is_table,
        "an object of words without accents, each with the word that has them",
        lambda words: ", ".join(f"{bare} ({right})" for bare, right in words.items()),
    ),
)
def accents(text: Text, word_to_accentuate: dict[str, str]) -> Finding:
    """Wherever a word of the table is, in any case, it has its accents; words that are missing do no harm."""
    for word in re.findall(r"\w+", text.lower):
        right = word_to_accentuate.get(_bare(word), word)
        if word != right:
            return Finding(False, f'The response has "{word}", where "{right}" was meant.')
    return Finding(True, "No word of the table lacks its accents.")


def _bare(word: str) -> str:
    """Without accents."""
    decomposed = unicodedata.normalize("NFD", word)
    return "".join(each for each in decomposed if unicodedata.category(each) != "Mn")
