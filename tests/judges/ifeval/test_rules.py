"""Every rule on responses that obey it and responses that do not, the known defects among them."""

import pytest

from biddable.judges.ifeval import RULES, check

ENGLISH = "the train to the north was late again and nobody at the station knew the reason for it"
GERMAN = "Der Zug nach Hamburg hatte gestern leider wieder mehr als zwanzig Minuten Verspätung."
HINDI = "आज सुबह मैं अपने दोस्तों के साथ बगीचे में घूमने गया था और मौसम बहुत अच्छा था।"

ROMEO = {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Romeo"}

OBEYED = {
    "keywords:existence": [
        ({"keywords": ["art", "Love"]}, "We had a party for lovers."),  # inside words, in any case
        ({"keywords": ["colou?r"]}, "My favourite color."),  # a regular expression
    ],
    "keywords:frequency": [
        ({"keyword": "cat", "frequency": 2, "relation": "at least"}, "A CAT and a concatenation."),
        ({"keyword": " cat ", "frequency": 1, "relation": "at least"}, "(cat)"),  # blanks are stripped
        ({"keyword": "aa", "frequency": 3, "relation": "less than"}, "aaaa"),  # no overlaps: two
        ({"keyword": "dog", "frequency": 1, "relation": "less than"}, "A cat."),
    ],
    "keywords:forbidden_words": [
        ({"forbidden_words": ["art"]}, "We had a party."),
        ({"forbidden_words": ["art", "cat"]}, "artful concatenation"),
    ],
    "keywords:letter_frequency": [
        ({"letter": "A", "let_frequency": 3, "let_relation": "at least"}, "Banana"),
        ({"letter": "z", "let_frequency": 1, "let_relation": "less than"}, "Banana"),
        ({"letter": "#", "let_frequency": 2, "let_relation": "at least"}, "## Heading"),
    ],
    "language:response_language": [
        ({"language": "de"}, GERMAN),
        ({"language": "hi"}, HINDI),
        ({"language": "fi"}, "12345 + 678!"),  # nothing to tell by
    ],
    "length_constraints:number_sentences": [
        ({"num_sentences": 2, "relation": "at least"}, "One here. Two there."),
        (
            {"num_sentences": 3, "relation": "less than"},
            "Dr. Lee met Mr. Poe at 5 p.m. in St. Louis. It rained.",
        ),
    ],
    "length_constraints:number_paragraphs": [
        ({"num_paragraphs": 2}, "One.\n***\nTwo."),
        ({"num_paragraphs": 2}, "***\nOne.\n***\nTwo.\n***"),  # blank first and last pieces are dropped
        ({"num_paragraphs": 1}, "No divider at all."),
        ({"num_paragraphs": 2}, "One.***Two."),
    ],
    "length_constraints:number_words": [
        ({"num_words": 4, "relation": "at least"}, "don't stop-now"),
        ({"num_words": 5, "relation": "less than"}, "don't stop-now"),
        ({"num_words": 3, "relation": "less than"}, "नमस्ते दुनिया"),  # vowel signs do not part words
    ],
    "length_constraints:nth_paragraph_first_word": [
        (ROMEO, "Some words.\n\nRomeo's here."),
        (ROMEO, 'Some words.\n\n\'"romeo" said.'),
        (ROMEO, "Some words.\n\nROMEO! Where?\n\n  \n\n"),  # blank pieces after it do not count
    ],
    "detectable_content:number_placeholders": [
        ({"num_placeholders": 2}, "Dear [name], of [] fame."),
        ({"num_placeholders": 2}, "[a [b] c] [d]"),  # the shortest span each
    ],
    "detectable_content:postscript": [
        ({"postscript_marker": "P.S."}, "Bye.\n\nP. S. Bring bread."),
        ({"postscript_marker": "P.S."}, "in mid-line p.s. too"),
        ({"postscript_marker": "P.P.S"}, "Bye.\nP.P. s without its dot"),
        ({"postscript_marker": "Note:"}, "note: as it stands"),
    ],
    "detectable_format:number_bullet_lists": [
        ({"num_bullets": 2}, "List:\n* one\n  - two"),
        ({"num_bullets": 2}, "- one\n---"),  # a rule counts
        ({"num_bullets": 1}, "* one\n** not one"),
        ({"num_bullets": 0}, "none"),
    ],
    "detectable_format:constrained_response": [
        ({}, "Well. My answer is maybe. Sorry."),
        ({}, "My answer is yes."),
    ],
    "detectable_format:number_highlighted_sections": [
        ({"num_highlights": 2}, "*one* and **two**"),
        ({"num_highlights": 1}, "* a bullet with a *"),  # from asterisk to asterisk
    ],
    "detectable_format:multiple_sections": [
        ({"section_spliter": "Section", "num_sections": 2}, "Section 1\nfoo\nSection2 bar"),
        ({"section_spliter": " SECTION ", "num_sections": 1}, "SECTION 12"),
    ],
    "detectable_format:json_format": [
        ({}, '```json\n{"a": [1, 2]}\n```'),
        ({}, '```JSON\n{"a": 1}```'),
        ({}, '  ```\n["x"]\n```  '),
        ({}, "42"),  # a bare number is JSON
    ],
    "detectable_format:title": [
        ({}, "<<A title>>\n\nText."),
        ({}, "text << x >>"),
    ],
    "combination:two_responses": [
        ({}, "One answer.\n******\nAnother."),
        ({}, "******\nOne.\n******\nTwo.\n******"),
    ],
    "combination:repeat_prompt": [
        ({"prompt_to_repeat": "Say Hi. "}, "  say hi. Hi!"),
    ],
    "startend:end_checker": [
        ({"end_phrase": "Peace!"}, 'All right. "PEACE!"'),
        ({"end_phrase": " peace! "}, "All right. Peace!  \n"),
    ],
    "startend:quotation": [
        ({}, ' "All of it." '),
        ({}, '""'),
    ],
    "change_case:capital_word_frequency": [
        ({"capital_frequency": 3, "capital_relation": "at least"}, "I saw A man from the USA."),
        ({"capital_frequency": 2, "capital_relation": "less than"}, "a WELL-KNOWN man"),  # one word
        ({"capital_frequency": 2, "capital_relation": "at least"}, "we DON'T"),  # DO and N'T
    ],
    "change_case:english_capital": [
        ({}, ENGLISH.upper() + "!"),
    ],
    "change_case:english_lowercase": [
        ({}, ENGLISH),
    ],
    "punctuation:no_comma": [
        ({}, "No comma; none."),
    ],
}

VIOLATED = {
    "keywords:existence": [({"keywords": ["art", "cat"]}, "We had a party.")],
    "keywords:frequency": [
        ({"keyword": "cat", "frequency": 3, "relation": "at least"}, "A cat and a concatenation."),
        ({"keyword": "cat", "frequency": 2, "relation": "less than"}, "A cat and a concatenation."),
    ],
    "keywords:forbidden_words": [
        ({"forbidden_words": ["cat"]}, "A CAT-like thing."),
        ({"forbidden_words": ["dog", "cat"]}, "cat"),
    ],
    "keywords:letter_frequency": [
        ({"letter": "a", "let_frequency": 4, "let_relation": "at least"}, "Banana"),
        ({"letter": "a", "let_frequency": 3, "let_relation": "less than"}, "Banana"),
    ],
    "language:response_language": [({"language": "de"}, ENGLISH), ({"language": "en"}, GERMAN)],
    "length_constraints:number_sentences": [
        ({"num_sentences": 2, "relation": "less than"}, "One here. Two there."),
        ({"num_sentences": 3, "relation": "at least"}, "Dr. Lee met Mr. Poe. It rained."),
    ],
    "length_constraints:number_paragraphs": [
        ({"num_paragraphs": 2}, "One.\n***\n \n***\nTwo."),  # a blank piece inside
        ({"num_paragraphs": 3}, "One.\n***\nTwo."),
        ({"num_paragraphs": 2}, "One.\n\nTwo."),
    ],
    "length_constraints:number_words": [
        ({"num_words": 5, "relation": "at least"}, "don't stop-now"),
        ({"num_words": 4, "relation": "less than"}, "don't stop-now"),
    ],
    "length_constraints:nth_paragraph_first_word": [
        (ROMEO, "Some words.\n\nJuliet."),
        (ROMEO, "Some words.\n\nRomeo.\n\nMore."),  # one paragraph too many
        (ROMEO, "Romeo."),
        (ROMEO, "Some words.\n\n \n\nRomeo."),  # the blank piece is the second one
        (ROMEO, "Some words.\n\nRomeos"),
    ],
    "detectable_content:number_placeholders": [
        ({"num_placeholders": 2}, "Dear [name]."),
        ({"num_placeholders": 1}, "[over\ntwo lines]"),
    ],
    "detectable_content:postscript": [
        ({"postscript_marker": "P.S."}, "Bye. PS: Bring bread."),
        ({"postscript_marker": "P.P.S"}, "P.S. Bring bread."),
    ],
    "detectable_format:number_bullet_lists": [
        ({"num_bullets": 1}, "* one\n* two"),
        ({"num_bullets": 1}, "text * not at the start"),
        ({"num_bullets": 1}, "**bold** start"),
    ],
    "detectable_format:constrained_response": [({}, "my answer is yes."), ({}, "My answer is yes!")],
    "detectable_format:number_highlighted_sections": [
        ({"num_highlights": 1}, "** ** and * *"),
        ({"num_highlights": 1}, "*over\ntwo lines*"),
        ({"num_highlights": 2}, "**one**"),
    ],
    "detectable_format:multiple_sections": [
        ({"section_spliter": "Section", "num_sections": 2}, "Section 1 and section 2"),
        ({"section_spliter": "Section", "num_sections": 1}, "Section one"),
    ],
    "detectable_format:json_format": [({}, "{'a': 1}"), ({}, 'Here it is: {"a": 1}'), ({}, "[" * 100_000)],
    "detectable_format:title": [({}, "<<>>"), ({}, "<< >>"), ({}, "<<over\ntwo>>"), ({}, "<one>")],
    "combination:two_responses": [
        ({}, "One.\n******\n One. "),  # the same but for blanks
        ({}, "One."),
        ({}, "One.\n******\n\n******\nTwo."),
        ({}, "One.\n******\nTwo.\n******\nThree."),
    ],
    "combination:repeat_prompt": [({"prompt_to_repeat": "Say hi."}, "Sure! Say hi. Hi!")],
    "startend:end_checker": [({"end_phrase": "Peace!"}, "Peace! Bye.")],
    "startend:quotation": [({}, '"'), ({}, '"Only the start'), ({}, "“curly”")],
    "change_case:capital_word_frequency": [
        ({"capital_frequency": 2, "capital_relation": "at least"}, "Iain met Ann. I"),
        ({"capital_frequency": 1, "capital_relation": "less than"}, "the USA"),
    ],
    "change_case:english_capital": [
        ({}, ENGLISH.upper() + "a"),
        ({}, "12345"),  # no letters: not upper-case
        ({}, HINDI),
    ],
    "change_case:english_lowercase": [({}, ENGLISH.title()), ({}, GERMAN.lower()), ({}, "12345")],
    "punctuation:no_comma": [({}, "One, two.")],
}


def cases(table):
    return [
        pytest.param(id, *case, id=f"{id}-{n}") for id, found in table.items() for n, case in enumerate(found)
    ]


def test_every_rule_is_tried_both_ways():
    assert set(OBEYED) == set(VIOLATED)
    assert len(OBEYED) == 25
    assert set(OBEYED) <= set(RULES)


@pytest.mark.parametrize(("id", "kwargs", "response"), cases(OBEYED))
def test_obeyed(id, kwargs, response):
    assert check(id, kwargs, response)


@pytest.mark.parametrize(("id", "kwargs", "response"), cases(VIOLATED))
def test_violated(id, kwargs, response):
    assert not check(id, kwargs, response)


@pytest.mark.parametrize("id", sorted(OBEYED))
@pytest.mark.parametrize("blank", ["", " \n\t "])
def test_a_blank_response_obeys_nothing(id, blank):
    kwargs = OBEYED[id][0][0]
    assert not check(id, kwargs, blank)
