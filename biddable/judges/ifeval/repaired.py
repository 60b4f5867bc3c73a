"""Repaired variants of the rules, for training and for judging by what the instruction means.

They give other scores than the published ones; ``fixed=True`` chooses them. All but those named below decide
as published on plain text.

- *Characters* (every rule but those on language and case): ends of lines (CRLF and others), blanks (also
  no-break and ideographic ones, and blank lines that hold some), zero-width characters, letters with marks in
  either form, wide letters. Texts that are compared are so without case, "ß" as "ss", with any quotation
  marks and hyphens (``unicode``). A comma is one in any script.
- ``keywords:*`` (but letters): a keyword is literal text and a whole word. "art" is no longer found in
  "party", and "C++" is the language, not one or more C's. Scripts without blanks between words have no whole
  words: "富士山" is found in "富士山は". So it is with headings and first words.
- ``length_constraints:number_words``: Chinese and Japanese by characters, Thai, Lao, Khmer and Burmese at
  four characters a word. ``number_sentences``: ends of sentences in other scripts count.
  ``number_paragraphs``: a few words in ``***bold***`` hold no dividers.
- ``length_constraints:nth_paragraph_first_word``: the nth paragraph is the nth that is not blank; marks
  before its first word do not count.
- ``detectable_format:number_bullet_lists``: a bullet is ``*`` or ``-``, a blank and text. Horizontal rules,
  "-5 degrees" and "**bold**" are none.
- ``detectable_content:postscript``, ``detectable_format:multiple_sections``: marker and heading are literal
  text, and no part of another word.
- ``startend:end_checker``: the phrase is no part of another word, and may stand in quotation marks or be
  highlighted. ``startend:quotation``: the marks may be curly, low or French.
- ``language:response_language``, ``change_case:english_capital``, ``change_case:english_lowercase``: the
  language is told from the text in lower case (langdetect skips capitals that adjoin, so it knows little of a
  text all in capitals) and may be any of the likely ones (probability above 0.1, so that no short text fails
  by a close call), and a text without letters fails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import regex

from biddable.judges.ifeval import findings, punkt, rules, words
from biddable.judges.ifeval import language as detection
from biddable.judges.ifeval.arguments import TEXT, TEXTS
from biddable.judges.ifeval.rule import REPAIRED, RULES, Arg, Finding
from biddable.judges.ifeval.text import Text
from biddable.judges.ifeval.unicode import clean, folded, whole

_ON_CLEAN_TEXT = (
    "change_case:capital_word_frequency",
    "combination:two_responses",
    "detectable_content:number_placeholders",
    "detectable_format:constrained_response",
    "detectable_format:number_highlighted_sections",
    "detectable_format:title",
)
_COMMAS = regex.compile(r"[,，、،﹐﹑､︐︑՝፣߸᠂᠈꓾꘍꛵⸲⸴⸒]")
_DOUBLE_QUOTES = '"“”„‟«»＂'
_EDGE_MARKS = " \n\"'“”„‟‘’«»*_`「」『』"
_EMPHASIZED = regex.compile(r"(?<![^\s(\"])\*\*\*(?=[^\s*])[^*\n]{,40}(?<=[^\s*])\*\*\*(?![\w*])")
_POSTSCRIPTS = {"p.s.": r"p\. ?s\.", "p.p.s": r"p\. ?p\. ?s"}


def repaired(id: str, **args: Arg) -> Callable[[rules.Check], rules.Check]:
    """Register the decorated function as the repaired check of a rule, with other arguments where given."""

    def registered(check: rules.Check) -> rules.Check:
        rule = RULES[id]
        REPAIRED[id] = dataclasses.replace(rule, check=check, args={**rule.args, **args})
        return check

    return registered


def _on_clean_text(check: rules.Check) -> rules.Check:
    return lambda text, **args: check(text.clean, **args)


for _id in _ON_CLEAN_TEXT:
    repaired(_id)(_on_clean_text(RULES[_id].check))


def _occurrences(keyword: str, text: Text) -> int:
    return len(whole(keyword).findall(text.folded))


@repaired("keywords:existence", keywords=TEXTS)
def existence(text: Text, keywords: Sequence[str]) -> Finding:
    """Each keyword is found as a whole word, in any case."""
    return findings.all_there(keywords, [word for word in keywords if not _occurrences(word, text)])


@repaired("keywords:frequency", keyword=TEXT)
def frequency(text: Text, keyword: str, frequency: int, relation: str) -> Finding:
    """How often the keyword is found as a whole word, in any case."""
    return findings.times(_occurrences(keyword, text), keyword.strip(), relation, frequency)


@repaired("keywords:forbidden_words", forbidden_words=TEXTS)
def forbidden_words(text: Text, forbidden_words: Sequence[str]) -> Finding:
    """No word is found as a whole word, in any case."""
    return findings.none_there([word for word in forbidden_words if _occurrences(word, text)])


@repaired("keywords:letter_frequency")
def letter_frequency(text: Text, letter: str, let_frequency: int, let_relation: str) -> Finding:
    """How often the character occurs in either case."""
    return rules.letter_frequency(text.clean, clean(letter) or letter, let_frequency, let_relation)


@repaired("length_constraints:number_words")
def number_words(text: Text, num_words: int, relation: str) -> Finding:
    """How many words there are; where no blanks divide them, by their characters."""
    count = words.count_words_of_any_script(text.clean.raw)
    return findings.counted(count, "word", relation, num_words)


@repaired("length_constraints:number_sentences")
def number_sentences(text: Text, num_sentences: int, relation: str) -> Finding:
    """How many sentences Punkt and the marks of other scripts give."""
    count = len(punkt.sentences_of_any_script(text.raw if text.raw.isascii() else _lines(text)))
    return findings.counted(count, "sentence", relation, num_sentences)


def _lines(text: Text) -> str:
    return "\n".join(text.raw.splitlines())


@repaired("length_constraints:number_paragraphs")
def number_paragraphs(text: Text, num_paragraphs: int) -> Finding:
    """How many pieces ``***`` divides the text into, where it does not highlight a few words."""
    return rules.number_paragraphs(Text(_EMPHASIZED.sub("x", text.clean.raw)), num_paragraphs)


@repaired("length_constraints:nth_paragraph_first_word")
def nth_paragraph_first_word(text: Text, num_paragraphs: int, nth_paragraph: int, first_word: str) -> Finding:
    """How many paragraphs there are that are not blank, and how the nth of them starts."""
    pieces = [piece for piece in text.clean.raw.split("\n\n") if piece.strip()]
    if len(pieces) != num_paragraphs:
        return findings.counted(len(pieces), "paragraph", "exactly", num_paragraphs)
    start = folded(pieces[nth_paragraph - 1])
    at = whole(first_word).search(start)
    passed = at is not None and not regex.search(r"\w", start[: at.start()])
    start = (pieces[nth_paragraph - 1].split(maxsplit=1))[0]
    return Finding(
        passed, f'Paragraph {nth_paragraph} starts with "{start}", where "{first_word}" was asked for.'
    )


_BULLET = regex.compile(r"^ *[*-] +(?![*\- ]*$)", regex.MULTILINE)


@repaired("detectable_format:number_bullet_lists")
def number_bullet_lists(text: Text, num_bullets: int) -> Finding:
    """How many lines start with a bullet, a blank and text."""
    return findings.counted(len(_BULLET.findall(text.clean.raw)), "bullet point", "exactly", num_bullets)


@repaired("detectable_content:postscript", postscript_marker=TEXT)
def postscript(text: Text, postscript_marker: str) -> Finding:
    """The marker is found, in any case, the usual two with blanks between their letters or not."""
    marker = folded(postscript_marker)
    usual = _POSTSCRIPTS.get(marker)
    pattern = regex.compile(rf"(?<![\w.]){usual}(?![a-z])") if usual else whole(marker)
    if pattern.search(text.folded):
        return Finding(True, f'The response has a postscript marked "{postscript_marker.strip()}".')
    return Finding(False, f'The response has no postscript marked "{postscript_marker.strip()}".')


@repaired("detectable_format:multiple_sections", section_spliter=TEXT)
def multiple_sections(text: Text, section_spliter: str, num_sections: int) -> Finding:
    """How often the heading is followed by a number."""
    heading = " ".join(clean(section_spliter).split())
    count = sum(1 for _ in regex.finditer(rf"(?<![a-zA-Z]){regex.escape(heading)}\s*\d+", text.clean.raw))
    return findings.times(count, f"{heading} (number)", "at least", num_sections)


# Without a look behind, a long run of blanks would be tried again from each of its characters.
_AROUND = regex.compile(r"\A[\s\p{Cf}]+|(?<![\s\p{Cf}])[\s\p{Cf}]+\Z")


@repaired("detectable_format:json_format")
def json_format(text: Text) -> Finding:
    """The text parses as JSON once a code fence, and what is not seen around it, is taken off."""
    return rules.json_format(Text(_AROUND.sub("", text.raw)))


@repaired("combination:repeat_prompt")
def repeat_prompt(text: Text, prompt_to_repeat: str) -> Finding:
    """The text starts with the prompt, in any case."""
    return rules.repeat_prompt(Text(text.folded), folded(prompt_to_repeat))


@repaired("startend:end_checker")
def end_checker(text: Text, end_phrase: str) -> Finding:
    """The text ends with the phrase, in any case, quotation marks and asterisks aside."""
    asked = folded(end_phrase.strip(_EDGE_MARKS) or end_phrase)
    said = folded(text.clean.raw.strip(_EDGE_MARKS) or text.raw)
    if any(match.end() == len(said) for match in whole(asked).finditer(said)):
        return Finding(True, f'The response ends with "{end_phrase.strip()}".')
    ending = text.clean.raw.strip()[-len(asked) :]
    return Finding(False, f'The response ends with "{ending}", where "{end_phrase.strip()}" was asked for.')


@repaired("startend:quotation")
def quotation(text: Text) -> Finding:
    """The first and the last character are both double quotation marks, of whatever form."""
    said = text.clean.raw.strip()
    ends = {said[:1], said[-1:]} <= set(_DOUBLE_QUOTES) and len(said) > 1
    return rules.quotation(Text('""' if ends else "x"))


@repaired("punctuation:no_comma")
def no_comma(text: Text) -> Finding:
    """There is no comma of any script."""
    return rules.no_comma(Text(_COMMAS.sub(",", text.raw)))


@repaired("language:response_language")
def response_language(text: Text, language: str) -> Finding:
    """The language is among the likely ones."""
    likely = detection.candidates(text.lower)
    names = " or ".join(map(findings.language_name, sorted(likely))) or "no language that can be told"
    return findings.language_finding(not likely.isdisjoint(detection.meant(language)), names, language)


@repaired("change_case:english_capital")
def english_capital(text: Text) -> Finding:
    """All letters are capitals, and English is among the likely languages."""
    if not text.raw.isupper():
        return Finding(False, "Not all letters of the response are capitals.")
    return response_language(text, "en")


@repaired("change_case:english_lowercase")
def english_lowercase(text: Text) -> Finding:
    """All letters are small, and English is among the likely languages."""
    if not text.raw.islower():
        return Finding(False, "Not all letters of the response are in lower case.")
    return response_language(text, "en")
