"""Reward models: a scalar for each response, and the judge that cuts it at a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Protocol

from biddable.errors import InputError, ModelError
from biddable.types import Message, Response, Task, Verdict


class RewardModel(Protocol):
    """Says how good each response is: one number per pair, higher is better, on a scale of its own."""

    def __call__(self, tasks: Sequence[Task], responses: Sequence[Response]) -> list[float]:
        """One reward for each response to its task, in order."""


class RewardJudge:
    """Passes what its reward model scores at ``threshold`` or above; the verdict's score is the reward."""

    def __init__(self, reward_model: RewardModel, threshold: float = 0.0):
        if not isfinite(threshold):
            raise InputError("threshold", threshold, "a finite number")
        self.reward_model, self.threshold = reward_model, threshold

    def __call__(self, tasks: Sequence[Task], responses: Sequence[Response]) -> list[Verdict]:
        """One verdict for each response; a reward that is not finite is no verdict."""
        return [self._verdict(reward) for reward in self.reward_model(tasks, responses)]

    def _verdict(self, reward: float) -> Verdict:
        if not isfinite(reward):
            return Verdict(None, None, f"the reward is {reward}")
        passed = reward >= self.threshold
        return Verdict(reward, passed, f"reward {reward:.3g}, asked for is at least {self.threshold:g}")


class SequenceRewardModel:
    """A transformers sequence classifier with one output, from a folder of safetensors.

    Rows are batched by length, so that little of a batch is padding.

    Args:
        folder: a model saved by ``save_pretrained``, with its tokenizer.
        batch_size: rows scored at once.
        device: a torch device.

    Raises:
        ModelError: the folder holds no such model.
    """

    def __init__(self, folder: str | Path, batch_size: int = 16, device: str = "cpu"):
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from biddable.models.folders import read_module, reading

        if batch_size < 1:
            raise InputError("batch_size", batch_size, "an integer of at least 1")
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
        self.model, self.batch_size = model.to(device).eval(), batch_size

    def __call__(self, tasks: Sequence[Task], responses: Sequence[Response]) -> list[float]:
        """One reward for each response to its task, in order.

        Raises:
            InputError: a task with its response is longer than the model's context.
        """
        import torch

        rows = [self._tokens(task, response) for task, response in zip(tasks, responses, strict=True)]
        shortest_first = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        rewards: dict[int, float] = {}
        with torch.inference_mode():
            for start in range(0, len(rows), self.batch_size):
                batch = shortest_first[start : start + self.batch_size]
                padded = self.tokenizer.pad(
                    {"input_ids": [rows[i] for i in batch]}, padding_side="right", return_tensors="pt"
                ).to(self.model.device)
                logits = self.model(**padded).logits
                rewards.update(zip(batch, logits[:, 0].float().tolist(), strict=True))
        return [rewards[i] for i in range(len(rows))]

    def _tokens(self, task: Task, response: Response) -> list[int]:
        turns = (*task.prompt, Message("assistant", response.text))
        if self.tokenizer.chat_template:
            messages = [{"role": turn.role, "content": turn.content} for turn in turns]
            text = self.tokenizer.apply_chat_template(messages, tokenize=False)
            tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            tokens = self.tokenizer("\n\n".join(turn.content for turn in turns))["input_ids"]
        context = getattr(self.model.config, "max_position_embeddings", None) or len(tokens)
        if len(tokens) > context:
            raise InputError(f"tokens of task {task.id} with its response", len(tokens), f"at most {context}")
        return tokens
