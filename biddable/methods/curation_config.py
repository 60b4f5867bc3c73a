"""Settings of what is done to a data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from biddable.config import Count, Natural, Positive, settings
from biddable.errors import InputError

SETTLED = ("min_score", "mix", "rows", "held_out")
"""Settings that the rows may turn out not to allow: until they do, another value goes on with the run."""


@settings
class DataConfig:
    """What is done to a data set."""

    kind: Literal["auto", "conversations", "preferences"] = "auto"
    """What the rows are; auto: what the first of them can be read as."""
    skip_bad: bool = False
    """Drop rows that cannot be read, each with the reason, instead of ending at the first."""
    min_words: Natural = 0
    """Fewest words of a response (of all that is learned of a conversation)."""
    max_words: Count | None = None
    """Most words of it."""
    max_tokens: Count | None = None
    """Most tokens of a whole row, as the chat template of --model renders it."""
    model: str | None = None
    """Whose tokenizer and chat template count the tokens."""
    degenerate: bool = False
    """Drop responses that repeat themselves, copy the prompt or say nothing."""
    exact: bool = True
    """Drop rows that are the same as an earlier one, but for blanks."""
    one_answer: bool = False
    """Of rows with the same prompt keep the first: the others contradict it, or say it in other words."""
    near: Annotated[float, Field(gt=0, le=1)] | None = None
    """Drop rows whose prompt is as near as this to that of an earlier row; 0.7 is usual by words."""
    near_by: Literal["words", "vectors"] = "words"
    """ROUGE-L over words, or the cosine of MiniLM's sentence vectors."""
    against: tuple[str, ...] = ()
    """Drop rows that hold a part of a task: of a suite of biddable eval, or of a file of tasks."""
    ngram: Count = 13
    """Words in a row that make a part of a task; 8 to 13 are usual."""
    judge: str | None = None
    """Drop rows whose (last) response this judge does not pass: lm:MODEL, hf:DIR, a run."""
    min_score: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Drop those that the judge scores below this, whatever it passes."""
    mix: tuple[Positive, ...] = ()
    """Shares of the sources, in their order, in what is left."""
    rows: Count | None = None
    """Draw so many rows; with --mix and without it, as many as there are for these shares."""
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the rows that is put aside, so that nothing that is learned is near to it."""
    seed: Natural = 0
    """What the draws are derived from."""

    @model_validator(mode="after")
    def _agrees(self) -> DataConfig:
        if self.max_tokens and not self.model:
            raise InputError("max_tokens", self.max_tokens, "a model beside it, whose tokenizer counts")
        if self.model and not self.max_tokens:
            raise InputError("model", self.model, "max_tokens beside it: it counts tokens and does no more")
        if self.min_score is not None and not self.judge:
            raise InputError("min_score", self.min_score, "a judge beside it, who scores")
        if self.max_words is not None and self.max_words < self.min_words:
            raise InputError("max_words", self.max_words, f"at least {self.min_words}, the fewest")
        return self
