"""The text of a response that is still being drawn: what is sure to stand in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

HALF = "\ufffd"
"""What a decoder writes for bytes that are no whole character, or not yet."""


class GrowingText:
    """Hands out a text piece by piece as its tokens come; the pieces together are the text.

    Two things are held back: bytes that may become a character, and the beginning of what may become a stop
    string.

    Args:
        decode: token ids to text.
        stop: texts that the response ends before.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str]):
        self._decode, self._stop = decode, stop
        self._tokens: list[int] = []
        self._context = self._read = 0  # tokens up to _read are in the text; from _context on are decoded
        self._held = ""
        self.given = ""

    def add(self, token: int) -> str:
        """What one more token makes sure; perhaps nothing."""
        self._tokens.append(token)
        # Decoded after the piece before it: some tokenizers write the first token of a text otherwise.
        before = self._decode(self._tokens[self._context : self._read])
        after = self._decode(self._tokens[self._context :])
        if len(after) > len(before) and not after.endswith(HALF):
            self._held += after[len(before) :]
            self._context, self._read = self._read, len(self._tokens)
        return self._give(len(self._held) - self._doubtful())

    def end(self, token: int, whole: str) -> str:
        """What is left to give of the response, whose last token and ``whole`` text are known now."""
        if not whole.startswith(self.given):
            # A tokenizer that tidies blanks writes a whole text otherwise than its pieces; what is given
            # stands, and goes on as its pieces have it.
            self._tokens.append(token)
            before = self._decode(self._tokens[self._context : self._read])
            self._held += self._decode(self._tokens[self._context :])[len(before) :]
            cuts = [place for stop in self._stop if (place := self._held.find(stop)) >= 0]
            return self._give(min(cuts, default=len(self._held)))
        self._held = whole[len(self.given) :]
        return self._give(len(self._held))

    def _doubtful(self) -> int:
        """How many characters at the end may belong to a stop string."""
        held = self._held
        starts = [place for stop in self._stop if (place := held.find(stop)) >= 0]
        if starts:
            return len(held) - min(starts)
        longest = max(map(len, self._stop), default=0)
        ends = (held[-length:] for length in range(min(longest, len(held)), 0, -1))
        return next((len(end) for end in ends if any(stop.startswith(end) for stop in self._stop)), 0)

    def _give(self, length: int) -> str:
        piece, self._held = self._held[:length], self._held[length:]
        self.given += piece
        return piece


def offsets(text: str, tokens: Sequence[str]) -> list[int]:
    """Where each token of a text begins in it; one that does not stand in it, where the next one may.

    A tokenizer of words writes blanks between tokens that have none; one that tidies blanks takes them off.
    Tokens side by side that hold parts of characters begin where the first of these does.
    """
    begins, at, halves = [], 0, False
    for token in tokens:
        place, end = _found(text, token, at + halves, anywhere=halves)
        begins.append(at if place < 0 else place)
        at = at if place < 0 else end
        halves = place < 0 and (halves or HALF in token)
    return begins


def _found(text: str, token: str, start: int, *, anywhere: bool) -> tuple[int, int]:
    """Where a token stands next and ends, only blanks before it unless it may be anywhere; else -1, -1."""
    for form in filter(None, (token, token.lstrip())):
        place = text.find(form, start)
        if place >= 0 and (anywhere or not text[start:place].strip()):
            return place, place + len(form)
    return -1, -1
