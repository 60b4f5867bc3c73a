"""Indicators of rows: MTLD and neighbours by hand-made values, likelihoods and questions by a double."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.judges.indicators import answered_yes, knn_distances, likelihoods, mtld
from biddable.models.base import NoScoresError, TokenScores
from biddable.types import Prompt, Response, last_turn, user
from tests.doubles import Double


def test_mtld_is_words_for_each_factor() -> None:
    # TTR falls to 1/2 at the second word of each pair: a factor of two words, forwards and backwards.
    assert mtld(["a", "a"] * 5) == 2.0
    # 10 different words: no factor; the text counts as one.
    assert mtld([str(i) for i in range(10)]) == 10.0
    # a b c a: TTR 3/4 stays above 0.72, so there is (1 - 0.75) / (1 - 0.72) of a factor.
    assert mtld(["a", "b", "c", "a"]) == pytest.approx(4 * 0.28 / 0.25)
    # Forwards a factor ends at the third of a b a (2/3) and one word is left, backwards likewise.
    assert mtld(["a", "b", "a", "c"]) == pytest.approx((4 / 1 + 4 * 0.28 / 0.25) / 2)


def test_mtld_of_no_word_is_refused() -> None:
    with pytest.raises(InputError, match="at least one word"):
        mtld([])


def test_knn_counts_others_only_and_across_blocks() -> None:
    line = np.arange(2000, dtype=float)[:, None]
    found = knn_distances(line, 2)
    assert found[0] == pytest.approx(2)
    assert found[1000] == pytest.approx(1)
    assert found[-1] == pytest.approx(2)
    assert knn_distances([[1.0, 0], [1, 0], [0, 1]], 1).tolist() == pytest.approx([0, 0, 2**0.5])


@pytest.mark.parametrize("i", [0, 3, 4])
def test_knn_needs_as_many_other_rows(i: int) -> None:
    with pytest.raises(InputError, match="1 to 2"):
        knn_distances([[0.0], [1], [2]], i)


class Counting(Double):
    """A response costs 1 nat a token after a request, and 3 after an empty turn."""

    name = "counting"

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        if "hopeless" in last_turn(prompt):
            return Response("I cannot tell.")
        return Response("Yes, it is." if "good" in last_turn(prompt) else "No.")

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, end: bool = True
    ) -> list[TokenScores]:
        if len({*continuations}) == 6:  # the forms of yes and no
            raise NoScoresError("none")
        nats = [-1.0 if last_turn(prompt) else -3.0 for prompt in prompts]
        return [TokenScores((1, 2), (each, each)) for each in nats]


def test_likelihood_and_what_the_request_adds_to_it() -> None:
    assert likelihoods(Counting(), [(user("Say a."), "a"), (user("Say b."), "b")]) == [(1.0, 2.0)] * 2


def test_questions_are_asked_of_each_row_and_what_cannot_be_read_says_why() -> None:
    rows = [("Q", "good"), ("Q", "poor"), ("Q", "hopeless")]
    found = answered_yes(Counting(), ("coherence", "naturalness"), rows)
    assert found[:2] == [[1.0, 1.0], [0.0, 0.0]]
    assert all(isinstance(each, str) and "cannot tell" in each for each in found[2])
