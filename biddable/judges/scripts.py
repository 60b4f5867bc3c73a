"""Scripts in which blanks do not divide words as they do in English, as members of a character class."""

from __future__ import annotations

HAN = r"\p{Han}\u3006"
SYLLABLES = r"\p{Hiragana}\p{Katakana}\u30fc\uff70\p{Bopomofo}\p{Yi}"
"""Those of Japanese and the like; a word has about two. The marks that prolong vowels belong to no script."""
HANGUL = r"\p{Hangul}"
"""Blanks stand between words, but particles follow words without one."""
ABUGIDAS = (
    r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Javanese}\p{Balinese}\p{Tai_Tham}\p{New_Tai_Lue}\p{Tai_Le}"
    r"\p{Tai_Viet}"
)
"""Thai and its kin; a word has about four characters."""
UNSPACED = HAN + SYLLABLES + HANGUL + ABUGIDAS
"""All of them: words or particles may follow words without a blank."""
