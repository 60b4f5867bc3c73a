"""From text to token ids: what one training example is and how it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from biddable.errors import InputError
from biddable.models.base import TrainableModel
from biddable.models.chat import ChatFormat, require_text
from biddable.models.plain import context_of
from biddable.types import Prompt


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and the completions that are scored after it, as token ids; none is empty.

    ``masks`` says of each completion which tokens count; when empty, all do.
    """

    prompt: tuple[int, ...]
    completions: tuple[tuple[int, ...], ...]
    masks: tuple[tuple[bool, ...], ...] = ()

    @property
    def tokens(self) -> int:
        """How many tokens it takes with the prompt counted once."""
        return len(self.prompt) + sum(map(len, self.completions))

    @property
    def counted(self) -> int:
        """How many completion tokens count."""
        return sum(map(sum, self.masks)) if self.masks else sum(map(len, self.completions))

    @property
    def longest(self) -> int:
        """Length of its longest sequence (prompt and one completion)."""
        return len(self.prompt) + max(map(len, self.completions))


class Encoder:
    """Turns chats into examples, as the model reads them.

    Args:
        chat: how the model reads chats.
        context: the longest sequence the model takes, in tokens.
    """

    def __init__(self, chat: ChatFormat, context: int):
        self.context = context
        self._chat = chat

    @classmethod
    def of(cls, model: TrainableModel) -> Encoder:
        """The encoder of a model: its tokenizer and the context of its configuration."""
        return cls(ChatFormat.of(model.module, model.tokenizer), context_of(model.module.config))

    def prompt(self, prompt: Prompt) -> tuple[int, ...]:
        """Token ids of a prompt. Raises InputError: the model does not take it."""
        return tuple(self._chat.prompt(prompt))

    def encode(self, prompt: Prompt, completions: Sequence[str]) -> Example:
        """The chat up to where the assistant speaks, and each completion closed by the end-of-turn token.

        Raises:
            InputError: the prompt has no turn, its turns are not what the template takes (two of the user
                in a row, say), or a sequence is longer than the model's context.
        """
        answers = tuple(tuple(self._chat.response(text)) for text in completions)
        example = Example(tuple(self._chat.prompt(prompt)), answers)
        if example.longest > self.context:
            raise TooLongError(
                "length", example.longest, f"at most {self.context} tokens, the model's context"
            )
        return example

    def encode_all(
        self,
        rows: Sequence[tuple[Prompt, Sequence[str]]],
        *,
        field: str,
        too_long: Literal["error", "drop"],
        sources: Sequence[int] | None = None,
    ) -> tuple[list[Example], list[int]]:
        """Encode rows of (prompt, completions).

        Args:
            rows: at least one.
            field: what the user knows the rows as.
            too_long: "drop" leaves out rows that are longer than the model's context.
            sources: which entry of ``field`` each row was made from; its own index when None.

        Returns:
            the examples, and for each the index of its row.

        Raises:
            InputError: naming ``field`` and the entry; also where no row is left.
        """
        if not rows:
            raise InputError(field, [], "at least one example")
        examples, kept = [], []
        for index, (prompt, completions) in enumerate(rows):
            entry = f"{field}[{sources[index] if sources else index}]"
            try:
                examples.append(self.encode(prompt, completions))
                kept.append(index)
            except TooLongError as error:
                if too_long == "error":
                    raise error.at(entry) from None
            except InputError as error:
                raise error.at(entry) from None
        if not examples:
            raise InputError(field, f"{len(rows)} examples", f"one that fits in {self.context} tokens")
        return examples, kept


def require_answer(field: str, text: object) -> None:
    """Refuse what a model is not to learn to say: what is no text, and nothing at all.

    Raises:
        InputError: naming ``field``.
    """
    require_text(field, text)
    if not str(text).strip():
        raise InputError(field, text, "an answer that says something")


class TooLongError(InputError):
    """A sequence does not fit in the model's context."""
