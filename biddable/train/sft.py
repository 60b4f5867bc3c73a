"""Training on answers that are right: supervised fine-tuning.

Rejection-sampling fine-tuning (RFT) is this on data that a judge has filtered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from biddable.errors import InputError
from biddable.models.base import TrainableModel
from biddable.models.chat import require_chat
from biddable.train.config import SftConfig
from biddable.train.examples import Encoder, Example, require_answer
from biddable.train.learner import Learner, Scores
from biddable.train.loop import OnStep, TrainReport, example_steps, fit_examples
from biddable.train.losses import Losses, sft_loss
from biddable.types import Chat, Conversation, Prompt


def train_sft(
    model: TrainableModel,
    conversations: Sequence[Chat | Conversation],
    config: SftConfig | None = None,
    *,
    checkpoint_dir: Path | None = None,
    on_step: OnStep | None = None,
) -> TrainReport:
    """Teach ``model`` to say what the assistant says; nothing else of the conversations is learned.

    The loss is the mean over the answers' tokens of a whole batch. ``model.module`` is trained in place;
    with ``lora.rank`` it gets an adapter.

    Args:
        model: what to train. To resume, pass it as it was at first.
        conversations: chats that end with an assistant's turn, after at least one other; or conversations
            whose ``trained`` turns are learned, each after the turns before it.
        config: see ``SftConfig``.
        checkpoint_dir: see ``train.loop.fit``.
        on_step: see ``train.loop.fit``.

    Returns:
        the report; the metric of each step is ``nll``, per token.

    Raises:
        InputError: no conversations, one that is none or has no answer to learn, an answer that says
            nothing, or one that is too long (naming it).
    """
    config = config or SftConfig()
    answers = [
        list(learned_answers(f"conversations[{index}]", row, config.turns))
        for index, row in enumerate(conversations)
    ]
    rows = [row for of_chat in answers for row in of_chat]
    sources = [index for index, of_chat in enumerate(answers) for _ in of_chat]
    examples, kept = Encoder.of(model).encode_all(
        rows, field="conversations", too_long=config.too_long, sources=sources
    )
    steps = example_steps(config.batch_size, config.epochs, len(examples))
    with Learner(model, config, steps=steps) as learner:
        report = fit_examples(
            learner, examples, sft_objective, units=_tokens, checkpoint_dir=checkpoint_dir, on_step=on_step
        )
    return replace(report, dropped=len(rows) - len(kept))


def sft_objective(scores: Scores) -> Losses:
    """Negative log-likelihood of every token that counts."""
    return sft_loss(scores.logprobs)


def _tokens(examples: Sequence[Example]) -> float:
    return sum(example.counted for example in examples)


def learned_answers(
    field: str, row: Chat | Conversation, turns: Literal["last", "all"]
) -> Iterator[tuple[Prompt, tuple[str]]]:
    """(what came before, the answer) for each answer that is learned. Raises InputError, naming ``field``."""
    chat = row.chat if isinstance(row, Conversation) else row
    if chat != ():
        require_chat(field, chat)
    trained = row.trained if isinstance(row, Conversation) else _trained(chat, turns)
    if len(trained) != len(chat):
        raise InputError(f"{field}.trained", trained, f"{len(chat)} of true or false, one for each turn")
    places = [place for place, learned in enumerate(trained) if learned]
    if not places:
        expected = "a chat that ends with an assistant's turn, after at least one other"
        if isinstance(row, Conversation):
            field, expected = f"{field}.trained", "at least one assistant's turn that is learned"
        raise InputError(field, row.trained if isinstance(row, Conversation) else chat, expected)
    for place in places:
        if place == 0 or chat[place].role != "assistant":
            raise InputError(f"{field}[{place}].role", chat[place].role, "assistant, after at least one turn")
        require_answer(f"{field}[{place}].content", chat[place].content)
        yield tuple(chat[:place]), (chat[place].content,)


def _trained(chat: Chat, turns: Literal["last", "all"]) -> list[bool]:
    """Which turns of a plain chat are learned; none where it does not end with an answer."""
    if len(chat) < 2 or chat[-1].role != "assistant":
        return [False] * len(chat)
    last = len(chat) - 1
    return [
        place == last or (turns == "all" and place > 0 and message.role == "assistant")
        for place, message in enumerate(chat)
    ]
