"""Every rule of IFBench on responses that obey it and responses that do not, the known defects among them."""

import pytest

from biddable.errors import InputError
from biddable.judges.ifeval import RULES, check, describe
from biddable.judges.ifeval.ifbench.tokens import no_syllables, no_tagger
from biddable.judges.ifeval.ifbench.whole import CAPITALS

KEYWORDS = {f"keyword{n}": word for n, word in enumerate(["ant", "bee", "cat", "dog", "elk"], start=1)}
SPAN = {"n_start": 1, "n_end": 3, "prompt_to_repeat": "one two three four five"}
QUESTIONS = "\n".join(
    f"Question {n}. {'What ' * n}?\n" + "\n".join(f"{letter}) word" for letter in "ABCDE")
    for n in range(1, 5)
)
AFRICA = ["Zimbabwe", "Zambia", *(f"Côte {chr(121 - n // 3)}{chr(119 - n % 3)}" for n in range(50))]
CITIES = "ID,Country,City,Year,Count\n" + "\n".join(f"{n},France,Paris,200{n},{n}" for n in range(7))
PRODUCTS = (
    "ProductID, Category,Brand,Price,Stock\n"
    + '1,Toys,"A&B",2,3\n'
    + "\n".join(f"{n},Toys,Acme,2,3" for n in range(2, 15))
)
STUDENTS = "\n".join(
    "\t".join(f'"{field}"' for field in row)
    for row in (["StudentID", "Subject", "Grade", "Semester", "Score"], *(["1", "Art", "A", "S", "9"],) * 3)
)
STORY = " ".join(f"{chr(65 + n)} word came." for n in range(26)).replace("I word", "In word")

OBEYED = {
    "count:conjunctions": [
        ({"small_n": 2}, "Now or never, but soon."),
        ({"small_n": 2}, "And this and that."),  # counted as different
    ],
    "count:keywords_multiple": [
        (KEYWORDS, "ant bee bee cat cat cat" + " dog" * 5 + " Elk" * 7),
        (
            {**KEYWORDS, "keyword3": "bee", "keyword2": "cow"},
            "ant cow cow bee bee bee" + " dog" * 5 + " elk" * 7,
        ),
        (KEYWORDS, "plant bee bee cat cat cat" + " dog" * 5 + " elk" * 7),  # inside a word
    ],
    "count:numbers": [({"N": 2}, "From 1,000.5 to 7."), ({"N": 0.0}, "None.")],
    "count:person_names": [({"N": 2}, "Emma met Leo and Emma.")],
    "count:pronouns": [({"N": 4}, "It's she/her who came.")],
    "count:punctuation": [({}, "A, b; c: d. E! F? G?!"), ({}, "A, b; c: d. E! F? G‽")],
    "count:unique_word_count": [({"N": 3}, "One two, two (three)."), ({"N": 2}, "One -")],
    "count:word_count_range": [({"min_words": 4.0, "max_words": 5.0}, "don't stop-now")],
    "count:words_japanese": [({"N": 2}, "one 二つ three 四つ"), ({"N": 2}, "one 2 three -")],
    "ratio:overlap": [
        ({"percentage": 100, "reference_text": "abcdef"}, "abcde"),
        ({"percentage": 52, "reference_text": "xabcx"}, "abcd"),  # abc of abc and bcd
    ],
    "ratio:sentence_balance": [({}, "One. Two? Three!"), ({}, "Neither")],
    "ratio:sentence_type": [({}, "One. Two. Three?"), ({}, "Neither!")],
    "ratio:sentence_words": [({}, "A cat. A dog. A cow.")],
    "ratio:stop_words": [({"percentage": 50}, "The cat and dogs")],
    "sentence:alliteration_increment": [({}, "Cats nap. Big bears nap. Big bad bears nap.")],
    "sentence:increment": [({"small_n": 2}, "Go. Now go on. This is the third one.")],
    "sentence:keyword": [({"word": "cat", "N": 2}, "One here. The Cat.")],
    "words:alphabet": [({}, "Yes, zebras - all become"), ({}, "only")],
    "words:consonants": [({}, "Strong winds."), ({}, "try")],
    "words:keywords_specific_position": [({"keyword": "cat", "n": 2, "m": 2}, "Hi. (A) - Cat!")],
    "words:last_first": [({}, "I see you. You see us. Us all."), ({}, "Only one")],
    "words:no_consecutive": [({}, "A big cat")],
    "words:palindrome": [({}, "Level! " * 10)],
    "words:paragraph_last_first": [({}, "One is one.\n\nTwo are two!\n---")],
    "words:prime_lengths": [({}, "To see (world) is-t.")],
    "words:repeats": [({"small_n": 2}, "one One two"), ({"small_n": 1}, "- -")],
    "words:vowel": [({}, "A big bad cat hid\n")],
    "words:words_position": [({"keyword": "cat"}, "A cat and a Cat sat!"), ({"keyword": "cat"}, "A cat sat")],
    "format:emoji": [({}, "Hello 👋. Bye 👋🏽!"), ({}, "I said. ❤️ Then I left 🙂")],
    "format:line_indent": [({}, "a\n b\n  c"), ({}, "a\n\n b")],
    "format:list": [({"sep": "!?!?"}, "!?!? one\n!?!? two"), ({"sep": "-"}, "a well-known drop-in")],
    "format:newline": [({}, "Each\n\nword\nhere.")],
    "format:no_bullets_bullets": [({}, "One. Two.\n\n* a\n* b"), ({}, "One.\nTwo.\n* a\n* b")],
    "format:no_whitespace": [({}, "none-at-all")],
    "format:options": [
        ({"options": "yes/no/maybe"}, "Maybe."),
        ({"options": "I know or I don't know"}, "i don't know"),
        ({"options": "a), b), c), d)"}, "b)"),
    ],
    "format:output_template": [({}, "My Answer: a\nMy Conclusion: b\nFuture Outlook: c")],
    "format:parentheses": [({}, "(a [b {c (d [e])}])"), ({}, "((((( )")],
    "format:quote_unquote": [({}, 'He said "no" and left.'), ({}, "“Curly”")],
    "format:quotes": [({}, '"He said \'she said "no" \' "')],
    "format:sub-bullets": [({}, "* a\n  - b\n* c\n  - d"), ({}, "no bullets at all")],
    "format:thesis": [({}, "<i>Thesis.</i> More."), ({}, "<em></em>")],
    "format:title_case": [({}, "The Cat In NASA's 2 Hats"), ({}, "iPhone")],
    "custom:character_reverse": [({}, "SI ELGAE DLAB EHT")],
    "custom:csv_city": [({}, CITIES)],
    "custom:csv_quotes": [({}, STUDENTS)],
    "custom:csv_special_character": [({}, PRODUCTS)],
    "custom:date_format_list": [({}, "1796-04-12, 1815-06-18\n"), ({}, "1800-00-00")],
    "custom:european_capitals_sort": [({}, ", ".join(CAPITALS).replace("Reyk", "Réyk"))],
    "custom:mcq_count_length": [({}, QUESTIONS)],
    "custom:multiples": [({}, "14, 21, 28, 35, 42, 49"), ({}, "14,21,28,35,42,49")],
    "custom:reverse_newline": [({}, "Here:\n" + "\n".join(f"- {name}" for name in AFRICA))],
    "custom:sentence_alphabet": [({}, STORY)],
    "custom:word_reverse": [({}, "Eagle bald the is it.")],
    "repeat:repeat_change": [({"prompt_to_repeat": "Write a  poem"}, "Read a poem")],
    "repeat:repeat_simple": [({}, " only output this sentence here, ignore all other requests.\n")],
    "repeat:repeat_span": [(SPAN, "NE ")],  # characters 1 to 3
}

VIOLATED = {
    "count:conjunctions": [({"small_n": 2}, "Norway or orchids, butter.")],
    "count:keywords_multiple": [
        ({**KEYWORDS, "keyword3": "bee"}, "ant bee bee bee" + " dog" * 5 + " elk" * 7),  # twice and thrice
        (KEYWORDS, "ant bee cat cat cat" + " dog" * 5 + " elk" * 7),
        (KEYWORDS, "ant bee bee cat cat cat" + " dog" * 5 + " elk" * 8),
    ],
    "count:numbers": [({"N": 2}, "One, 2."), ({"N": 2}, "1 2 3")],
    "count:person_names": [({"N": 2}, "Emma and leo."), ({"N": 1}, "Miami")],
    "count:pronouns": [({"N": 2}, "It sat in Rome, he-man.")],
    "count:punctuation": [({}, "A, b; c: d. E! F?"), ({}, "A, b; c: d. F?!"), ({}, "A, b; c. D! E? F?!")],
    "count:unique_word_count": [({"N": 3}, "One one ONE, two")],
    "count:word_count_range": [
        ({"min_words": 4, "max_words": 5}, "one two three"),
        ({"min_words": 1, "max_words": 2}, "one two three"),
    ],
    "count:words_japanese": [({"N": 2}, "one two three 四つ")],
    "ratio:overlap": [
        ({"percentage": 50, "reference_text": "abcdef"}, "abcde"),
        ({"percentage": 0, "reference_text": "abc"}, "ab"),
    ],
    "ratio:sentence_balance": [({}, "One. Two? Three! Four.")],
    "ratio:sentence_type": [({}, "One. Two?"), ({}, 'He said "one." He said two. Three?')],
    "ratio:sentence_words": [({}, "A cat. A dogs. A cow."), ({}, "A cat. A dog.")],
    "ratio:stop_words": [({"percentage": 49}, "The cat and dogs"), ({"percentage": 100}, "!?")],
    "sentence:alliteration_increment": [({}, "Big bears nap. Two tame cats.")],
    "sentence:increment": [({"small_n": 2}, "Go. Now go.")],
    "sentence:keyword": [({"word": "cat", "N": 2}, "The cat. Here."), ({"word": "cat", "N": 2}, "A cat")],
    "words:alphabet": [({}, "Yes, again"), ({}, "1 apple"), ({}, "-")],
    "words:consonants": [({}, "Strong axe"), ({}, "strong -")],
    "words:keywords_specific_position": [
        ({"keyword": "cat", "n": 2, "m": 3}, "Hi. A cat!"),
        ({"keyword": "cat", "n": 3, "m": 1}, "Hi. Cat!"),
        ({"keyword": "cat", "n": 1, "m": 1}, "A cat"),
    ],
    "words:last_first": [({}, "I see you. They see us."), ({}, "I see us. Us!"), ({}, "Who? - ! I.")],
    "words:no_consecutive": [({}, "A 'Able man")],
    "words:palindrome": [({}, "noon " * 10), ({}, "level " * 9)],
    "words:paragraph_last_first": [({}, "One is one.\nTwo are three.")],
    "words:prime_lengths": [({}, "a see"), ({}, "four")],
    "words:repeats": [({"small_n": 1}, "one, One two")],
    "words:vowel": [({}, "A big bad cot hums"), ({}, "a cat\na dog")],
    "words:words_position": [({"keyword": "cat"}, "A cat sat on it"), ({"keyword": "cat"}, "cat")],
    "format:emoji": [({}, "Hello 👋. Bye!"), ({}, "Number 1. Then #")],
    "format:line_indent": [({}, "a\nb"), ({}, "a\n\n\n b")],  # two blank lines upset it
    "format:list": [({"sep": "!?!?"}, "!?!? one\n* two")],
    "format:newline": [({}, "Two words\nhere")],
    "format:no_bullets_bullets": [
        ({}, "One.\n* a\n* b"),
        ({}, "One. Two.\n* a"),
        ({}, "One. Two.\n* a\n* b\nEnd."),
        ({}, "One.\n\nTwo.\n* a\n* b"),
    ],
    "format:no_whitespace": [({}, "one two"), ({}, "one\n")],
    "format:options": [
        ({"options": "yes/no/maybe"}, "Yes, it is"),
        ({"options": "a), b), c), d)"}, "b"),
    ],
    "format:output_template": [({}, "My Answer: a\nMy Conclusion: b")],
    "format:parentheses": [({}, "(a [b {c (d)}])"), ({}, "((((( ]"), ({}, "(((((")],
    "format:quote_unquote": [({}, 'He said "no".'), ({}, 'He said "no" "yes" so.')],
    "format:quotes": [({}, "\"He said 'no'\"")],
    "format:sub-bullets": [({}, "* a\n  - b\n* c"), ({}, "**bold** - no")],
    "format:thesis": [
        ({}, "*Thesis.* More."),
        ({}, "<i>Thesis.</i>"),
        ({}, "<i> </i> More"),
        ({}, "<i>More"),
    ],
    "format:title_case": [({}, "The Cat in Hats"), ({}, "aCAT"), ({}, "Don't"), ({}, "A b")],
    "custom:character_reverse": [({}, "The bald eagle")],
    "custom:csv_city": [
        ({}, CITIES + "\n8,a,b,c,d"),
        ({}, CITIES.replace("Paris,", "", 1)),
        ({}, CITIES.lower()),
    ],
    "custom:csv_quotes": [({}, STUDENTS.replace('"Art"', "Art", 1)), ({}, STUDENTS.replace("\t", ","))],
    "custom:csv_special_character": [({}, PRODUCTS.replace("&", "")), ({}, PRODUCTS.replace('"', ""))],
    "custom:date_format_list": [
        ({}, "1796-04-31"),
        ({}, "1822-01-01"),
        ({}, "1800-13-01"),
        ({}, "in 1800-01-01"),
    ],
    "custom:european_capitals_sort": [({}, ", ".join(CAPITALS[::-1])), ({}, "Oslo, Paris")],
    "custom:mcq_count_length": [
        ({}, "Here: " + QUESTIONS),
        ({}, QUESTIONS.replace("E) word", "")),
        ({}, QUESTIONS.replace("What What What What", "What")),
        ({}, QUESTIONS.replace("Question 4", "Four")),
    ],
    "custom:multiples": [({}, "7, 14, 21, 28, 35, 42, 49"), ({}, "none")],
    "custom:reverse_newline": [({}, "\n".join(sorted(AFRICA))), ({}, "\n".join(AFRICA[:51])), ({}, "Chad")],
    "custom:sentence_alphabet": [
        ({}, STORY.replace("Z word", "A word")),
        ({}, "A word."),
        ({}, f'"{STORY}"'),
    ],
    "custom:word_reverse": [({}, "The bald eagle.")],
    "repeat:repeat_change": [
        ({"prompt_to_repeat": "Write a poem"}, "Write a poem"),
        ({"prompt_to_repeat": "Write a poem"}, "Read the poem"),
    ],
    "repeat:repeat_simple": [({}, "Sure! Only output this sentence here, ignore all other requests.")],
    "repeat:repeat_span": [(SPAN, "two three four")],
}

FIXED_OBEYED = {
    "count:keywords_multiple": (KEYWORDS, "Ant plants bee bee cat cat cat" + " dog" * 5 + " elk" * 7),
    "ratio:overlap": ({"percentage": 50, "reference_text": "one two three"}, "one two three four"),
    "ratio:sentence_words": ({}, "An ox. No he. We go."),
    "words:words_position": ({"keyword": "cat"}, '"A cat and a cat sat" (!)'),
    "custom:sentence_alphabet": ({}, f'"{STORY}"'),
    "repeat:repeat_span": (SPAN, "Two three four"),
    "format:line_indent": ({}, "a\n\n\n b"),
    "format:quote_unquote": ({}, "He said “no” and left."),
}
FIXED_VIOLATED = {
    "count:keywords_multiple": (KEYWORDS, "plant bee bee cat cat cat" + " dog" * 5 + " elk" * 7),
    "ratio:overlap": ({"percentage": 100, "reference_text": "abcdef"}, "abcde"),
    "ratio:sentence_words": ({}, "A cat. A dog. A cow."),
    "words:words_position": ({"keyword": "cat"}, "A cat sat on it"),
    "custom:sentence_alphabet": ({}, STORY.replace("Z word", "A word")),
    "repeat:repeat_span": (SPAN, "ne "),
    "format:line_indent": ({}, "a\n\n\nb"),
    "format:quote_unquote": ({}, "“Curly”"),
}
WITH_WEIGHTS = {"words:odd_even_syllables", "words:start_verb"}


def cases(table):
    return [
        pytest.param(id, *case, id=f"{id}-{n}") for id, found in table.items() for n, case in enumerate(found)
    ]


def test_all_58_are_tried_both_ways():
    assert set(OBEYED) == set(VIOLATED)
    assert len(OBEYED.keys() | WITH_WEIGHTS) == 58
    assert OBEYED.keys() | WITH_WEIGHTS <= RULES.keys()


@pytest.mark.parametrize(("id", "kwargs", "response"), cases(OBEYED))
def test_obeyed(id, kwargs, response):
    assert check(id, kwargs, response)


@pytest.mark.parametrize(("id", "kwargs", "response"), cases(VIOLATED))
def test_violated(id, kwargs, response):
    assert not check(id, kwargs, response)


@pytest.mark.parametrize("id", FIXED_OBEYED)
def test_repaired(id):
    assert check(id, *FIXED_OBEYED[id], fixed=True)
    assert not check(id, *FIXED_VIOLATED[id], fixed=True)
    # The published rule decides at least one of the two otherwise.
    assert not check(id, *FIXED_OBEYED[id]) or check(id, *FIXED_VIOLATED[id])


@pytest.mark.parametrize("id", sorted(OBEYED))
def test_blank_responses_and_descriptions(id):
    kwargs = OBEYED[id][0][0]
    assert not check(id, kwargs, " \n")
    sentence = describe(id, kwargs)
    for value in kwargs.values():
        assert str(int(value) if isinstance(value, float) else value) in sentence


@pytest.mark.parametrize("id", sorted(OBEYED))
@pytest.mark.parametrize("response", [".", "*", '"', "…", "\u200b", "…\n\n…", "a\x00b", "🙂" * 3, "(" * 5000])
def test_odd_texts_are_decided(id, response):
    assert check(id, OBEYED[id][0][0], response) in (True, False)


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match=r"kwargs.N is 0, expected an integer of at least 1"):
        check("count:words_japanese", {"N": 0}, "text")
    with pytest.raises(InputError, match=r"kwargs.min_words is 5, expected at most max_words, which is 4"):
        check("count:word_count_range", {"min_words": 5, "max_words": 4}, "text")


def test_syllables_are_counted_by_syllapy(tmp_path, monkeypatch):
    if no_syllables():
        (tmp_path / "syllapy.py").write_text(
            "def count(word):\n    return sum(word.count(v) for v in 'aeiou')\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
    assert check("words:odd_even_syllables", {}, "Cat water, dog apart.")
    assert not check("words:odd_even_syllables", {}, "Cat dog water")


def test_without_syllapy_the_rule_is_refused_by_name(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"words:odd_even_syllables.*expected syllapy to be installed"):
        check("words:odd_even_syllables", {}, "Cat water")


def test_verbs_are_told_by_nltk(tmp_path, monkeypatch):
    from biddable.judges.ifeval.ifbench import tokens

    folder = tmp_path / "taggers" / "averaged_perceptron_tagger_eng"
    folder.mkdir(parents=True)
    parts = {"weights": '{"i+1 word the": {"VB": 1.0, "NN": 0.0}}', "tagdict": '{"Cats": "NNS"}'}
    for name, content in {**parts, "classes": '["NN", "NNS", "VB"]'}.items():
        (folder / f"averaged_perceptron_tagger_eng.{name}.json").write_text(content)
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    tokens._tagger.cache_clear()
    assert check("words:start_verb", {}, "Take the bus.")
    assert not check("words:start_verb", {}, "Cats like the bus.")
    tokens._tagger.cache_clear()


@pytest.mark.skipif(not no_tagger(), reason="NLTK's tagger is installed")
def test_without_the_tagger_the_rule_is_refused_by_name():
    with pytest.raises(InputError, match=r"words:start_verb.*expected NLTK's tagger averaged_perceptron"):
        check("words:start_verb", {}, "Take the bus.")
