"""The repaired variants: what they decide differently, and that nothing else changes."""

import pytest

from biddable.errors import InputError
from biddable.judges.ifeval import check, validate
from biddable.judges.ifeval.rule import REPAIRED
from judges.ifeval.test_rules import OBEYED, ROMEO, VIOLATED, cases

# Rules whose repaired variants decide otherwise on plain text too.
WITH_REPAIRED_MEANING = {
    "keywords:existence",
    "keywords:frequency",
    "keywords:forbidden_words",
    "detectable_format:number_bullet_lists",
    "language:response_language",
    "change_case:english_capital",
    "change_case:english_lowercase",
}
SHOUTED = "THE BEST TIME TO VISIT PARIS"

# (id, kwargs, response, as published, repaired)
DIFFERENCES = [
    ("keywords:existence", {"keywords": ["art"]}, "We had a party.", True, False),
    ("keywords:existence", {"keywords": ["C++"]}, "Cats like it.", True, False),
    ("keywords:existence", {"keywords": ["colou?r"]}, "My favourite color.", True, False),
    (
        "keywords:frequency",
        {"keyword": "cat", "frequency": 2, "relation": "at least"},
        "A cat and a concatenation.",
        True,
        False,
    ),
    ("keywords:forbidden_words", {"forbidden_words": ["C++"]}, "Vitamin C helps.", False, True),
    ("length_constraints:nth_paragraph_first_word", ROMEO, "Some.\n\n \n\nRomeo.", False, True),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "- one\n---", False, True),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "* one\n* * *", False, True),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "-5 degrees", True, False),
    ("language:response_language", {"language": "fi"}, "12345!", True, False),
]


@pytest.mark.parametrize(("id", "kwargs", "response", "published", "repaired"), DIFFERENCES)
def test_differences(id, kwargs, response, published, repaired):
    assert check(id, kwargs, response) == published
    assert check(id, kwargs, response, fixed=True) == repaired


def test_a_text_in_capitals_is_read_as_the_english_it_is():
    assert not check("change_case:english_capital", {}, SHOUTED)  # taken for Vietnamese
    assert check("change_case:english_capital", {}, SHOUTED, fixed=True)


def test_case_still_counts():
    assert not check("change_case:english_capital", {}, "Hello there my friend", fixed=True)
    assert not check("change_case:english_lowercase", {}, "Hello there my friend", fixed=True)
    assert check("change_case:english_lowercase", {}, "hello there my friend", fixed=True)


def test_keywords_that_are_no_regular_expressions_are_fine_when_literal():
    kwargs = {"keywords": [":-("]}
    with pytest.raises(InputError, match="valid regular expression"):
        validate("keywords:existence", kwargs)
    assert check("keywords:existence", kwargs, "Too bad :-( really.", fixed=True)


PARAGRAPHS = {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "rivers"}
DIVIDERS = (
    "\n\n",
    "\r\n\r\n",
    "\n \n",
    "\n\t\n",
    "\n\n\n",
    "\r\r",
    "\n\u00a0\n",
    "\n\u3000\n",
    "\n\u200b\n",
    "\r\n \r\n",
)
DIVIDERS += ("\u2029", "\u2028\u2028", "\n \n\t\n", " \n\n", "\v\v", "\u0085\u0085")
FIRST_WORD = "length_constraints:nth_paragraph_first_word"


@pytest.mark.parametrize("divider", DIVIDERS)
def test_paragraphs_are_what_blank_lines_divide(divider):
    text = f"Hills are green.{divider}Rivers run slowly."
    assert check(FIRST_WORD, PARAGRAPHS, text, fixed=True)
    assert not check(FIRST_WORD, {**PARAGRAPHS, "first_word": "hills"}, text, fixed=True)
    assert not check(FIRST_WORD, {**PARAGRAPHS, "num_paragraphs": 3}, text, fixed=True)
    assert check(FIRST_WORD, PARAGRAPHS, text) == (text.count("\n\n") > 0)


def test_a_line_end_alone_divides_nothing():
    for end in ("\n", "\r\n", "\r", "\u2028"):
        assert not check(FIRST_WORD, PARAGRAPHS, f"Hills.{end}Rivers run.", fixed=True)


@pytest.mark.parametrize(
    ("word", "start", "passes"),
    [
        ("rivers", "**Rivers**: run", True),
        ("rivers", "“Rivers run”", True),
        ("rivers", "- Rivers run", True),
        ("rivers", "Rivers：run", True),
        ("rivers", "Ｒｉｖｅｒｓ run", True),
        ("rivers", "\ufeffRivers run", True),
        ("rivers", "Riverside runs", False),
        ("rivers", "The rivers run", False),
        ("I", "I'm here", True),
        ("don't", "Don’t go", True),
        ("caf\u00e9", "Cafe\u0301 first", True),
        ("富士山", "富士山は高い。", True),
        ("富士山", "「富士山」は高い。", True),
        ("富士山", "高い富士山。", False),
        ("서울", "서울은 크다.", True),
        ("ภูเขา", "ภูเขาสูง", True),
    ],
)
def test_how_a_paragraph_starts(word, start, passes):
    kwargs = {**PARAGRAPHS, "first_word": word}
    assert check(FIRST_WORD, kwargs, f"Hills are green.\r\n\r\n{start}", fixed=True) == passes


# (id, kwargs, response, whether it is followed as repaired)
SEEN = [
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* one\r\n* two\r\n* * *\r\n", True),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "*\u00a0one\r*\u3000two", True),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "\u200b* one\n\u00a0- two", True),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "＊　一つ\n＊　二つ", True),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "One.\r\n***\r\nTwo.", True),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "One.\n***\nTwo.\n***\n\u200b", True),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 1}, "A ***very*** good day.", True),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "One.\n＊＊＊\nTwo.", True),
    ("combination:two_responses", {}, "One.\r\n******\r\nTwo.", True),
    ("combination:two_responses", {}, "One.\n******\nTwo.\n******\n\u200b\n", True),
    ("combination:two_responses", {}, "One.\n******\nOne.\r\n", False),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section\u00a01\r\nSection  2",
        True,
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Part", "num_sections": 1},
        "Counterpart 1",
        False,
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "part", "num_sections": 1},
        "Counterpart 1",
        False,
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Part (a)", "num_sections": 1},
        "Part (a) 1",
        True,
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "第", "num_sections": 2},
        "第１章\n第２章",
        True,
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\r\n\r\nP.\u00a0S. More.", True),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "さようなら。\nＰ．Ｓ．追伸", True),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP.P.S. More.", False),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye.\nP. P. S. More.", True),
    ("detectable_content:postscript", {"postscript_marker": "P+S"}, "Bye.\np+s More.", True),
    ("detectable_content:postscript", {"postscript_marker": "追伸"}, "さようなら。追伸：また。", True),
    ("detectable_format:title", {}, "＜＜富士山＞＞\r\n高い。", True),
    ("detectable_format:title", {}, "<<\u200b\u00a0>>\n", False),
    ("detectable_format:title", {}, "<<a\rb>>", False),
    ("startend:end_checker", {"end_phrase": "The end."}, "So. The\r\nend. \u00a0\u200b", True),
    ("startend:end_checker", {"end_phrase": "The end."}, "So. **The end.**", True),
    ("startend:end_checker", {"end_phrase": "The end."}, "“So. The end.”", True),
    ("startend:end_checker", {"end_phrase": '"The end."'}, 'So. "The end."', True),
    ("startend:end_checker", {"end_phrase": "That's all?"}, "So. That’s all？", True),
    ("startend:end_checker", {"end_phrase": "art"}, "So smart", False),
    ("startend:end_checker", {"end_phrase": "The end."}, "The end. Bye.", False),
    ("startend:end_checker", {"end_phrase": "おわり。"}, "これでおわり。\n", True),
    ("startend:quotation", {}, "“All is well.”", True),
    ("startend:quotation", {}, '\ufeff"All is well."\u200b\r\n', True),
    ("startend:quotation", {}, "« Tout va bien. »", True),
    ("startend:quotation", {}, "'All is well.'", False),
    ("startend:quotation", {}, '"', False),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Say\nhello, it's me."},
        "Say\r\nhello, it’s me.\r\nHi.",
        True,
    ),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Straße, bitte."}, "STRASSE, BITTE. Hier.", True),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hello."}, "Hello.", False),
    ("detectable_content:number_placeholders", {"num_placeholders": 1}, "To ［名前］.", True),
    ("detectable_format:constrained_response", {}, "My\u00a0answer is\u00a0yes.", True),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 1}, "*a\rb*", False),
    ("detectable_format:json_format", {}, '\ufeff{"a": 1}\u200b', True),
    ("punctuation:no_comma", {}, "你好，世界。", False),
    ("punctuation:no_comma", {}, "山、川。", False),
    ("punctuation:no_comma", {}, "نعم، هنا.", False),
    ("punctuation:no_comma", {}, "山。川。", True),
    ("keywords:existence", {"keywords": ["富士山", "高い"]}, "富士山は高いです。", True),
    ("keywords:existence", {"keywords": ["AI"]}, "最新のAIは賢い。", True),
    ("keywords:existence", {"keywords": ["AI"]}, "He said it.", False),
    ("keywords:existence", {"keywords": ["caf\u00e9"]}, "A cafe\u0301 here.", True),
    ("keywords:existence", {"keywords": ["New York"]}, "In New\u00a0York\r\nnow.", True),
    ("keywords:existence", {"keywords": ["don't"]}, "I don’t.", True),
    ("keywords:existence", {"keywords": ["Straße"]}, "DIE STRASSE.", True),
    ("keywords:existence", {"keywords": ["istanbul"]}, "İSTANBUL!", True),
    ("keywords:existence", {"keywords": ["well-known"]}, "A well\u2011known man.", True),
    ("keywords:existence", {"keywords": ["mountain"]}, "A moun\u00adtain.", True),
    ("keywords:existence", {"keywords": ["हिन्द"]}, "हिन्दी भाषा", False),
    ("keywords:existence", {"keywords": ["2024"]}, "令和６年は２０２４年。", True),
    ("keywords:forbidden_words", {"forbidden_words": ["山"]}, "富士山は高い。", False),
    ("keywords:frequency", {"keyword": "山", "frequency": 2, "relation": "at least"}, "山と川と山。", True),
    (
        "keywords:letter_frequency",
        {"letter": "\u00e9", "let_frequency": 2, "let_relation": "at least"},
        "E\u0301te\u0301",
        True,
    ),
    (
        "length_constraints:number_words",
        {"num_words": 20, "relation": "at least"},
        "泰山位于山东省中部。它的主峰海拔一千五百多米。",
        True,
    ),
    (
        "length_constraints:number_words",
        {"num_words": 22, "relation": "at least"},
        "泰山位于山东省中部。它的主峰海拔一千五百多米。",
        False,
    ),
    ("length_constraints:number_words", {"num_words": 4, "relation": "at least"}, "iPhone手机 works", True),
    ("length_constraints:number_words", {"num_words": 5, "relation": "less than"}, "iPhone手机 works", True),
    (
        "length_constraints:number_words",
        {"num_words": 8, "relation": "at least"},
        "ภูเขาเป็นสถานที่ที่สวยงามและเงียบสงบ",
        True,
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 4, "relation": "at least"},
        "山です。川です！本当？「はい。」と言った。",
        True,
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 5, "relation": "less than"},
        "山です。川です！本当？「はい。」と言った。",
        True,
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "यह पहाड़ है। वह नदी है।",
        True,
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "هل هذا جبل؟ نعم هو جبل.",
        True,
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "すごい!山が見える.",
        True,
    ),
]


@pytest.mark.parametrize(("id", "kwargs", "response", "followed"), SEEN)
def test_what_a_reader_sees(id, kwargs, response, followed):
    assert check(id, kwargs, response, fixed=True) == followed


@pytest.mark.parametrize(
    ("id", "kwargs", "response"), [case for table in (OBEYED, VIOLATED) for case in cases(table)]
)
def test_plain_texts_are_read_as_before(id, kwargs, response):
    plain = not any(case[:3] == (id, kwargs, response) for case in DIFFERENCES)
    if plain and response.isascii() and "\n \n" not in response and id not in WITH_REPAIRED_MEANING:
        assert check(id, kwargs, response, fixed=True) == check(id, kwargs, response)
        windows = response.replace("\n", "\r\n")
        assert check(id, kwargs, windows, fixed=True) == check(id, kwargs, response)


def test_every_rule_is_repaired():
    assert set(REPAIRED) >= set(OBEYED)
