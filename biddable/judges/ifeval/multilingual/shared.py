"""Rules of other languages that are those of IFEval with something changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from biddable.judges.ifeval.arguments import quoted
from biddable.judges.ifeval.findings import language_name
from biddable.judges.ifeval.repaired import response_language
from biddable.judges.ifeval.rule import REPAIRED, RULES, Arg, Finding, Rule, register
from biddable.judges.ifeval.rules import Check
from biddable.judges.ifeval.text import Text


def relation_in(words: Mapping[str, str]) -> Arg:
    """A relation in another language's words, each with the English one it stands for."""
    return Arg(
        lambda value: value in words.values(),
        " or ".join(f'"{word}"' for word in words),
        read=lambda value: words.get(value, f"no relation: {value}") if isinstance(value, str) else value,
    )


def as_in_english(prefix: str, id: str, check: Check | None = None, **args: Arg) -> None:
    """Register ``prefix:id``: the published rule, and its repaired variant where nothing is changed.

    Arguments that the published rule lacks are not handed on to it.
    """
    rule = RULES[id]
    named = f"{prefix}:{id}"
    register(Rule(named, rule.description, check or without(rule, args), {**rule.args, **args}, rule.at_most))
    if not check and id in REPAIRED:
        repaired = REPAIRED[id]
        REPAIRED[named] = Rule(
            named, rule.description, without(repaired, args), {**repaired.args, **args}, rule.at_most
        )


def refused(id: str, description: str, needs: str, **args: Arg) -> None:
    """Register a rule that is known by name and cannot be decided: it ``needs`` what is never there."""

    def check(text: Text, **given: Any) -> Finding:
        raise NotImplementedError(f"{id} needs {needs}")

    register(Rule(id, description, check, args, needs=lambda: needs))


def without(rule: Rule, args: Mapping[str, Arg]) -> Check:
    """The rule's check, which is not given those of the arguments that it does not take."""
    unknown = [name for name in args if name not in rule.args]

    def check(text: Text, **given: Any) -> Finding:
        return rule.check(text, **{name: value for name, value in given.items() if name not in unknown})

    return check if unknown else rule.check


def one_of(options: Sequence[str]) -> Check:
    """A check that one of the answers is found, in this very case."""

    def check(text: Text) -> Finding:
        given = [option for option in options if option in text.raw]
        if given:
            return Finding(True, f"The response gives an allowed answer: {quoted(given)}.")
        return Finding(False, f"The response gives none of the allowed answers: {quoted(options)}.")

    return check


def titled(before: str, after: str) -> Check:
    """A check that something that is not blank stands between two marks on one line."""

    def check(text: Text) -> Finding:
        lines = text.raw.split("\n")
        titles = [
            title for line in lines if (title := _between(line, before, after).strip(before + after + " "))
        ]
        if titles:
            return Finding(True, f"The response has a title: {quoted(titles)}.")
        return Finding(False, f"The response has no title between {before} and {after}.")

    return check


def _between(line: str, before: str, after: str) -> str:
    """What lies from the first mark to the last, in one pass however many there are."""
    start, end = line.find(before), line.rfind(after)
    return line[start + len(before) : end] if 0 <= start < end - len(before) else ""


def enclosed(*pairs: str) -> Check:
    """A check that the response stands between one of these pairs of marks."""

    def check(text: Text) -> Finding:
        ends = text.stripped[:1] + text.stripped[-1:]
        if len(text.stripped) > 1 and ends in pairs:
            return Finding(True, "The response is in quotation marks.")
        return Finding(False, "The response does not both start and end with a quotation mark.")

    return check


def all_cased(id: str, language: str, code: str, cased: Callable[[str], bool], case: str) -> None:
    """Register a rule: all letters are capitals (or small), and the language is this one or cannot be told.

    The repaired variant tells the language from the text in lower case, as it does in English.
    """

    def check(text: Text) -> Finding:
        if not cased(text.raw):
            return Finding(False, f"Not all letters of the response are {case}.")
        told = "no language that can be told" if text.language is None else language_name(text.language)
        return Finding(text.language in (None, code), f"The response is in {case} letters, in {told}.")

    def repaired(text: Text) -> Finding:
        if not cased(text.raw):
            return Finding(False, f"Not all letters of the response are {case}.")
        return response_language(text, code)

    rule = Rule(id, f"Write the whole response in {language} and in {case} letters only.", check)
    register(rule)
    REPAIRED[id] = dataclasses.replace(rule, check=repaired)
