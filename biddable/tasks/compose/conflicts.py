"""Which of the 25 rule types may stand in one prompt.

``CONFLICTS`` is the symmetric table of IFEval (arXiv 2311.07911, the official registry): what it
forbids cannot be obeyed together. ``AWKWARD`` is ours: pairs that the benchmark allows but that nobody
would ask for, or that a short answer cannot meet. The composer respects both.
"""

from __future__ import annotations

from itertools import combinations

EXISTENCE = "keywords:existence"
FREQUENCY = "keywords:frequency"
FORBIDDEN = "keywords:forbidden_words"
LETTER = "keywords:letter_frequency"
LANGUAGE = "language:response_language"
SENTENCES = "length_constraints:number_sentences"
PARAGRAPHS = "length_constraints:number_paragraphs"
WORDS = "length_constraints:number_words"
FIRST_WORD = "length_constraints:nth_paragraph_first_word"
PLACEHOLDERS = "detectable_content:number_placeholders"
POSTSCRIPT = "detectable_content:postscript"
BULLETS = "detectable_format:number_bullet_lists"
CONSTRAINED = "detectable_format:constrained_response"
HIGHLIGHTS = "detectable_format:number_highlighted_sections"
SECTIONS = "detectable_format:multiple_sections"
JSON = "detectable_format:json_format"
TITLE = "detectable_format:title"
TWO_RESPONSES = "combination:two_responses"
REPEAT_PROMPT = "combination:repeat_prompt"
END = "startend:end_checker"
QUOTATION = "startend:quotation"
CAPITAL_WORDS = "change_case:capital_word_frequency"
CAPITAL = "change_case:english_capital"
LOWERCASE = "change_case:english_lowercase"
NO_COMMA = "punctuation:no_comma"

ALL_TYPES: tuple[str, ...] = (
    EXISTENCE,
    FREQUENCY,
    FORBIDDEN,
    LETTER,
    LANGUAGE,
    SENTENCES,
    PARAGRAPHS,
    WORDS,
    FIRST_WORD,
    PLACEHOLDERS,
    POSTSCRIPT,
    BULLETS,
    CONSTRAINED,
    HIGHLIGHTS,
    SECTIONS,
    JSON,
    TITLE,
    TWO_RESPONSES,
    REPEAT_PROMPT,
    END,
    QUOTATION,
    CAPITAL_WORDS,
    CAPITAL,
    LOWERCASE,
    NO_COMMA,
)


def _all_but(*allowed: str) -> set[str]:
    return set(ALL_TYPES).difference(allowed)


_OFFICIAL: dict[str, set[str]] = {
    LANGUAGE: {EXISTENCE, FREQUENCY, FORBIDDEN, SECTIONS, END, CAPITAL, LOWERCASE},
    PARAGRAPHS: {FIRST_WORD, SENTENCES},
    SECTIONS: {HIGHLIGHTS},
    CAPITAL_WORDS: {CAPITAL, LOWERCASE},
    CAPITAL: {LOWERCASE},
    QUOTATION: {TITLE},
    CONSTRAINED: _all_but(),
    JSON: _all_but(FORBIDDEN, EXISTENCE),
    TWO_RESPONSES: _all_but(FORBIDDEN, EXISTENCE, LANGUAGE, TITLE, NO_COMMA),
    REPEAT_PROMPT: _all_but(EXISTENCE, TITLE, NO_COMMA),
}

_SHAPES = (PARAGRAPHS, FIRST_WORD, BULLETS, SECTIONS)
_AWKWARD_PAIRS: tuple[tuple[str, str], ...] = (
    # One answer has one shape.
    *combinations(_SHAPES, 2),
    # "Four paragraphs, at most two sentences."
    *((SENTENCES, shape) for shape in _SHAPES),
    # The rule is about English words, letters or sentence ends, or hands over English text.
    *((LANGUAGE, other) for other in (LETTER, SENTENCES, WORDS, FIRST_WORD, POSTSCRIPT, CAPITAL_WORDS)),
    # "Section 1", "P.S." or the words to end with are to be written as they stand.
    *((CAPITAL, other) for other in (SECTIONS, END, FIRST_WORD)),
    *((LOWERCASE, other) for other in (SECTIONS, END, FIRST_WORD, POSTSCRIPT)),
    # A title or a postscript is a paragraph of its own, which upsets the count.
    (FIRST_WORD, TITLE),
    (FIRST_WORD, POSTSCRIPT),
    # Both want the last words, or the very first ones.
    (POSTSCRIPT, END),
    (REPEAT_PROMPT, TITLE),
    # The opening quotation mark hides the first bullet.
    (QUOTATION, BULLETS),
    # The request to repeat may itself hold commas, the words to end with the letter to avoid.
    (REPEAT_PROMPT, NO_COMMA),
    (END, LETTER),
    # How often a word and how often a letter may stand: nobody asks for both.
    (FREQUENCY, LETTER),
)


def _symmetric(table: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    return {
        rule_type: frozenset(
            other
            for other in ALL_TYPES
            if other in table.get(rule_type, ()) or rule_type in table.get(other, ())
        )
        for rule_type in ALL_TYPES
    }


def _pairs(pairs: tuple[tuple[str, str], ...]) -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for first, second in pairs:
        table.setdefault(first, set()).add(second)
    return table


CONFLICTS: dict[str, frozenset[str]] = {
    rule_type: others | {rule_type} for rule_type, others in _symmetric(_OFFICIAL).items()
}
"""Rule type -> the types it may not be combined with, itself included (IFEval's table)."""

AWKWARD: dict[str, frozenset[str]] = _symmetric(_pairs(_AWKWARD_PAIRS))
"""Rule type -> other types that the composer does not combine with it."""


def compatible(first: str, second: str) -> bool:
    """Whether the composer may put two rule types into one prompt; a type not in the tables goes with all."""
    return first != second and second not in CONFLICTS.get(first, ()) and second not in AWKWARD.get(first, ())
