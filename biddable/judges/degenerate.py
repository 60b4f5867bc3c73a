"""Whether a text is an answer at all: rules on its form cannot see it, and training for them ruins it first.

``"*this*"`` highlights a phrase, and the request sent back between quotation marks is quoted. A model that
is rewarded for rules alone finds such answers within a few steps, so whoever trains on rules needs this too.

Lengths are in words. Where a script sets no blanks between words, or sets them between longer units, its
characters count as parts of one: Chinese 2/3, Japanese kana and Korean syllables 1/2, Thai, Lao, Khmer,
Burmese and their kin 1/4. Where words are counted, not compared, long ones of scripts other than Latin, Greek
and Cyrillic count as one for every four letters (two in syllabaries): they hold what English says in several.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from itertools import accumulate

import regex

from biddable.judges.scripts import HAN, HANGUL, SYLLABLES, UNSPACED
from biddable.types import Check, Task, as_chat

MAY_COPY = {"combination:repeat_prompt", "detectable_format:constrained_response"}
"""Rules that ask for words of the request, or for hardly any."""
RUN = 4
"""Length, in words, of what counts as repeated or copied."""
MOST_REPEATED = 0.3
FEWEST_OWN_WORDS = 5
FEWEST_IN_CODE = 2
"""The same for JSON and for code in a fence, whose marks say much."""
LONGEST_BRIEF_REQUEST = 25
LONGEST_REFRAIN = 15
"""Both in words."""

WORD = 12
"""What a word weighs; the weights below are shares of it."""
_BY_CHARACTER = regex.compile(rf"(?V1)[[{UNSPACED}]&&\w]")
_WORD = regex.compile(r"\w+")
_TOKEN = regex.compile(r"\w+|[^\w\s]")
_CUT_TOKEN = regex.compile(rf"(?V1)[[{UNSPACED}]&&\w]|[\w--[{UNSPACED}]]+|[^\w\s]")
_WEIGHTS = ((regex.compile(f"[{HAN}]"), 8), (regex.compile(f"[{SYLLABLES}{HANGUL}]"), 6))
_ALPHABETS = regex.compile(r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{M}\p{N}_]+")
_SYLLABARIES = regex.compile(r"[\p{Ethiopic}\p{Cherokee}\p{Canadian_Aboriginal}]")
# Zero-width blanks, soft hyphens, direction marks: nobody reads them.
_UNSEEN = regex.compile(r"\p{Cf}+")
_RULER = regex.compile(r"[\s|:+=_~-]+")
_FENCED = regex.compile(r"(?s)\s*```[^\n`]*\n(?P<code>.*?)(?:```\s*)?")

_QUESTION = regex.compile(
    r"[?？؟;՞፧⁇](?:\W|$)|か[。．\s]*$|[吗嗎呢][。\s]*$"
    r"|(?:ไหม|มั้ย|หรือไม่|หรือเปล่า|อะไร|ใด|ใคร|ไหน|เท่าไร|เท่าไหร่|เมื่อไร|เมื่อไหร่)(?:ครับ|คะ)?\s*$"
)
# Questions in English that want more than a word, and requests for a text that are put as questions.
_WANTS_A_TEXT = regex.compile(
    r"(?i)\bhow (?!many|much|old|tall|long|far|big|large|high|deep|often|heavy|fast|wide)|\bwhy\b"
    r"|\b(?:can|could|would|will) (?:you|i|we)\b"
    r"|\b(?:write|create|describe|explain|tell|say|draft|word|text|list|give|make|rewrite|should i)\b"
)
_BRIEFLY = regex.compile(
    r"(?i)\b(?:in|with|using) (?:just |only |exactly )?(?:one|a single|two|1|2) words?\b"
    r"|\b(?:one|single)[- ]word (?:answer|reply|response)|\byes or no\b|\btrue or false\b"
    r"|\bonly (?:the|a|one) (?:number|name|word|letter|date|year|answer|result)\b"
    r"|\b(?:number|name|word|letter|date|year|answer|result) only\b"
    r"|^\W*(?:compute|calculate|solve|convert|count|translate|spell)\b"
)


def repetition(text: str) -> float:
    """The share of 4-grams that were there before, from 0 to 1 (seq-rep-4; Welleck et al. 2020, section 3).

    Words and punctuation marks count, so that loops of either are seen.
    """
    return _repeated(_grams(_tokens(text)))


def own_words(request: str, text: str) -> tuple[float, float]:
    """How many words of ``text`` are outside runs of four or more from ``request``, and how many it has."""
    known = set(_grams(_words(request)))
    words = _words(text)
    copied = {i + k for i, gram in enumerate(_grams(words)) if gram in known for k in range(len(gram))}
    own = sum(_size(word) for i, word in enumerate(words) if i not in copied)
    return own / WORD, sum(map(_size, words)) / WORD


def repeats_itself(text: str) -> bool:
    """Whether more than 30 % of the 4-grams are repeats, in words and marks as in words or marks alone.

    So the marks of tables, code and lists, which are alike in every line, make no loop by themselves. Nor do
    a table's rulers, nor the refrain of a poem or a song: a short line that returns after a new one.
    """
    if repetition(text) <= MOST_REPEATED:
        return False
    tokens = _tokens(_without_refrains(text))
    grams = _grams(tokens)
    if _repeated(grams) <= MOST_REPEATED:
        return False
    if _repeated(_grams([token for token in tokens if not _is_mark(token)])) > MOST_REPEATED:
        return True
    marks = [gram for gram in grams if all(map(_is_mark, gram))]
    return (len(marks) - len(set(marks))) / len(grams) > MOST_REPEATED


def degeneracy(request: str, text: str, *, may_copy: bool = False, brief: bool = False) -> str:
    """What keeps a text from being an answer, in one sentence; empty where nothing does.

    A text is degenerate where it repeats itself (see ``repeats_itself``), where it has fewer than five words
    of its own (JSON and code in a fence: two), or where more than half of its words are copied from the
    request in runs of four or more.

    Where the request is one that a word can answer, a letter, number or picture is enough, and only the
    request sent back is a copy. Such requests are one short line with a question (in English none with "how",
    "why" or "can you"), or one that says that little is wanted ("yes or no", "in one word", "calculate …").

    Args:
        may_copy: look for repetition only, as the request asks for its own words or for a word or two.
        brief: a word is enough, whatever the request looks like.
    """
    if repeats_itself(text):
        return "The answer repeats itself."
    if may_copy:
        return ""
    if _sent_back(request, text):
        return "The answer copies the request."
    own, words = own_words(request, text)
    if brief or wants_a_word(request):
        return "" if any(map(_means_something, text)) else "The answer says nothing."
    fewest = FEWEST_IN_CODE if _is_code(text) else FEWEST_OWN_WORDS
    if own < min(fewest, words) or own < words / 2:
        return "The answer copies the request."
    return "The answer says nothing." if own < fewest else ""


def wants_a_word(request: str) -> bool:
    """Whether a word may be the whole answer to a request: see ``degeneracy``."""
    request = request.strip()
    if "\n" in request or (words := own_words("", request)[1]) > LONGEST_BRIEF_REQUEST:
        return False
    if _BRIEFLY.search(request):
        return True
    question = _QUESTION.search(request)
    if not question or _WANTS_A_TEXT.search(request):
        return False
    # What follows a question may well be how long the answer is to be.
    return len(request) - question.end() < 3 or words <= LONGEST_BRIEF_REQUEST // 2


def task_degeneracy(task: Task, text: str) -> str:
    """``degeneracy`` of a response to a task, as far as the task's rules let it be told."""
    request = "\n".join(message.content for message in as_chat(task.prompt) if message.role == "user")
    may_copy = any(check.id in MAY_COPY for check in task.checks)
    return degeneracy(request, text, may_copy=may_copy, brief=any(map(_allows_few_words, task.checks)))


def _sent_back(request: str, text: str) -> bool:
    """Whether the words of the text are those of the request and nothing else, once or more."""
    asked, said = _words(request), _words(text)
    return bool(said) and said == asked * (len(said) // max(1, len(asked)))


def _allows_few_words(check: Check) -> bool:
    most = check.args.get("num_words")
    return (
        check.id == "length_constraints:number_words"
        and check.args.get("relation") == "less than"
        and isinstance(most, int)
        and most <= 2 * FEWEST_OWN_WORDS
    )


def _means_something(character: str) -> bool:
    """A letter, a digit or a picture; no mark, since rules ask for those."""
    return character.isalnum() or (not character.isascii() and bool(regex.match(r"\p{S}", character)))


def _is_code(text: str) -> bool:
    fenced = _FENCED.fullmatch(text)
    if fenced:
        return bool(fenced["code"].strip())
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _without_refrains(text: str) -> str:
    """The text without its rulers and without lines that return, if short and after a new line."""
    kept: list[str] = []
    lines = [line for line in text.splitlines() if line.strip()]
    last: dict[str, int] = {}
    news = 0  # lines that were new, so far
    after_ruler = False
    for line in lines:
        ruler = bool(_RULER.fullmatch(line))
        if not (ruler and not after_ruler):
            known = " ".join(line.lower().split())
            returns = known in last and last[known] < news and own_words("", line)[1] <= LONGEST_REFRAIN
            news += known not in last
            last[known] = news
            if not returns:
                kept.append(line)
        after_ruler = ruler
    return "\n".join(kept)


def _tokens(text: str) -> list[str]:
    text = text.lower()
    if text.isascii():
        return _TOKEN.findall(text)
    text = _UNSEEN.sub("", text)
    return (_CUT_TOKEN if _BY_CHARACTER.search(text) else _TOKEN).findall(text)


def _words(text: str) -> list[str]:
    return [token for token in _tokens(text) if not _is_mark(token)]


def _is_mark(token: str) -> bool:
    return len(token) == 1 and not token.isalnum() and not _WORD.match(token)


@functools.lru_cache(maxsize=1 << 14)
def _weight(token: str) -> int:
    """What a token weighs in runs of words."""
    if token.isascii() or not _BY_CHARACTER.match(token):
        return WORD
    return next((weight for script, weight in _WEIGHTS if script.match(token)), 3)


@functools.lru_cache(maxsize=1 << 14)
def _size(word: str) -> int:
    """What a word weighs where words are counted."""
    if word.isascii() or _ALPHABETS.fullmatch(word) or _BY_CHARACTER.match(word):
        return _weight(word)
    letters = 2 if _SYLLABARIES.match(word) else 4
    return max(WORD, WORD * len(word) // letters)


def _grams(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    """From each token on, as many as make four words together."""
    ends = list(accumulate(map(_weight, tokens), initial=0))
    if ends[-1] == WORD * len(tokens):
        return [tuple(tokens[i : i + RUN]) for i in range(len(tokens) - RUN + 1)]
    grams, stop = [], 0
    for start in range(len(tokens)):
        while stop < len(tokens) and ends[stop] - ends[start] < RUN * WORD:
            stop += 1
        if ends[stop] - ends[start] < RUN * WORD:
            break
        grams.append(tuple(tokens[start:stop]))
    return grams


def _repeated(grams: Sequence[tuple[str, ...]]) -> float:
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
