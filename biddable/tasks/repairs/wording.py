"""Repairs of words, letters and commas. Each takes the body and the rule's arguments and gives the mended
body, the body itself where nothing is amiss, or None where no sensible edit exists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from biddable.tasks.compose import conflicts as ids
from biddable.tasks.repairs.context import Context
from biddable.tasks.repairs.text import (
    DETERMINERS,
    FUNCTION_WORDS,
    content_words,
    joined,
    sentences,
    with_sentence,
    words,
)

Args = Mapping[str, Any]

# Work for nouns, verbs and adjectives alike, since a keyword can be any of them.
KEYWORD_SENTENCES = (
    "In short: {}.",
    "It all comes down to {}.",
    "Worth a mention: {}.",
    "Above all: {}.",
    "Never forget {}.",
    "And then there is the matter of {}.",
)
MAX_ADDED = 3
MAX_SENTENCES = 2
"""How many mentions of a word, or stock sentences, are added at most; more would be padding."""

LETTER_SENTENCES = (
    "Thank you so much for taking the time to read this.",
    "Keep that in mind.",
    "Feel free to come back whenever you like.",
    "Every little bit helps.",
    "Good luck and have fun.",
    "Just give it a try and you will quickly see why it works.",
    "That would be lovely.",
    "I hope to hear from you very soon.",
    "Call me back if you can.",
    "Make of it what you will.",
    "Big plans begin with baby steps.",
    "Pick whatever works for you.",
    "Don't give up halfway.",
)
NEUTRAL_NOUNS = ("thing", "one", "matter")


def forbidden_words(body: str, args: Args, context: Context) -> str | None:
    """Replace forbidden words by neutral ones, or drop them where they only qualify the next word."""
    for word in args["forbidden_words"]:
        body = _neutralized(body, rf"\b{re.escape(word)}\b", 0, context)
    return body


def word_frequency(body: str, args: Args, context: Context) -> str | None:
    """Add mentions of a word, or replace those beyond the limit."""
    keyword, wanted = args["keyword"].strip(), args["frequency"]
    count = len(re.findall(re.escape(keyword), body, re.IGNORECASE))
    if args["relation"] == "less than":
        return _neutralized(body, rf"\w*{re.escape(keyword)}\w*", wanted - 1, context)
    missing = wanted - count
    if missing <= 0:
        return body
    if missing > MAX_ADDED:
        return None
    return _mentioning(body, [keyword, *[f"more {keyword}"] * (missing - 1)], context)


def keyword_existence(body: str, args: Args, context: Context) -> str | None:
    """Mention the missing keywords in a sentence of their own."""
    missing = [word for word in args["keywords"] if not re.search(re.escape(word), body, re.IGNORECASE)]
    if not missing:
        return body
    return _mentioning(body, missing, context) if len(missing) <= MAX_ADDED else None


def letter_frequency(body: str, args: Args, context: Context) -> str | None:
    """Add a stock sentence or two rich in the letter, or drop the sentences that hold most of it."""
    letter, wanted = args["letter"].lower(), args["let_frequency"]
    if args["let_relation"] == "less than":
        return _with_fewer(body, letter, wanted)
    if not context.may_add_english:
        return None
    stock = [sentence for sentence in LETTER_SENTENCES if context.allows(sentence)]
    for _ in range(MAX_SENTENCES):
        missing = wanted - body.lower().count(letter)
        if missing <= 0:
            break
        # The shortest that does it alone, or else the richest.
        best = min(stock, key=lambda sentence: (-min(sentence.lower().count(letter), missing), len(sentence)))
        stock.remove(best)
        body = with_sentence(body, best)
    return body if body.lower().count(letter) >= wanted else None


def no_comma(body: str, args: Args, context: Context) -> str:
    """Drop commas; between the items of a list, "and" takes their place."""
    body = re.sub(
        r"(?<=\d),(?=\d)|,(?=\s+(?:and|or|but|so|because|which|who|while|yet|when|where)\b)", "", body
    )
    item = re.compile(r"(?P<before>\S+),(?P<item> [\w'-]+(?: [\w'-]+)?)(?=,| and | or )")

    def listed(match: re.Match[str]) -> str:
        start = match.string[: match.start()].rstrip()
        opens_sentence = not start or start[-1] in ".!?:\n"
        return f"{match['before']}{'' if opens_sentence else ' and'}{match['item']}"

    return item.sub(listed, body).replace(",", "")


def capital_words(body: str, args: Args, context: Context) -> str | None:
    """Put more words into capitals, or take words out of them."""
    wanted = args["capital_frequency"]
    capitals = [word for word in re.findall(r"[^\W_]+(?:[.-]\w+)*", body) if word.isupper()]
    if args["capital_relation"] == "less than":
        for word in reversed(capitals):
            if len(capitals) < wanted:
                break
            if len(word) > 1 and word.isalpha():
                body = re.sub(rf"\b{word}\b", word.capitalize(), body, count=1)
                capitals.remove(word)
        return body if len(capitals) < wanted else None
    for word in sorted(set(content_words(body)), key=lambda word: (-len(word), word)):
        if len(capitals) >= wanted:
            break
        if not word.isupper():
            body = re.sub(rf"\b{word}\b", word.upper(), body, count=1)
            capitals.append(word)
    return body if len(capitals) >= wanted else None


def _mentioning(body: str, phrases: Sequence[str], context: Context) -> str | None:
    if not context.may_add_english:
        return None
    if ids.SENTENCES in context.rules and context.rules[ids.SENTENCES]["relation"] == "less than":
        # No room for a sentence: into brackets before the last full stop.
        return re.sub(r"([.!?]?[\"”*)]*)\s*$", lambda end: f" ({joined(phrases)}){end[1]}", body, count=1)
    sentence = context.choose([template.format(joined(phrases)) for template in KEYWORD_SENTENCES])
    return None if sentence is None else with_sentence(body, sentence)


def _neutralized(body: str, pattern: str, keep: int, context: Context) -> str:
    """``body`` with all matches but the first ``keep`` replaced by something neutral."""
    pieces, last = [], 0
    for match in list(re.finditer(pattern, body, re.IGNORECASE))[keep:]:
        pieces += [body[last : match.start()], _neutral(body, match, context)]
        last = match.end()
    if not pieces:
        return body
    text = "".join([*pieces, body[last:]])
    text = re.sub(r"\b([Aa])n (?=thing|matter|one)", r"\1 ", text)
    return re.sub(r"(?<=\S) {2,}", " ", text)


def _neutral(body: str, match: re.Match[str], context: Context) -> str:
    before = re.findall(r"[\w']+|[.!?\n]", body[: match.start()])
    after = re.match(r" ([A-Za-z'-]+)", body[match.end() :])
    previous = before[-1].lower() if before else "."
    word = match[0].lower()
    # "The kitchen sink" keeps its noun without the kitchen; in "the kitchen smells" a verb comes next.
    qualifies = (
        after
        and after[1].lower() not in FUNCTION_WORDS
        and not after[1].endswith(("s", "ed", "ing"))
        and (previous in DETERMINERS or after[1].istitle())
    )
    if qualifies or word.endswith("ly"):
        return ""
    if previous == "to":
        neutral = "handle"
    elif word.endswith("s") and not word.endswith("ss"):
        neutral = "things"
    elif previous.isalpha() and previous not in FUNCTION_WORDS - DETERMINERS:
        neutral = next(noun for noun in (*NEUTRAL_NOUNS, "it") if noun == "it" or context.allows(noun))
    else:
        neutral = "it"
    return neutral.capitalize() if previous in {".", "!", "?", "\n"} else neutral


def _with_fewer(body: str, letter: str, wanted: int) -> str | None:
    text = body
    while text.lower().count(letter) >= wanted:
        worst = max(sentences(text), key=lambda sentence: sentence.lower().count(letter))
        text = re.sub(rf"[ \t]*{re.escape(worst)}", "", text, count=1).strip()
        if 2 * len(words(text)) < len(words(body)):
            return None
    return text
