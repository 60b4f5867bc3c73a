"""Arguments are checked before anything is scored; rules describe themselves; others can add theirs."""

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.judges.ifeval import RULES, Arg, Finding, Rule, check, conflicts, describe, register, validate
from judges.ifeval.test_rules import OBEYED

WORDS = "length_constraints:number_words"
NTH = "length_constraints:nth_paragraph_first_word"

WRONG = [
    (WORDS, {"num_words": 3}, "kwargs.relation is missing"),
    (WORDS, {"num_words": 3, "relation": None}, "kwargs.relation is None"),
    (WORDS, {"num_words": 3, "relation": "at most"}, "kwargs.relation is 'at most'"),
    (WORDS, {"num_words": 3, "relation": ["at least"]}, "kwargs.relation is"),
    (WORDS, {"num_words": -1, "relation": "at least"}, "kwargs.num_words is -1"),
    (WORDS, {"num_words": 3.5, "relation": "at least"}, "kwargs.num_words is 3.5"),
    (WORDS, {"num_words": -3.0, "relation": "at least"}, "kwargs.num_words is -3.0"),
    (WORDS, {"num_words": float("nan"), "relation": "at least"}, "kwargs.num_words is nan"),
    (WORDS, {"num_words": float("inf"), "relation": "at least"}, "kwargs.num_words is inf"),
    (WORDS, {"num_words": "three", "relation": "at least"}, "kwargs.num_words is 'three'"),
    (WORDS, {"num_words": "", "relation": "at least"}, "kwargs.num_words is ''"),
    (WORDS, {"num_words": [3], "relation": "at least"}, "kwargs.num_words is [3]"),
    (WORDS, {"num_words": True, "relation": "at least"}, "kwargs.num_words is True"),
    (
        WORDS,
        {"num_words": 3, "relation": "at least", "keyword": "x"},
        "kwargs.keyword is 'x', expected no such",
    ),
    ("punctuation:no_comma", {"relation": ""}, "kwargs.relation is '', expected no such"),
    (NTH, {"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "a"}, "kwargs.nth_paragraph is 3"),
    (NTH, {"num_paragraphs": 2, "nth_paragraph": 0, "first_word": "a"}, "kwargs.nth_paragraph is 0"),
    (NTH, {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": " "}, "kwargs.first_word is ' '"),
    ("keywords:existence", {"keywords": []}, "kwargs.keywords is []"),
    ("keywords:existence", {"keywords": "word"}, "kwargs.keywords is 'word'"),
    ("keywords:existence", {"keywords": ["a", 1]}, "kwargs.keywords is"),
    ("keywords:existence", {"keywords": ["(a"]}, "valid regular expression"),
    ("keywords:frequency", {"keyword": "[", "frequency": 1, "relation": "at least"}, "kwargs.keyword is '['"),
    ("language:response_language", {"language": "German"}, "kwargs.language is 'German'"),
    ("startend:end_checker", {"end_phrase": " "}, "kwargs.end_phrase is ' '"),
    *(
        (
            "keywords:letter_frequency",
            {"letter": bad, "let_frequency": 1, "let_relation": "at least"},
            "kwargs.letter",
        )
        for bad in ("", " ", "ab", 3, None)
    ),
]


FORBIDDEN = "keywords:forbidden_words"
FREQUENCY = "keywords:frequency"
SECTIONS = "detectable_format:multiple_sections"
POSTSCRIPT = "detectable_content:postscript"

# Each is put between other signs, stripped or made lower case by its rule, and is no regular expression then.
WRONG_IN_THEIR_RULE = [
    (FORBIDDEN, {"forbidden_words": ["bar", "(?i)foo"]}, "kwargs.forbidden_words is ['bar', '(?i)foo']"),
    (FREQUENCY, {"keyword": "a\\ ", "frequency": 1, "relation": "at least"}, "kwargs.keyword is 'a"),
    (SECTIONS, {"section_spliter": "(?i)Section", "num_sections": 1}, "kwargs.section_spliter is '(?i)"),
    (POSTSCRIPT, {"postscript_marker": "(?P<x>PS)"}, "kwargs.postscript_marker is '(?P<x>PS)'"),
    (POSTSCRIPT, {"postscript_marker": r"\Z"}, "kwargs.postscript_marker is "),
    (POSTSCRIPT, {"postscript_marker": "[Z-a]"}, "kwargs.postscript_marker is '[Z-a]'"),
    # Two that ``re`` refuses with other errors than its own.
    ("keywords:existence", {"keywords": ["a{4294967296}"]}, "kwargs.keywords is ['a{4294967296}']"),
    ("keywords:existence", {"keywords": ["(?a)(?u)x"]}, "kwargs.keywords is ['(?a)(?u)x'], expected"),
    ("keywords:existence", {"keywords": ["(" * 5000 + ")" * 5000]}, "kwargs.keywords is ['((("),
]


@pytest.mark.parametrize(
    ("id", "kwargs", "message"), WRONG + WRONG_IN_THEIR_RULE, ids=lambda part: str(part)[:60]
)
def test_wrong_arguments_are_named(id, kwargs, message):
    for use in (validate, describe, lambda id, kwargs: check(id, kwargs, "A response.")):
        with pytest.raises(InputError) as caught:
            use(id, kwargs)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("id", "kwargs", "response"),
    [
        (FORBIDDEN, {"forbidden_words": ["foo|bar", "(?i:baz)", r"(?P<x>q)\1"]}, "tofu, a q"),
        (FREQUENCY, {"keyword": " (?i)Cat ", "frequency": 1, "relation": "at least"}, "a cat"),
        (SECTIONS, {"section_spliter": " (?:Part|Day) ", "num_sections": 2}, "Part 1 Day 2"),
        (POSTSCRIPT, {"postscript_marker": r"(?:PS|NB)\S"}, "nb x"),  # in lower case \S is \s
    ],
)
def test_what_makes_a_regular_expression_in_its_rule_is_accepted(id, kwargs, response):
    assert check(id, kwargs, response)


@pytest.mark.parametrize("three", [3, 3.0, "3", " 3 ", "3.0", np.int64(3), np.float32(3), np.str_("3")])
def test_whole_numbers_as_others_write_them(three):
    kwargs = {"num_words": three, "relation": "at least", "keyword": None}
    assert validate(WORDS, kwargs) == {"num_words": 3, "relation": "at least"}
    assert describe(WORDS, kwargs) == "Write at least 3 words."
    assert check(WORDS, kwargs, "one two three")
    assert not check(WORDS, kwargs, "one two")


def test_lists_and_codes_as_others_write_them():
    assert check("keywords:existence", {"keywords": np.array(["one", "two"], dtype=object)}, "one two")
    assert check("keywords:existence", {"keywords": np.array(["one", "two"])}, "one two", fixed=True)
    for code in ("EN", "zh-CN", "zh_TW"):
        assert validate("language:response_language", {"language": code})["language"] in (
            "en",
            "zh-cn",
            "zh-tw",
        )


def test_the_field_can_be_named_by_the_caller():
    with pytest.raises(InputError, match=r"^kwargs\[2\]\.relation is missing"):
        validate(WORDS, {"num_words": 3}, field="kwargs[2]")


def test_an_unknown_id_is_answered_with_near_ones():
    with pytest.raises(InputError, match=r"instruction_id is 'punctuation:no_comas'.*punctuation:no_comma"):
        check("punctuation:no_comas", {}, "x")
    with pytest.raises(InputError, match=r"such as punctuation:no_comma"):
        check("PUNCTUATION:NO_COMMA", {}, "x")
    for call in (conflicts, lambda id: describe(id, {})):
        with pytest.raises(InputError, match="a known instruction id"):
            call("nonsense")


@pytest.mark.parametrize("response", [None, 3, b"bytes", ["a"]])
def test_a_response_must_be_a_string(response):
    with pytest.raises(InputError, match=r"^response is .* expected a string"):
        check("punctuation:no_comma", {}, response)


@pytest.mark.parametrize("id", sorted(OBEYED))
def test_a_description_mentions_every_argument(id):
    for kwargs, _ in OBEYED[id]:
        sentence = describe(id, kwargs)
        assert "{" not in sentence
        for value in kwargs.values():
            for part in value if isinstance(value, list) else [value]:
                shown = {"de": "German", "hi": "Hindi", "fi": "Finnish"}.get(part, str(part).strip())
                assert shown in sentence


def test_descriptions_are_grammatical_in_number():
    assert describe(WORDS, {"num_words": 1, "relation": "at least"}) == "Write at least 1 word."
    assert describe(WORDS, {"num_words": 30, "relation": "less than"}) == "Write less than 30 words."


@pytest.fixture
def palindrome():
    rule = Rule(
        "letters:palindrome",
        "Write a palindrome of {length:letter}.",
        lambda text, length: Finding(text.raw == text.raw[::-1] and len(text.raw) == length, "…"),
        {"length": Arg(lambda value: isinstance(value, int), "an integer", lambda n: f"{n}")},
    )
    yield rule
    RULES.pop(rule.id, None)


def test_a_rule_of_ones_own(palindrome):
    register(palindrome)
    assert check("letters:palindrome", {"length": 5}, "level")
    assert not check("letters:palindrome", {"length": 5}, "hello")
    assert conflicts("letters:palindrome") == {"letters:palindrome"}
    with pytest.raises(InputError, match="not taken"):
        register(palindrome)


def test_an_id_has_a_group_and_a_name():
    with pytest.raises(InputError, match=r"rule\.id is 'palindrome'"):
        register(Rule("palindrome", "", lambda text: Finding(True, "")))
