"""M-IFEval's rules ``es:*``: those of IFEval in Spanish, and five of Spanish itself."""

from __future__ import annotations

import re

from biddable.judges.ifeval.arguments import COUNT, TEXT
from biddable.judges.ifeval.findings import counted
from biddable.judges.ifeval.multilingual.shared import (
    all_cased,
    as_in_english,
    one_of,
    refused,
    relation_in,
)
from biddable.judges.ifeval.rule import Finding
from biddable.judges.ifeval.rules import rule
from biddable.judges.ifeval.text import Text

RELATION = relation_in({"al menos": "at least", "como máximo": "at most"})
AT_LEAST = relation_in({"al menos": "at least"})
ANSWERS = ("Sí.", "No.", "Quizás.")

_QUESTION = re.compile(r"¿[^?]*\?")
_EXCLAMATION = re.compile(r"¡[^!]*!")


def _number_bullet_lists(text: Text, num_bullets: int) -> Finding:
    """How many lines start with one asterisk; a dash is no bullet here."""
    found = re.findall(r"^[^\S\n]*\*[^*].*$", text.raw, re.MULTILINE)
    return counted(len(found), "bullet point", "exactly", num_bullets)


for _id in (
    "combination:repeat_prompt",
    "combination:two_responses",
    "detectable_format:json_format",
    "detectable_format:title",
    "keywords:existence",
    "keywords:forbidden_words",
    "language:response_language",
    "length_constraints:nth_paragraph_first_word",
    "length_constraints:number_paragraphs",
    "punctuation:no_comma",
    "startend:end_checker",
    "startend:quotation",
):
    as_in_english("es", _id)
for _id in (
    "detectable_content:number_placeholders",
    "detectable_format:multiple_sections",
    "detectable_format:number_highlighted_sections",
):
    as_in_english("es", _id, relation=AT_LEAST)
as_in_english("es", "detectable_format:number_bullet_lists", _number_bullet_lists)
as_in_english("es", "change_case:capital_word_frequency", capital_relation=RELATION)
as_in_english("es", "keywords:frequency", relation=RELATION)
as_in_english("es", "keywords:letter_frequency", let_relation=RELATION)
as_in_english("es", "length_constraints:number_words", relation=RELATION)
refused(
    "es:length_constraints:number_sentences",
    "Write {relation} {num_sentences:sentence}.",
    "spaCy's model es_core_news_sm, which cuts the sentences officially and is not read here",
    num_sentences=COUNT,
    relation=RELATION,
)
rule("es:detectable_format:constrained_response", 'Answer with "Sí.", "No." or "Quizás.".')(one_of(ANSWERS))
all_cased("es:change_case:spanish_capital", "Spanish", "es", str.isupper, "capital")
all_cased("es:change_case:spanish_lowercase", "Spanish", "es", str.islower, "small")


@rule(
    "es:detectable_content:postscript",
    "Add a postscript at the end that starts with {postscript_marker}",
    postscript_marker=TEXT,
)
def postscript(text: Text, postscript_marker: str) -> Finding:
    """The marker is found anywhere, in any case; "P.D." with a blank between its letters, too."""
    marker = re.escape(postscript_marker.strip().lower()).replace(r"p\.d\.", r"p\.\s?d\.")
    passed = bool(re.search(marker, text.lower))
    return Finding(passed, f'A postscript marked "{postscript_marker.strip()}" was looked for.')


@rule("es:punctuation:question_marks", "Ask a question between ¿ and ?.")
def question_marks(text: Text) -> Finding:
    """Something that is not blank stands between ¿ and ?."""
    passed = any(found.strip("¿? \n\t") for found in _QUESTION.findall(text.raw))
    return Finding(
        passed, "There is a question between ¿ and ?." if passed else "No question between ¿ and ?."
    )


@rule("es:punctuation:exclamation_marks", "Make an exclamation between ¡ and !.")
def exclamation_marks(text: Text) -> Finding:
    """Something that is not blank stands between ¡ and !."""
    passed = any(found.strip("¡! \n\t") for found in _EXCLAMATION.findall(text.raw))
    return Finding(passed, "There is an exclamation." if passed else "No exclamation between ¡ and !.")


def _words_with(text: Text, letters: str) -> int:
    """How many words have one of the letters, in either case."""
    return sum(any(letter in word for letter in letters) for word in re.findall(r"\w+", text.lower))


@rule("es:special_character:enie", "Use exactly {let_frequency:word} with the letter ñ.", let_frequency=COUNT)
def enie(text: Text, let_frequency: int) -> Finding:
    """How many words have an ñ."""
    return counted(_words_with(text, "ñ"), "word with ñ", "exactly", let_frequency)


@rule(
    "es:special_character:dieresis",
    "Use exactly {let_frequency:word} with the letter ü.",
    let_frequency=COUNT,
)
def dieresis(text: Text, let_frequency: int) -> Finding:
    """How many words have a ü."""
    return counted(_words_with(text, "ü"), "word with ü", "exactly", let_frequency)


@rule(
    "es:special_character:tildes",
    "Use {relation} {num_words:word} with an accent.",
    num_words=COUNT,
    relation=RELATION,
)
def tildes(text: Text, num_words: int, relation: str) -> Finding:
    """How many words have á, é, í, ó or ú."""
    return counted(_words_with(text, "áéíóú"), "word with an accent", relation, num_words)
