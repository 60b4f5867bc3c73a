"""Cheap numbers of a request with its response that may tell how good a row of a data set is.

Those of InstructMining (Cao et al. 2023, arXiv 2307.06290). MTLD is by McCarthy and Jarvis, "MTLD, vocd-D,
and HD-D", Behavior Research Methods 42, 2010. Some are stand-ins: where the paper asks UniEval for
naturalness, coherence and understandability, a language model is asked here; and where it has a reward model,
the reward is how much likelier the request makes the response, unless a judge is named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biddable.errors import InputError
from biddable.judges.labels import label_probabilities
from biddable.judges.rating import YES_OR_NO, read_yes
from biddable.models.base import LanguageModel
from biddable.types import Chat, Prompt, user

Floats = NDArray[np.float64]

INDICATORS = (
    *("input_length", "output_length", "reward", "log_perplexity", "mtld", "knn"),
    *("naturalness", "coherence", "understandability"),
)
QUESTIONS = {
    "naturalness": "Does the response read like something that a person would naturally say?",
    "coherence": "Does the response fit the request, and is it right?",
    "understandability": "Can the response be understood as it stands?",
}
"""What stands in for UniEval's dimensions of dialogue, in our words."""

TTR = 0.72
"""A factor of MTLD ends where so small a share of its words are different ones."""
BLOCK = 512
"""Rows whose distances are computed at a time, which bounds memory."""


def mtld(words: Sequence[str]) -> float:
    """Lexical diversity: words for each factor, the mean of reading forwards and backwards.

    A factor ends where its type-token ratio is at most 0.72; the rest counts as the part of one. A text
    without any repetition has no factor, and counts as one of as many words as it has.

    Raises:
        InputError: there is no word.
    """
    if not words:
        raise InputError("words", [], "at least one word")
    return (_one_way(words) + _one_way(words[::-1])) / 2


def _one_way(words: Sequence[str]) -> float:
    factors, seen, length = 0.0, set[str](), 0
    for word in words:
        seen.add(word)
        length += 1
        if len(seen) / length <= TTR:
            factors, seen, length = factors + 1, set(), 0
    if length:
        factors += (1 - len(seen) / length) / (1 - TTR)
    return len(words) / factors if factors else float(len(words))


def knn_distances(vectors: ArrayLike, i: int = 6) -> Floats:
    """Of each row the Euclidean distance to its ``i``-th nearest other row.

    Args:
        vectors: [rows, width].
        i: from 1, below the number of rows.

    Raises:
        InputError: there are not so many others.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if not 1 <= i < len(rows):
        raise InputError("knn", i, f"1 to {len(rows) - 1}, as there are {len(rows)} rows")
    squares = (rows**2).sum(axis=1)
    found = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        distances = squares[start : start + BLOCK, None] + squares - 2 * block @ rows.T
        distances[np.arange(len(block)), start + np.arange(len(block))] = -np.inf  # itself comes first
        found[start : start + BLOCK] = np.partition(distances, i, axis=1)[:, i]
    return np.sqrt(found.clip(0))


def likelihoods(model: LanguageModel, rows: Sequence[tuple[Chat, str]]) -> list[tuple[float, float]]:
    """Of each response: nats per token after its request, and how many fewer those are than without it.

    The first is the logarithm of the perplexity. The second, mean log p(y|x) − log p(y), is what stands in
    for a reward; without a request means after a turn of the user's that says nothing.

    Raises:
        InputError: a row is longer than the model's context.
        NoScoresError: the model gives no log-probabilities.
    """
    prompts: list[Prompt] = [prompt for prompt, _ in rows]
    texts = [text for _, text in rows]
    scored = model.score([*prompts, *(user("") for _ in rows)], [*texts, *texts])
    nats = [-each.total / len(each.logprobs) for each in scored]
    return [(nats[i], nats[len(rows) + i] - nats[i]) for i in range(len(rows))]


def question(name: str, request: str, response: str) -> Chat:
    """A question of ``QUESTIONS`` about a response. What all have in common comes first."""
    return user(f"Request:\n{request}\n\nResponse:\n{response}\n\n{QUESTIONS[name]} Answer yes or no.")


def answered_yes(
    model: LanguageModel, names: Sequence[str], rows: Sequence[tuple[str, str]]
) -> list[list[float | str]]:
    """How likely yes is, [rows][names], for requests with their responses; or why that cannot be said.

    Raises:
        EndpointError: a served model answers nothing.
    """
    asked: list[Prompt] = [question(name, *row) for row in rows for name in names]
    found = label_probabilities(model, asked, YES_OR_NO, read_yes)
    values: list[float | str] = [each.problem or each.probabilities[0] for each in found]
    return [values[at : at + len(names)] for at in range(0, len(values), len(names))]
