"""A response as the rules read it."""

from __future__ import annotations

from functools import cached_property

from biddable.judges.ifeval import language, punkt, unicode, words
from biddable.judges.ifeval.loose import loose_variants


class Text:
    """A response and what several rules want to know of it, each computed once and only when asked for."""

    def __init__(self, raw: str) -> None:
        self.raw = raw

    @cached_property
    def stripped(self) -> str:
        """Without blanks at either end."""
        return self.raw.strip()

    @cached_property
    def clean(self) -> Text:
        """As the repaired rules read it: see ``unicode.clean``."""
        return Text(unicode.clean(self.raw))

    @cached_property
    def folded(self) -> str:
        """For comparisons: see ``unicode.folded``."""
        return unicode.folded(self.raw)

    @cached_property
    def trimmed(self) -> list[Text]:
        """The other forms of the response that the loose score accepts."""
        return [Text(form) for form in loose_variants(self.raw)[1:]]

    @cached_property
    def lower(self) -> str:
        """In lower case."""
        return self.raw.lower()

    @cached_property
    def words(self) -> int:
        r"""The number of ``\w+`` tokens."""
        return words.count_words(self.raw)

    @cached_property
    def sentences(self) -> list[str]:
        """By Punkt."""
        return punkt.sentences(self.raw)

    @cached_property
    def capital_words(self) -> int:
        """The number of tokens in all capitals."""
        return sum(map(words.count_capital_words, self.sentences))

    @cached_property
    def language(self) -> str | None:
        """ISO 639-1 code, or None where there are no letters to go by."""
        return language.detect(self.raw)
