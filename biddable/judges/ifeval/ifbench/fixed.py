"""IFBench's rules without the defects that were found in the published checkers; ``fixed=True`` chooses them.

The first six follow later versions of the official checkers; the last two are ours.
"""

from __future__ import annotations

import re
import string
from collections import Counter

from biddable.judges.ifeval.arguments import plural
from biddable.judges.ifeval.findings import counted
from biddable.judges.ifeval.ifbench.counts import as_often
from biddable.judges.ifeval.ifbench.formats import line_indent, quote_unquote
from biddable.judges.ifeval.ifbench.sentences import overlapping, sentence_words
from biddable.judges.ifeval.ifbench.tokens import bare_words, tokens, word_tokens
from biddable.judges.ifeval.ifbench.whole import copied, in_order
from biddable.judges.ifeval.ifbench.words import at_both_ends
from biddable.judges.ifeval.repaired import repaired
from biddable.judges.ifeval.rule import Finding
from biddable.judges.ifeval.text import Text


@repaired("count:keywords_multiple")
def keywords_as_words(text: Text, **keywords: str) -> Finding:
    """Keywords are whole words: "art" is not found in "start"."""
    words = [keywords[name].strip() for name in sorted(keywords)]
    wholes = [rf"\b{re.escape(word)}\b" for word in words]
    return as_often(words, [len(re.findall(whole, text.raw, re.IGNORECASE)) for whole in wholes])


@repaired("ratio:overlap")
def overlap_of_words(text: Text, percentage: int, reference_text: str) -> Finding:
    """Trigrams are of tokens."""
    return overlapping(tokens(text.raw), tokens(reference_text), percentage)


@repaired("ratio:sentence_words")
def different_words(text: Text) -> Finding:
    """No word stands twice, either."""
    finding = sentence_words(text)
    if not finding.passed:
        return finding
    words = Counter(bare_words(text.raw)).most_common(1)
    if not words:
        return counted(0, "word", "at least", 3)
    return Finding(words[0][1] == 1, f'The word "{words[0][0]}" stands there {plural(words[0][1], "time")}.')


@repaired("words:words_position")
def position_among_words(text: Text, keyword: str) -> Finding:
    """Marks are no words, wherever they stand."""
    return at_both_ends(word_tokens(text.raw), keyword)


@repaired("custom:sentence_alphabet")
def first_letters(text: Text) -> Finding:
    """Marks before the first letter of a sentence do not count."""
    return in_order([sentence.lstrip(string.punctuation + string.whitespace) for sentence in text.sentences])


@repaired("repeat:repeat_span")
def span_of_words(text: Text, n_start: int, n_end: int, prompt_to_repeat: str) -> Finding:
    """Words are counted, as the prompts say."""
    return copied(text, " ".join(prompt_to_repeat.split()[n_start : n_end + 1]))


@repaired("format:line_indent")
def lines_indented(text: Text) -> Finding:
    """Blank lines do not count, however many follow one another."""
    return line_indent(Text("\n".join(line for line in text.raw.split("\n") if line.strip())))


@repaired("format:quote_unquote")
def any_quotation_marks(text: Text) -> Finding:
    """Curly quotation marks are some."""
    return quote_unquote(Text(text.raw.replace("“", '"').replace("”", '"')))
