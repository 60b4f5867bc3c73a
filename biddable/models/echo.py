"""Scores of given text from a server that repeats it: the route for raw text, asked with ``echo``.

Servers take the argument without honouring it, or repeat a text and give the scores of another. So the tokens
that come back must spell out what was sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from biddable.models.base import NoScoresError, TokenScores

_BYTES = "bytes:"
"""What OpenAI's servers write tokens with that are no whole characters: ``bytes:\\xe2\\x80``."""


def echo_request(name: str, prompt: str, continuation: str) -> dict[str, Any]:
    """The request for the scores of two texts; one more token is drawn, as some servers draw no fewer."""
    return {
        "model": name,
        "prompt": prompt + continuation,
        "echo": True,
        "logprobs": 1,
        "max_tokens": 1,
        "temperature": 0,
        "stream": False,
    }


def parse_echo(body: bytes, prompt: str, continuation: str) -> TokenScores:
    """The scores of ``continuation`` in the answer to its ``echo_request``; token ids are not told.

    Blanks that the prompt ends with belong to the continuation, as in ``ChatFormat.spans``; so does a
    token that lies across the border.

    Raises:
        ValueError: it is no completion.
        NoScoresError: what came back are not the log-probabilities of what was sent.
    """
    try:
        choice = json.loads(body)["choices"][0]
        logprobs = choice["logprobs"] if choice.get("logprobs") else {}
        tokens, numbers = logprobs.get("tokens") or (), logprobs.get("token_logprobs") or ()
        border = len(prompt.rstrip().encode())
        scored = tuple(_scored(tokens, numbers, (prompt + continuation).encode(), border))
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no completion: {type(error).__name__} {error}") from error
    return TokenScores((), scored)


def _scored(
    tokens: Sequence[str], numbers: Sequence[float | None], text: bytes, border: int
) -> Iterator[float]:
    """The numbers of the tokens of ``text`` that end after ``border``, each token held against it."""
    place = 0
    for index, (token, number) in enumerate(zip(tokens, numbers, strict=False)):
        written = _written(token)
        if index == 0 and number is None and not text.startswith(written):
            continue  # the token that texts begin with
        if place == len(text):
            return
        if not text.startswith(written, place):
            raise NoScoresError("the tokens that the server repeats are not those of the text that was sent")
        place += len(written)
        if place > border:
            if number is None or not math.isfinite(number) or place > len(text):
                raise NoScoresError("the server gives a token of the text that was sent no log-probability")
            yield number
    if place < len(text):
        raise NoScoresError("the server does not repeat the text that was sent with its log-probabilities")


def _written(token: str) -> bytes:
    if token.startswith(_BYTES):
        return token.removeprefix(_BYTES).encode().decode("unicode_escape").encode("latin-1")
    return token.encode()
