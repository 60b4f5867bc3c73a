"""Regular expressions of others: what they find, and that none takes for ever."""

from __future__ import annotations

import contextlib
import re
import time

import pytest

from biddable.errors import InputError
from biddable.judges.ifeval import check, evaluate
from biddable.judges.patterns import EndlessPattern, Pattern, pattern
from biddable.types import Check, Task, user

TEXTS = (
    "The colour of cats, Colors of DOGS; the dog's tail (grey) cost 3.50 $ on 12/05.",
    "Straße, ÉTÉ, naïve café, İstanbul, ΣΊΣΥΦΟΣ, K (Kelvin)",
    "P.S. one\n\np. s. two\tthree\u00a0four  five",
    "富士山は高い。 12３",
    "",
)
EXPRESSIONS = (
    r"colou?r",
    r"(cat|dog)s?",
    r"c+",
    r"C++",
    r"\bthe\b",
    r"\d+",
    r"[a-z]{3,5}",
    r"(?:a|e)\w*",
    r"s$",
    r"^p",
    r"été|café",
    r"straße",
    r"p\.\s?s\.",
    r"x*",
    r"(o)\1",
    r"(?=c)c|\.",
    r"k",
    r".",
)
ENDLESS = ("(a|a)*$", "(?:a|a|b)+c(?<!bc)$", "(a|aa)+$", r"(\w|a)*!$")
TEXT = "a" * 60 + "!!"


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("frame", ["{}", r"\b{}\b", r"\s?{}\s?\d+\s?"])
@pytest.mark.parametrize("flags", [re.NOFLAG, re.IGNORECASE])
def test_the_same_is_found_as_by_re(expression: str, frame: str, flags: re.RegexFlag) -> None:
    known = re.compile(frame.replace("{}", expression), flags)
    for text in TEXTS:
        assert pattern(expression, frame, flags).found_in(text) == bool(known.search(text))
        assert pattern(expression, frame, flags).count_in(text) == len(known.findall(text))


@pytest.mark.parametrize(
    "invalid", ["(", "a**", "[", "(?P<a>x)(?P<a>y)", "a{2}{3}{", "((a{1000}){1000}){1000}", r"\1"]
)
def test_what_cannot_be_searched_with(invalid: str) -> None:
    try:
        re.compile(invalid)
    except re.error:
        pass
    else:
        if "1000" not in invalid:
            pytest.skip("valid after all")
    with pytest.raises(re.error):
        Pattern(invalid)
    with pytest.raises(InputError, match="valid regular expression"):
        check("keywords:existence", {"keywords": [invalid]}, "aaa")


@pytest.mark.parametrize("expression", ENDLESS)
def test_a_search_has_an_end(expression: str) -> None:
    started = time.process_time()
    with contextlib.suppress(EndlessPattern):  # some of them regex can do
        pattern(expression).found_in(TEXT)
    assert time.process_time() - started < 4


def test_what_is_said_where_it_does_not_end() -> None:
    with pytest.raises(EndlessPattern) as error:
        pattern("(a|a)*$").count_in(TEXT)
    assert str(error.value) == 'The regular expression "(a|a)*$" did not end within 1 s on the response.'


def test_one_bad_expression_fails_its_check_by_name_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    tasks = [
        Task("bad", user("a"), (Check("keywords:existence", {"keywords": ["(a|aa)*$"]}),)),
        Task("good", user("b"), (Check("keywords:existence", {"keywords": ["a+"]}),)),
    ]
    report = evaluate(tasks, {"a": TEXT, "b": TEXT})
    assert [outcome.strict for outcome in report.outcomes] == [(False,), (True,)]
    assert '"(a|aa)*$" did not end within 1 s' in caplog.text
