"""M-IFEval's rules ``ja:*``: those of IFEval in Japanese, and some of Japanese itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from biddable.judges.ifeval.arguments import COUNT, ORDINAL, TEXT, TEXTS, Arg
from biddable.judges.ifeval.findings import all_there, counted, none_there, times
from biddable.judges.ifeval.ifbench.findings import each, plain
from biddable.judges.ifeval.multilingual.shared import (
    as_in_english,
    enclosed,
    one_of,
    refused,
    relation_in,
    titled,
)
from biddable.judges.ifeval.rule import Finding
from biddable.judges.ifeval.rules import rule
from biddable.judges.ifeval.text import Text

RELATION = relation_in({"以上": "at least", "未満": "less than"})
ANSWERS = ("はい、そうです。", "いいえ、違います。", "どちらとも言えません。")
HIRAGANA = Arg(
    lambda value: isinstance(value, str) and "ぁ" <= value <= "ん" and len(value) == 1, "a hiragana letter"
)

_KANJI = "[\u4e00-\u9faf]"
_TO_KATAKANA = 0x60
_QUOTED = re.compile("「.*?」|『.*?』")
_ENDS = re.compile("[。！？!?\n]")
_CLOSING = "」』"

for _id in (
    "combination:repeat_prompt",
    "combination:two_responses",
    "detectable_content:number_placeholders",
    "detectable_content:postscript",
    "detectable_format:json_format",
    "language:response_language",
    "length_constraints:number_paragraphs",
):
    as_in_english("ja", _id)
rule("ja:detectable_format:constrained_response", "Answer with one of " + " ".join(ANSWERS))(one_of(ANSWERS))
rule("ja:detectable_format:title", "Give the response a title in 『 』.")(titled("『", "』"))
rule("ja:startend:quotation", "Put the whole response in 「 」.")(enclosed("「」"))
refused(
    "ja:detectable_format:nominal_ending",
    "End at least {count:sentence} with a noun.",
    "a dictionary of Japanese (officially Janome's), which tells nouns and is not read here",
    count=COUNT,
)


@rule("ja:keywords:existence", "Use each of these keywords: {keywords}.", keywords=TEXTS)
def existence(text: Text, keywords: Sequence[str]) -> Finding:
    """Each keyword is found, as it is written."""
    return all_there(keywords, [word for word in keywords if word not in text.raw])


@rule("ja:keywords:forbidden_words", "Do not use these words: {forbidden_words}.", forbidden_words=TEXTS)
def forbidden_words(text: Text, forbidden_words: Sequence[str]) -> Finding:
    """No word is found, not even within another."""
    return none_there([word for word in forbidden_words if word in text.raw])


@rule(
    "ja:keywords:frequency",
    'Use the word "{keyword}" {relation} {frequency:time}.',
    keyword=TEXT,
    frequency=COUNT,
    relation=RELATION,
)
def frequency(text: Text, keyword: str, frequency: int, relation: str) -> Finding:
    """How often the keyword is found."""
    return times(text.raw.count(keyword.strip()), keyword.strip(), relation, frequency)


@rule(
    "ja:keywords:letter_frequency",
    'Let the letter "{letter}" appear {let_relation} {let_frequency:time}.',
    letter=HIRAGANA,
    let_frequency=COUNT,
    let_relation=RELATION,
)
def letter_frequency(text: Text, letter: str, let_frequency: int, let_relation: str) -> Finding:
    """How often the letter stands there, in hiragana or in katakana."""
    count = text.raw.count(letter) + text.raw.count(chr(ord(letter) + _TO_KATAKANA))
    return times(count, letter, let_relation, let_frequency)


@rule(
    "ja:length_constraints:number_letters",
    "Write {relation} {num_letters:character}.",
    num_letters=COUNT,
    relation=RELATION,
)
def number_letters(text: Text, num_letters: int, relation: str) -> Finding:
    """How many characters there are, blanks, marks and ends of lines among them."""
    return counted(len(text.raw), "character", relation, num_letters)


@rule(
    "ja:length_constraints:number_sentences",
    "Write {relation} {num_sentences:sentence}.",
    num_sentences=COUNT,
    relation=RELATION,
)
def number_sentences(text: Text, num_sentences: int, relation: str) -> Finding:
    """How many pieces that are not blank end with a mark or a line; those in quotation marks do not count."""
    pieces = [piece for piece in _ENDS.split(_QUOTED.sub("「」", text.raw)) if re.search(r"\w|「", piece)]
    return counted(len(pieces), "sentence", relation, num_sentences)


@rule(
    "ja:length_constraints:nth_paragraph_first_word",
    "Write exactly {num_paragraphs:paragraph}, separated by two newlines; let paragraph {nth_paragraph} "
    'start with "{first_word}".',
    at_most={"nth_paragraph": "num_paragraphs"},
    num_paragraphs=COUNT,
    nth_paragraph=ORDINAL,
    first_word=TEXT,
)
def nth_paragraph_first_word(text: Text, num_paragraphs: int, nth_paragraph: int, first_word: str) -> Finding:
    """How many pieces that are not blank lie between two newlines, and how the nth (blank or not) starts."""
    pieces = text.raw.split("\n\n")
    count = sum(bool(piece.strip()) for piece in pieces)
    if count != num_paragraphs:
        return counted(count, "paragraph", "exactly", num_paragraphs)
    start = pieces[nth_paragraph - 1].strip().lstrip("「").lstrip("『")
    passed = start.startswith(first_word.lower())
    return Finding(passed, f'Paragraph {nth_paragraph} starts with "{start[: len(first_word)]}".')


@rule(
    "ja:detectable_format:number_bullet_lists",
    "Give exactly {num_bullets:bullet point}, each on a line that starts with ・.",
    num_bullets=COUNT,
)
def number_bullet_lists(text: Text, num_bullets: int) -> Finding:
    """How many lines start with one ・."""
    bullets = re.findall(r"^\s*・[^・\n]", text.raw, re.MULTILINE)
    return counted(len(bullets), "bullet point", "exactly", num_bullets)


@rule(
    "ja:detectable_format:number_numbered_lists",
    "Give exactly {num_items:numbered item}, each on a line that starts with a number and a period.",
    num_items=COUNT,
)
def number_numbered_lists(text: Text, num_items: int) -> Finding:
    """How many lines start with digits, a period and a blank."""
    items = re.findall(r"^\s*\d+\.\s", text.raw, re.MULTILINE)
    return counted(len(items), "numbered item", "exactly", num_items)


@rule(
    "ja:detectable_format:number_highlighted_sections",
    "Highlight at least {num_highlights:part} in 《 》.",
    num_highlights=COUNT,
)
def number_highlighted_sections(text: Text, num_highlights: int) -> Finding:
    """How many one-line spans in 《》 are not blank."""
    spans = [span for span in re.findall(r"《([^\n《》]*)》", text.raw) if span.strip()]
    return counted(len(spans), "highlighted part", "at least", num_highlights)


@rule(
    "ja:detectable_format:multiple_sections",
    "Divide the response into at least {num_sections:section}, headed by 第1{section_spliter} and so on.",
    section_spliter=TEXT,
    num_sections=COUNT,
)
def multiple_sections(text: Text, section_spliter: str, num_sections: int) -> Finding:
    """How often 第, a number in digits (wide ones, too) and the word stand there."""
    heads = re.findall(rf"第\d+{re.escape(section_spliter.strip())}", text.raw)
    return counted(len(heads), "section", "at least", num_sections)


@rule("ja:startend:end_checker", 'End with exactly this phrase: "{end_phrase}"', end_phrase=TEXT)
def end_checker(text: Text, end_phrase: str) -> Finding:
    """The text ends with the phrase, closing quotation marks aside."""
    phrase = end_phrase.strip().strip(_CLOSING)
    return Finding(text.stripped.strip(_CLOSING).endswith(phrase), f'An end with "{phrase}" was asked for.')


@rule("ja:startend:sentence_unified_end", 'End every sentence with "{ending}".', ending=TEXT)
def sentence_unified_end(text: Text, ending: str) -> Finding:
    """What precedes each 。, ！ and ？, quotations taken out, ends so; the text must end with a mark."""
    pieces = list(filter(None, re.split("[。！？]", _QUOTED.sub("", text.raw))))
    return each(
        pieces, lambda piece: piece.endswith(ending.strip()), "sentence", f"does not end with {ending}"
    )


@rule("ja:letters:furigana", "Put furigana after all kanji, in wide brackets （）.")
def furigana(text: Text) -> Finding:
    """Hiragana in wide brackets follow each run of kanji."""
    runs = re.findall(f"{_KANJI}+", text.raw)
    followed = re.findall(f"{_KANJI}+（[ぁ-ん]+）", text.raw)
    return Finding(len(runs) == len(followed), f"{len(followed)} of {len(runs)} runs of kanji have furigana.")


@rule("ja:letters:kanji", "Use {relation} {kanji_limit} kanji.", kanji_limit=COUNT, relation=RELATION)
def kanji(text: Text, kanji_limit: int, relation: str) -> Finding:
    """How many kanji there are."""
    return counted(len(re.findall(_KANJI, text.raw)), "character in kanji", relation, kanji_limit)


def _only(allowed: Callable[[str], bool]) -> Callable[[Text], bool]:
    """Whether each letter (what Unicode calls one) is allowed; the rest may be anything."""
    return lambda text: all(allowed(each) or unicodedata.category(each)[0] != "L" for each in text.raw)


def _lacks(*ranges: tuple[str, str]) -> Callable[[Text], bool]:
    """Whether no character lies in one of the ranges."""
    return lambda text: not any(first <= each <= last for each in text.raw for first, last in ranges)


for _id, _asked, _followed, _otherwise in (
    (
        "letters:hiragana_only",
        "Write in hiragana only.",
        _only(lambda letter: "ぁ" <= letter <= "ん" or letter == "ー"),
        "There are letters that are not hiragana.",
    ),
    (
        "letters:katakana_only",
        "Write in katakana only.",
        _only(lambda letter: "ァ" <= letter <= "ン" or letter == "ー" or "ｦ" <= letter <= "ﾟ"),
        "There are letters that are not katakana.",
    ),
    ("letters:no_hiragana", "Use no hiragana.", _lacks(("ぁ", "ゖ")), "There is hiragana."),
    ("letters:no_katakana", "Use no katakana.", _lacks(("ァ", "ヺ"), ("ｦ", "ﾟ")), "There is katakana."),
    (
        "letters:kansuuji",
        "Write all numbers in kanji.",
        lambda text: not re.search(r"\d", text.raw),
        "There are digits that are not kanji.",
    ),
    ("punctuation:no_comma", "Do not use 、.", lambda text: "、" not in text.raw, "There is a 、."),
    ("punctuation:no_period", "Do not use 。.", lambda text: "。" not in text.raw, "There is a 。."),
):
    plain(f"ja:{_id}", _asked, _followed, otherwise=_otherwise)
