"""Training on answers that are right: supervised fine-tuning.

Rejection-sampling fine-tuning (RFT) is this on data that a judge has filtered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from biddable.errors import InputError
from biddable.models.base import TrainableModel
from biddable.models.chat import require_chat
from biddable.train.adapter import choose_weights
from biddable.train.config import TrainConfig
from biddable.train.examples import Encoder, require_answer
from biddable.train.loop import Scores, StepReport, TrainReport, train
from biddable.train.losses import Losses, sft_loss
from biddable.types import Chat


@dataclass(frozen=True, slots=True, kw_only=True)
class SftConfig(TrainConfig):
    """Supervised fine-tuning."""

    lr: float = 2e-5
    """Highest learning rate; with LoRA, some 10 times more is usual."""
    turns: Literal["last", "all"] = "last"
    """Which of a chat's assistant turns are learned: the last, or each after the turns before it."""

    def __post_init__(self) -> None:
        TrainConfig.__post_init__(self)
        if self.turns not in ("last", "all"):
            raise InputError("turns", self.turns, "one of last, all")


def train_sft(
    model: TrainableModel,
    chats: Sequence[Chat],
    config: SftConfig | None = None,
    *,
    checkpoint_dir: Path | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainReport:
    """Teach ``model`` to say what the assistant says in ``chats``; nothing else of them is learned.

    The loss is the mean over the answers' tokens of a whole batch. ``model.module`` is trained in place;
    with ``lora_rank`` it gets an adapter.

    Args:
        model: what to train. To resume, pass it as it was at first.
        chats: each ends with an assistant's turn, after at least one other.
        config: see ``SftConfig``.
        checkpoint_dir: see ``train.loop.train``.
        on_step: see ``train.loop.train``.

    Returns:
        the report; the metric of each step is ``nll``, per token.

    Raises:
        InputError: no chats, one that is no chat or does not end with an answer, an answer that says
            nothing, or one that is too long (naming it).
    """
    config = config or SftConfig()
    answers = [list(_answers(index, chat, config.turns)) for index, chat in enumerate(chats)]
    rows = [row for of_chat in answers for row in of_chat]
    sources = [index for index, of_chat in enumerate(answers) for _ in of_chat]
    examples, kept = Encoder.of(model).encode_all(
        rows, field="chats", too_long=config.too_long, sources=sources
    )
    model.module = choose_weights(model.module, lora_rank=config.lora_rank, seed=config.seed)
    report = train(
        model.module,
        examples,
        _objective,
        config,
        weights=[len(example.completions[0]) for example in examples],
        checkpoint_dir=checkpoint_dir,
        on_step=on_step,
    )
    return replace(report, dropped=len(rows) - len(kept))


def _objective(scores: Scores) -> Losses:
    return sft_loss(scores.logprobs)


def _answers(index: int, chat: Chat, turns: Literal["last", "all"]) -> Iterator[tuple[Chat, tuple[str]]]:
    """(what came before, the answer) for each answer that is learned."""
    field = f"chats[{index}]"
    if chat != ():
        require_chat(field, chat)
    if len(chat) < 2 or chat[-1].role != "assistant":
        expected = "a chat that ends with an assistant's turn, after at least one other"
        raise InputError(field, chat, expected)
    first = 1 if turns == "all" else len(chat) - 1
    for place in range(first, len(chat)):
        if chat[place].role == "assistant":
            require_answer(f"{field}[{place}].content", chat[place].content)
            yield chat[:place], (chat[place].content,)
