"""The table of rules that exclude each other."""

from itertools import product

from biddable.judges.ifeval import conflicts
from judges.ifeval.test_rules import OBEYED as RULES


def test_symmetric_and_reflexive():
    for one, other in product(RULES, RULES):
        assert (one in conflicts(other)) == (other in conflicts(one))
    assert all(id in conflicts(id) for id in RULES)


def test_the_loners():
    assert conflicts("detectable_format:constrained_response") == set(RULES)
    assert set(RULES) - conflicts("detectable_format:json_format") == {
        "keywords:forbidden_words",
        "keywords:existence",
    }
    assert set(RULES) - conflicts("combination:two_responses") == {
        "keywords:forbidden_words",
        "keywords:existence",
        "language:response_language",
        "detectable_format:title",
        "punctuation:no_comma",
    }
    assert set(RULES) - conflicts("combination:repeat_prompt") == {
        "keywords:existence",
        "detectable_format:title",
        "punctuation:no_comma",
    }


def test_a_plain_rule_conflicts_with_itself_and_the_loners():
    assert conflicts("length_constraints:number_words") == {
        "length_constraints:number_words",
        "detectable_format:constrained_response",
        "detectable_format:json_format",
        "combination:two_responses",
        "combination:repeat_prompt",
    }


def test_pairs():
    assert "detectable_format:title" in conflicts("startend:quotation")
    assert "length_constraints:number_sentences" in conflicts("length_constraints:number_paragraphs")
    assert "change_case:english_capital" in conflicts("change_case:capital_word_frequency")
