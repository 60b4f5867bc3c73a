"""Rules of other languages on responses that obey them and responses that do not."""

import pytest

from biddable.errors import InputError
from biddable.judges.ifeval import RULES, check, describe
from judges.ifeval.test_rules import OBEYED as ENGLISH_OBEYED
from judges.ifeval.test_rules import VIOLATED as ENGLISH_VIOLATED

FRENCH = "Le train pour Lyon était encore en retard hier matin et personne ne savait pourquoi"
SPANISH = "El tren de la mañana llegó otra vez con mucho retraso y nadie sabía la razón"
GERMAN = "Der Zug nach Hamburg hatte gestern wieder mehr als zwanzig Minuten Verspätung"
ACCENTS = {"word_to_accentuate": {"lecon": "leçon", "a": "à"}}
KUBI = {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "首"}

CASES = {  # arguments, a response that obeys, one that does not
    "fr:change_case:capital_word_frequency": (
        {"capital_frequency": 2, "capital_relation": "moins de"},
        "Un MOT",
        "DEUX MOTS",
    ),
    "fr:change_case:french_lowercase": ({}, FRENCH.lower(), GERMAN.lower()),
    "fr:detectable_content:informal_address": ({}, "Et toi, ça va ?", "Vous tuez le temps."),
    "fr:detectable_content:no_digits": ({}, "dix", "10"),
    "fr:detectable_content:postscript": ({"postscript_marker": "p.-s."}, "Adieu. P.-S. Merci", "Adieu."),
    "fr:detectable_format:constrained_response": ({}, "Je crois : Peut-être.", "oui"),
    "fr:detectable_format:title": ({}, "##Mon jour##\nTexte", "## Mon jour\n####"),
    "fr:keywords:frequency": ({"keyword": "mot", "frequency": 2, "relation": "au moins"}, "Mot à mot", "mot"),
    "fr:keywords:letter_frequency": (
        {"letter": "b", "let_frequency": 2, "let_relation": "moins de"},
        "Bon",
        "Bébé",
    ),
    "fr:language:response_language": ({"language": "de"}, GERMAN, FRENCH),
    "fr:length_constraints:number_sentences": (
        {"num_sentences": 2, "relation": "au moins"},
        "Un. Deux.",
        "M. Dupont vient.",
    ),
    "fr:length_constraints:number_words": ({"num_words": 3, "relation": "au moins"}, "l'an dix", "deux mots"),
    "fr:special_character:accents": (ACCENTS, "Leçon à voir, rien d'autre", "Lecon"),
    "fr:special_character:ethel_or_cedilla": ({"forbidden_char": "ç"}, "facade", "FAÇADE"),
    "fr:special_character:no_accents": ({}, "ete, oeuf", "Été"),
    "fr:startend:quotation": ({}, "« Bonjour »", "« Bonjour"),
    "es:change_case:capital_word_frequency": (
        {"capital_frequency": 1, "capital_relation": "como máximo"},
        "UNA palabra",
        "DOS PALABRAS",
    ),
    "es:change_case:spanish_lowercase": ({}, SPANISH.lower(), GERMAN.lower()),
    "es:detectable_content:number_placeholders": (
        {"num_placeholders": 2, "relation": "al menos"},
        "[a] [b]",
        "[a]",
    ),
    "es:detectable_content:postscript": ({"postscript_marker": "P.D."}, "Adiós. p. d. más", "Adiós."),
    "es:detectable_format:constrained_response": ({}, "Quizás.", "Quizá."),
    "es:detectable_format:multiple_sections": (
        {"section_spliter": "Sección", "num_sections": 1, "relation": "al menos"},
        "Sección 1",
        "Sección",
    ),
    "es:detectable_format:number_bullet_lists": ({"num_bullets": 1}, "* uno\n- guión", "- uno"),
    "es:detectable_format:number_highlighted_sections": (
        {"num_highlights": 1, "relation": "al menos"},
        "*uno*",
        "uno",
    ),
    "es:keywords:frequency": (
        {"keyword": "éxito", "frequency": 1, "relation": "como máximo"},
        "Éxito",
        "éxito, éxito",
    ),
    "es:keywords:letter_frequency": (
        {"letter": "f", "let_frequency": 1, "let_relation": "al menos"},
        "Fe",
        "no",
    ),
    "es:length_constraints:number_words": (
        {"num_words": 2, "relation": "como máximo"},
        "dos palabras",
        "son tres palabras",
    ),
    "es:punctuation:exclamation_marks": ({}, "¡Hola!", "Hola! ¡ !"),
    "es:punctuation:question_marks": ({}, "¿Qué?", "Qué? ¿ ?"),
    "es:special_character:dieresis": ({"let_frequency": 1}, "El PINGÜINO", "pingüino bilingüe"),
    "es:special_character:enie": ({"let_frequency": 2}, "El niño de España", "niño"),
    "es:special_character:tildes": ({"num_words": 1, "relation": "como máximo"}, "Así va", "Así él"),
    "ja:combination:two_responses": ({}, "はい\n******\nいいえ", "はい"),
    "ja:detectable_content:postscript": ({"postscript_marker": "追伸"}, "以上。追伸 また", "以上。"),
    "ja:detectable_format:constrained_response": ({}, "はい、そうです。", "はい。"),
    "ja:detectable_format:multiple_sections": (
        {"section_spliter": "章", "num_sections": 2},
        "第1章\nあ\n第２章\nい",
        "第1章\n第二章",
    ),
    "ja:detectable_format:number_bullet_lists": ({"num_bullets": 2}, "・一\n・二", "・一\n- 二"),
    "ja:detectable_format:number_highlighted_sections": ({"num_highlights": 1}, "《塔》がある", "《 》"),
    "ja:detectable_format:number_numbered_lists": ({"num_items": 2}, "1. 一\n2. 二", "1. 一\n2.二"),
    "ja:detectable_format:title": ({}, "『昭和の巨人』\n本文", "『 』"),
    "ja:keywords:existence": ({"keywords": ["夢"]}, "夢を見た", "ゆめを見た"),
    "ja:keywords:forbidden_words": ({"forbidden_words": ["健康"]}, "元気です", "健康的です"),
    "ja:keywords:frequency": ({"keyword": "音", "frequency": 2, "relation": "未満"}, "音がした", "音と音"),
    "ja:keywords:letter_frequency": (
        {"letter": "し", "let_frequency": 2, "let_relation": "以上"},
        "しシ",
        "し",
    ),
    "ja:length_constraints:nth_paragraph_first_word": (KUBI, "一つ\n\n「首」が長い", "首\n\n一つ"),
    "ja:length_constraints:number_letters": ({"num_letters": 3, "relation": "未満"}, "あい", "あいう"),
    "ja:length_constraints:number_sentences": (
        {"num_sentences": 2, "relation": "以上"},
        "一つ。二つ！",
        "彼は「一。二。」と言った。",
    ),
    "ja:letters:furigana": ({}, "漢字（かんじ）です", "漢字です"),
    "ja:letters:hiragana_only": ({}, "みず、１ー！", "水です"),
    "ja:letters:kanji": ({"kanji_limit": 2, "relation": "以上"}, "漢字", "字だけ"),
    "ja:letters:kansuuji": ({}, "三年", "3年"),
    "ja:letters:katakana_only": ({}, "アジ・ー。", "アジは"),
    "ja:letters:no_hiragana": ({}, "日本国憲法", "日本の"),
    "ja:letters:no_katakana": ({}, "ひらがな", "ｶﾅ"),
    "ja:punctuation:no_comma": ({}, "一つ, 二つ", "一つ、二つ"),
    "ja:punctuation:no_period": ({}, "一つ", "一つ。"),
    "ja:startend:end_checker": ({"end_phrase": "終わり。」"}, "これで終わり。", "終わり。では"),
    "ja:startend:quotation": ({}, "「はい」", "はい"),
    "ja:startend:sentence_unified_end": (
        {"ending": "です"},
        "雨です。「行こう。」晴れです。",
        "雨です。晴れだ。",
    ),
}
CAPITALS = {"fr:change_case:french_capital", "es:change_case:spanish_capital"}
REFUSED = {
    "es:length_constraints:number_sentences": (
        {"num_sentences": 1, "relation": "al menos"},
        "spaCy's model es_core_news_sm",
    ),
    "ja:detectable_format:nominal_ending": ({"count": 1}, "a dictionary of Japanese"),
}


@pytest.mark.parametrize("id", CASES)
def test_both_ways(id):
    kwargs, obeyed, violated = CASES[id]
    assert check(id, kwargs, obeyed)
    assert not check(id, kwargs, violated)
    assert not check(id, kwargs, " ")
    assert "{" not in describe(id, kwargs)


@pytest.mark.parametrize(
    ("id", "code", "text"),
    [("fr:change_case:french_capital", "fr", FRENCH), ("es:change_case:spanish_capital", "es", SPANISH)],
)
def test_capitals(id, code, text, monkeypatch):
    assert not check(id, {}, text.upper())  # langdetect takes capitals for another language
    assert check(id, {}, text.upper(), fixed=True)
    assert not check(id, {}, text, fixed=True)
    assert not check(id, {}, GERMAN.upper(), fixed=True)
    monkeypatch.setattr("biddable.judges.ifeval.language.detect", lambda text: code)
    assert check(id, {}, text.upper())
    assert not check(id, {}, text)


@pytest.mark.parametrize("id", REFUSED)
def test_refused_by_name(id):
    kwargs, needs = REFUSED[id]
    with pytest.raises(InputError, match=f"instruction_id is '{id}', expected {needs}"):
        check(id, kwargs, "Uno. 二つ。")


@pytest.mark.parametrize("id", sorted(ENGLISH_OBEYED))
def test_english_ids_with_a_prefix_are_the_plain_ones(id):
    for kwargs, response in ENGLISH_OBEYED[id]:
        assert check(f"en:{id}", kwargs, response)
    for kwargs, response in ENGLISH_VIOLATED[id]:
        assert not check(f"en:{id}", kwargs, response)


def test_repaired_rules_have_prefixes_too():
    assert check("en:keywords:existence", {"keywords": ["art"]}, "a party")
    assert not check("en:keywords:existence", {"keywords": ["art"]}, "a party", fixed=True)
    assert not check("fr:keywords:existence", {"keywords": ["art"]}, "un parti", fixed=True)


def test_every_rule_of_its_own_is_tried():
    """Those that are registered as they are in English are tried there."""
    alike = {id for id in RULES if id[:3] in ("fr:", "es:", "ja:") and id[3:] in ENGLISH_OBEYED}
    assert {
        id for id in RULES if id[:3] in ("fr:", "es:", "ja:")
    } <= CASES.keys() | REFUSED.keys() | alike | CAPITALS


def test_a_relation_of_another_language_is_named():
    with pytest.raises(InputError, match=r'relation is .less than., expected "moins de" or "au moins"'):
        check("fr:length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "mot")
    with pytest.raises(InputError, match=r"word_to_accentuate is .*, expected an object of words"):
        check("fr:special_character:accents", {"word_to_accentuate": ["a"]}, "mot")
    with pytest.raises(InputError, match=r"letter is .a., expected a hiragana letter"):
        check(
            "ja:keywords:letter_frequency", {"letter": "a", "let_frequency": 1, "let_relation": "以上"}, "あ"
        )
