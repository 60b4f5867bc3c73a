"""The frame around the body of a response: removed before the body is edited, put back afterwards.

So a cut never takes the postscript along, and an added sentence never follows the words to end with.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from biddable.tasks.compose import conflicts as ids
from biddable.tasks.repairs.context import Context
from biddable.tasks.repairs.text import content_words, paragraphs, words

Rules = Mapping[str, Mapping[str, Any]]

AFTERTHOUGHTS = (
    "There is more to say, but this will do for now.",
    "I almost forgot to say thank you for asking.",
    "Let me know how it goes.",
    "It is well worth it.",
    "Have a lovely day.",
    "Do come back if anything is unclear.",
)
LOOSE_END = 15
"""How many words behind the phrase to end with are given up for it."""


@dataclass(slots=True)
class Frame:
    """The parts around the body; None where the response lacks one or the task does not ask for it."""

    repeated: str | None = None
    title: str | None = None
    postscript: str | None = None
    ending: str | None = None
    quoted: bool = False
    as_json: Callable[[str], str] | None = None


def take_apart(text: str, rules: Rules) -> tuple[Frame, str]:
    """The frame that the response has of those that the task asks for, and the body."""
    frame, body = Frame(), text.strip()
    if ids.JSON in rules:
        frame.as_json, body = _json_parts(body)
    if ids.QUOTATION in rules:
        frame.quoted = len(body) > 1 and body[0] == body[-1] == '"'
        body = body.strip('"“” \n') if frame.quoted else body
    if ids.REPEAT_PROMPT in rules:
        frame.repeated, body = _repeated(body, rules[ids.REPEAT_PROMPT]["prompt_to_repeat"])
    if ids.TITLE in rules and (match := re.match(r"[\s#*]*(<<[^\n]*\S[^\n]*>>)[ *]*\n?", body)):
        frame.title, body = match[1], body[match.end() :].strip()
    if ids.END in rules:
        phrase = re.escape(rules[ids.END]["end_phrase"].strip())
        if match := re.search(rf"\s*{phrase}[\"”\s]*$", body, re.IGNORECASE):
            frame.ending, body = body[match.start() :], body[: match.start()]
    if ids.POSTSCRIPT in rules:
        marker = _marker_pattern(rules[ids.POSTSCRIPT]["postscript_marker"])
        if match := re.search(rf"\n\s*{marker}.*\Z", body, re.IGNORECASE | re.DOTALL):
            frame.postscript, body = match[0].strip(), body[: match.start()]
    return frame, body.rstrip()


def complete(frame: Frame, body: str, context: Context) -> str | None:
    """Add what the frame lacks, in place; the body, which may have held it in another form, or None."""
    rules = context.rules
    if ids.REPEAT_PROMPT in rules and frame.repeated is None:
        frame.repeated = rules[ids.REPEAT_PROMPT]["prompt_to_repeat"]
    if ids.TITLE in rules and frame.title is None and not re.search(r"<<[^\n]*\S[^\n]*>>", body):
        frame.title, body = _title(body, context)
    if ids.END in rules and frame.ending is None:
        phrase = rules[ids.END]["end_phrase"].strip()
        body = _without_loose_end(body, phrase)
        frame.ending = (" " if "\n" not in body else "\n" if ids.FIRST_WORD in rules else "\n\n") + phrase
    if ids.POSTSCRIPT in rules and frame.postscript is None:
        marker = rules[ids.POSTSCRIPT]["postscript_marker"]
        if re.search(_marker_pattern(marker), body, re.IGNORECASE):
            return body
        if not context.may_add_english or (thought := context.choose(AFTERTHOUGHTS)) is None:
            return None
        loose = re.search(r"\n\s*P\.? ?(?:P\.? ?)?S\b[.:]*\s*(.+)\Z", body, re.DOTALL)
        if loose:
            thought, body = loose[1].strip(), body[: loose.start()]
        frame.postscript = f"{marker} {thought}"
    return body


def put_together(frame: Frame, body: str, rules: Rules) -> str:
    """The whole response, in capitals or small letters where the task says so."""
    text = "\n\n".join(filter(None, [frame.repeated, frame.title, body.strip(), frame.postscript]))
    text += frame.ending or ""
    if ids.CAPITAL in rules:
        text = text.upper()
    if ids.LOWERCASE in rules:
        text = text.lower()
    if ids.QUOTATION in rules:
        text = '"' + text.strip('"“” \n') + '"'
    return frame.as_json(text) if frame.as_json else text


def _marker_pattern(marker: str) -> str:
    letters = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}
    return letters.get(marker.strip(), re.escape(marker.strip()))


def _repeated(body: str, prompt: str) -> tuple[str | None, str]:
    """Split off the request where the response repeats it, in so many words or nearly, at its start."""
    wanted = prompt.strip()
    if body.lower().startswith(wanted.lower()):
        return body[: len(wanted)], body[len(wanted) :].strip()
    first, *rest = paragraphs(body)
    if difflib.SequenceMatcher(None, first.strip('"*“” ').lower(), wanted.lower()).ratio() > 0.7:
        return None, "\n\n".join(rest)
    return None, body


def _title(body: str, context: Context) -> tuple[str, str]:
    """A title in angle brackets: the response's own heading, or its commonest word."""
    own = re.match(r"(?:#+ *|\*\*|Title: *|Subject: *)\W*([^\n]+?)[\s*#\"]*(?:\n|\Z)", body)
    if own and len(words(own[1])) <= 12 and context.allows(own[1]):
        return f"<<{own[1].strip()}>>", body[own.end() :].strip()
    heading = context.rules.get(ids.SECTIONS, {}).get("section_spliter", "").lower()
    topics = [
        word for word in map(str.lower, content_words(body)) if word != heading and context.allows(word)
    ]
    counts = Counter(topics)
    topic = max(topics, key=lambda word: (counts[word], len(word)), default="untitled")
    return f"<<{topic.capitalize()}>>", body


def _without_loose_end(body: str, phrase: str) -> str:
    """``body`` up to the phrase to end with, if it is there already and little follows."""
    at = body.lower().rfind(phrase.lower())
    if at >= 0 and len(words(body[at + len(phrase) :])) <= LOOSE_END:
        return body[:at].rstrip()
    return body.rstrip()


def _json_parts(text: str) -> tuple[Callable[[str], str], str]:
    """How to put an edited body back into JSON, and the body: its longest string, or else the text."""
    for candidate in (text, *re.findall(r"(?s)\{.*\}|\[.*\]", text)):
        try:
            value = json.loads(re.sub(r",(\s*[}\]])", r"\1", candidate))
        except ValueError:
            continue
        leaves = list(_string_leaves(value))
        if leaves:
            container, key = max(leaves, key=lambda leaf: len(leaf[0][leaf[1]]))
            return partial(_json_with, value, container, key), container[key]
    plain = re.sub(r"^```\w*\s*|\s*```$", "", text).strip()
    return lambda body: json.dumps({"response": body}, ensure_ascii=False), plain


def _json_with(value: Any, container: Any, key: Any, body: str) -> str:
    container[key] = body
    return json.dumps(value, ensure_ascii=False, indent=2)


def _string_leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """``(container, key)`` of every string within dictionaries and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(item, str):
            yield value, key
        else:
            yield from _string_leaves(item)
