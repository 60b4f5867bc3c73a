"""Near texts: duplicates, neighbours, what stands in a suite as well."""

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from biddable.errors import InputError
from biddable.tasks.neighbours import by_vectors, by_words, contaminated, duplicates, nearest, words

TEXTS = [
    "Name three rivers in France.",
    "Sort the list of words by length.",
    "name three rivers in france",
    "Name three rivers in Spain.",
    "Write a poem about a lighthouse.",
]


def test_words_leave_case_and_punctuation_off_and_split_scripts_without_blanks():
    assert words("It's 3 o'clock, Zoë!") == ["it", "s", "3", "o", "clock", "zoë"]
    assert words("你好 world") == ["你", "好", "world"]


def test_by_words_is_rouge_l():
    scorer = RougeScorer(["rougeL"])
    ours = by_words(TEXTS, TEXTS)
    for i, first in enumerate(TEXTS):
        for j, second in enumerate(TEXTS):
            assert ours[i, j] == pytest.approx(scorer.score(first, second)["rougeL"].fmeasure, abs=1e-6)


def test_texts_without_a_word_are_near_to_nothing():
    assert by_words(["…", ""], ["…", "a word"]).tolist() == [[0, 0], [0, 0]]
    assert by_words([], TEXTS).shape == (0, 5)


def test_a_duplicate_names_the_first_text_that_was_kept():
    near = duplicates(TEXTS, 0.75)
    assert [None if each is None else each.place for each in near] == [None, None, 0, 0, None]
    assert near[2].similarity == 1
    assert [each and each.place for each in duplicates(TEXTS, 0.9)] == [None, None, 0, None, None]


def test_what_was_dropped_is_not_compared_with():
    # b is near to a, c to b alone: with b dropped, c stays.
    chain = ["a b c d e", "a b c d x", "a b c y x"]
    assert [each and each.place for each in duplicates(chain, 0.8)] == [None, 0, None]


def test_duplicates_are_the_same_however_texts_are_cut_into_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdef"), 5)) for _ in range(60)]
    whole = duplicates(texts, 0.8)
    monkeypatch.setattr("biddable.tasks.neighbours.BLOCK", 7)
    assert [each and each.similarity for each in duplicates(texts, 0.8)] == [
        each and each.similarity for each in whole
    ]
    assert [each is None for each in duplicates(texts, 0.8)] == [each is None for each in whole]


def test_a_threshold_out_of_range_is_refused():
    with pytest.raises(InputError, match="threshold is 0, expected a number above 0"):
        duplicates(TEXTS, 0)


def test_neighbours_by_vectors_leave_the_text_itself_out():
    vectors = {"a": [1, 0], "b": [0.8, 0.6], "c": [0, 1]}
    compare = by_vectors(lambda texts: np.array([vectors[text] for text in texts], dtype=np.float32))
    rows = nearest(list("abc"), list("abc"), 1, compare, same=True)
    assert [row[0].place for row in rows] == [1, 0, 1]
    assert rows[0][0].similarity == pytest.approx(0.8)
    assert len(nearest(["a"], list("abc"), 9, compare)[0]) == 3


LONG = "Write a summary of the following passage in no more than three sentences, and then name its author."


def test_contamination_is_parts_of_long_prompts_and_turns_that_are_short_ones():
    tasks = {"long": LONG, "short": "Name three rivers."}
    rows = [
        ["Please: write a summary of the following passage in no more than three sentences, thanks.", "Yes."],
        ["Write a summary of the following passage.", "Name three rivers."],
        ["I was asked to name three rivers. Help me.", "No."],
    ]
    hits = contaminated(rows, tasks, n=8)
    assert [hit and hit[0] for hit in hits] == ["long", "short", None]
    assert hits[0][1] == "write a summary of the following passage in"
    assert [hit and hit[0] for hit in contaminated(rows, tasks, n=15)] == [None, "short", None]
