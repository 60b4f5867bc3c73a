"""A reward model as judge: a sequence classifier with one output."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from biddable.errors import InputError, ModelError
from biddable.judges.base import require_equal_lengths
from biddable.models.precision import Precision, computes_in_bf16
from biddable.types import Response, Task, Verdict, exchange

if TYPE_CHECKING:
    from biddable.models.packed import PackedClassifier

ROW = 64
"""Tokens of a row, as ``batch_size`` counts them."""


class RewardJudge:
    """Scores each response by the reward of a transformers sequence classifier with one output.

    Rewards have a scale of their own; higher is better. What rows open with, such as the prompt of several
    responses, is computed once. Where an architecture cannot be computed so, rows are batched by length.

    Args:
        folder: a model saved by ``save_pretrained`` as safetensors, with its tokenizer.
        threshold: a response passes whose reward is at least this; None decides nothing.
        batch_size: rows (of some ``ROW`` tokens) scored at once.
        device: a torch device; the first GPU, else the CPU, when None.
        precision: what the body computes in: "auto" is bf16 where the processor multiplies in it.

    Raises:
        ModelError: the folder holds no such model.
        InputError: a threshold that is not finite, a batch size below 1, or no such precision.
    """

    def __init__(
        self,
        folder: str | Path,
        threshold: float | None = None,
        batch_size: int = 16,
        device: str | None = None,
        precision: Precision = "auto",
    ):
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from biddable.models.folders import read_module, reading

        if threshold is not None and not isfinite(threshold):
            raise InputError("threshold", threshold, "a finite number, or None")
        if batch_size < 1:
            raise InputError("batch_size", batch_size, "an integer of at least 1")
        if precision not in get_args(Precision):
            raise InputError("precision", precision, f"one of {', '.join(get_args(Precision))}")
        if not Path(folder).is_dir():
            raise ModelError(f"{folder}: no such folder")
        model = read_module(
            Path(folder), torch.float32, auto=AutoModelForSequenceClassification, what="a sequence classifier"
        )
        with reading(Path(folder), "a tokenizer"):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        if model.config.num_labels != 1:
            raise ModelError(f"{folder}: gives {model.config.num_labels} outputs, a reward model gives 1")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        model.config.pad_token_id = self.tokenizer.pad_token_id
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.threshold, self.batch_size = model.to(device).eval(), threshold, batch_size
        self._packed = _packed(self.model, computes_in_bf16(precision, self.model.device))

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """One verdict for each response, in order; ``seeds`` change nothing.

        The score is the reward. There is none where a task with its response is longer than the model's
        context, or the model's numbers are not finite; the critique then says so.

        Raises:
            InputError: not one response for each task.
        """
        require_equal_lengths(tasks, responses)
        rows = [self._tokens(task, response) for task, response in zip(tasks, responses, strict=True)]
        context = getattr(self.model.config, "max_position_embeddings", None) or float("inf")
        fitting = [i for i, tokens in enumerate(rows) if len(tokens) <= context]
        rewards = dict(zip(fitting, self._rewards([rows[i] for i in fitting]), strict=True))
        return [
            self._verdict(rewards[i])
            if i in rewards
            else Verdict(None, None, f"{len(rows[i])} tokens with its task, the model takes {context}")
            for i in range(len(rows))
        ]

    def _rewards(self, rows: Sequence[list[int]]) -> list[float]:
        import torch

        from biddable.models.classifier import sequence_scores

        if self._packed:
            return sequence_scores(self._packed, rows, self.batch_size * ROW)
        shortest_first = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        rewards: dict[int, float] = {}
        with torch.inference_mode():
            for start in range(0, len(rows), self.batch_size):
                batch = shortest_first[start : start + self.batch_size]
                padded = self.tokenizer.pad(
                    {"input_ids": [rows[i] for i in batch]}, padding_side="right", return_tensors="pt"
                ).to(self.model.device)
                logits = self.model(**padded).logits  # [batch, 1]
                rewards.update(zip(batch, logits[:, 0].float().tolist(), strict=True))
        return [rewards[i] for i in range(len(rows))]

    def _tokens(self, task: Task, response: Response) -> list[int]:
        turns = exchange(task.prompt, response.text)
        if self.tokenizer.chat_template:
            messages = [{"role": turn.role, "content": turn.content} for turn in turns]
            text = self.tokenizer.apply_chat_template(messages, tokenize=False)
            tokens: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            tokens = self.tokenizer("\n\n".join(turn.content for turn in turns))["input_ids"]
        return tokens

    def _verdict(self, reward: float) -> Verdict:
        if not isfinite(reward):
            return Verdict(None, None, f"the reward is {reward}")
        if self.threshold is None:
            return Verdict(reward, None, f"reward {reward:.3g}")
        asked = f"reward {reward:.3g}, asked for is at least {self.threshold:g}"
        return Verdict(reward, reward >= self.threshold, asked)


def _packed(model: Any, bf16: bool) -> PackedClassifier | None:
    """The model on packed batches, in bf16 if that is wanted and agrees, else in fp32; None where neither."""
    from biddable.models.classifier import packed_classifier

    for in_bf16 in (True, False) if bf16 else (False,):
        try:
            return packed_classifier(model, in_bf16)
        except ModelError:
            continue
    return None
