"""Texts as a reader sees them: however line ends, blanks, letters with marks and wide letters are written.

For the repaired rules only; the published ones read the very characters.
"""

from __future__ import annotations

import functools
import unicodedata

import regex

from biddable.judges.scripts import UNSPACED

_UNSEEN = regex.compile(r"\p{Cf}+")
_LINE_END = regex.compile(r"\r\n?|[\n\v\f\x1c-\x1e\x85\u2028]")
_BLANK = regex.compile(r"[^\S\n]")
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_ALIKE = str.maketrans("‘’‛ʼ`´“”„‟«»‐‑‒–−", "''''''\"\"\"\"\"\"-----")
_SPACED = rf"[\w--[{UNSPACED}]]"
_UNSPACED = regex.compile(f"[{UNSPACED}]")


def clean(text: str) -> str:
    r"""Every end of a line is ``\n``, every other blank a plain one, none stands at the end of a line.

    Letters with marks are one character where there is one (NFC), wide Latin letters and signs are plain, and
    what is not seen (zero-width blanks, soft hyphens, marks of direction) is not there.
    """
    text = _UNSEEN.sub("", unicodedata.normalize("NFC", text)).translate(_WIDE)
    text = _LINE_END.sub("\n", text.replace("\u2029", "\n\n"))
    return "\n".join(line.rstrip(" ") for line in _BLANK.sub(" ", text).split("\n"))


@functools.lru_cache(maxsize=1 << 10)
def folded(text: str) -> str:
    """The same for comparisons: without case, on one line, with plain quotation marks and hyphens.

    By Unicode's compatibility caseless matching (section 3.13), in which "ß" is "ss"; "İ" is "i" besides.
    """
    text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text).translate(_ALIKE))
    text = unicodedata.normalize("NFKC", text.casefold()).replace("i\u0307", "i")
    return " ".join(text.split())


@functools.lru_cache(maxsize=1 << 10)
def whole(words: str) -> regex.Pattern[str]:
    """What finds ``words``, folded, in a folded text, where they begin and end as words do.

    Where either side of an end is of a script that sets no blanks between words, every place is one.
    """
    words = folded(words)
    before = "" if _UNSPACED.match(words) else f"(?<!{_SPACED})"
    after = "" if _UNSPACED.match(words[-1:]) else f"(?!{_SPACED})"
    return regex.compile(f"(?V1){before}{regex.escape(words)}{after}")
