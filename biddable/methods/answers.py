"""What answers are besides plain texts, in sentences."""

from __future__ import annotations


def not_plain(
    n: int,
    *,
    cut_off: int,
    max_tokens: int | None,
    empty: int,
    thinking: int,
    thinking_removed: bool,
) -> list[str]:
    """What ``n`` answers are besides plain texts, a sentence each; none where all are.

    Args:
        n: how many answers there are.
        cut_off: those that reached the limit of tokens.
        max_tokens: that limit, where it is known.
        empty: those without any text.
        thinking: those that hold a block of thinking, or did before it was removed.
        thinking_removed: whether it was.
    """
    found = []
    if cut_off:
        limit = f"{max_tokens} tokens (--max-tokens)" if max_tokens else "the limit of tokens"
        found.append(f"{cut_off} of {n} answers ({cut_off / n:.1%}) were cut off at {limit}.")
    if empty:
        found.append(f"{empty} of {n} answers are empty.")
    if thinking and thinking_removed:
        found.append(f"{thinking} of {n} answers held a block of thinking, which was taken off.")
    elif thinking:
        found.append(
            f"{thinking} of {n} answers hold a block of thinking as part of the answer; "
            "--strip-thinking takes it off."
        )
    return found
