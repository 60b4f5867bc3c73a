"""Near texts: duplicates, neighbours, what stands in a suite as well."""

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from biddable.errors import InputError
from biddable.tasks import neighbours
from biddable.tasks.neighbours import (
    Words,
    by_vectors,
    by_words,
    clusters,
    contaminated,
    duplicates,
    nearest,
    normalized,
    words,
)

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
    rows = nearest(list("abc"), list("abc"), 1, compare, same=[0, 1, 2])
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


def random_texts(number, length, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(list("abcdefgh"), rng.integers(1, length))) for _ in range(number)]


@pytest.mark.parametrize("common", [0, 10, 10_000])
def test_what_is_left_out_of_comparing_is_below_the_cutoff(monkeypatch, common):
    monkeypatch.setattr(neighbours, "LONG", 0)
    monkeypatch.setattr(neighbours, "COMMON_WORD", common)
    texts = [*random_texts(120, 12), "…"]
    whole, some = by_words(texts, texts), by_words(texts, texts, 0.6)
    assert (some[whole >= 0.6] == whole[whole >= 0.6]).all()
    assert set(np.unique(some[whole < 0.6])) == {0.0}
    assert (some > 0).sum() > len(texts)


def test_more_words_than_there_are_letters_below_the_surrogates():
    measure = Words()
    measure([" ".join(map(str, range(60_000)))], ["x"])
    assert measure(["new words"], ["new words", "words new", "other"]).tolist() == [[1.0, 0.5, 0.0]]
    assert measure.shortlist(["new words"], ["words new", "other", "…"]).tolist() == [[1.0, 0.0, 0.0]]


def test_texts_without_words_are_told_apart():
    assert normalized("Hello,  WORLD!") == "hello world"
    assert [each and each.place for each in duplicates(["+", "-", " +"], 0.5)] == [None, None, 0]


def test_clusters_are_what_near_pairs_connect(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    chain = ["a b c d e", "z", "a b c d x", "a b c y x", "Z!", "q r s t u"]
    assert clusters(chain, 0.8) == [0, 1, 0, 0, 1, 5]
    texts = random_texts(80, 6)
    found, near = clusters(texts, 0.75), by_words(texts, texts) >= 0.75
    assert all(found[i] == found[j] for i, j in zip(*np.nonzero(near), strict=True))
    assert len(set(found)) > 2


def test_the_nearest_of_many_are_those_with_most_words_in_common(monkeypatch):
    monkeypatch.setattr(neighbours, "SHORTLIST", 10)
    texts = random_texts(200, 10)
    best = by_words(texts, texts)
    np.fill_diagonal(best, -1)
    found = nearest(texts, texts, 2, same=list(range(200)))
    agreed = np.mean([near[0].similarity == best[i].max() for i, near in enumerate(found)])
    assert agreed > 0.8
    assert all(near[0].similarity >= near[1].similarity for near in found)


def test_how_a_suite_asks_is_no_contamination():
    asks = "Your entire response should be in English and in small letters only please."
    tasks = {
        str(i): f"Write about {i} {i} {i} {i} {i} {i} {i} {i} {i} {i} {i} {i}. {asks}" for i in range(12)
    }
    rows = [[asks], [f"Write about {' '.join(['3'] * 12)}."]]
    assert [hit and hit[0] for hit in contaminated(rows, tasks)] == [None, "3"]
