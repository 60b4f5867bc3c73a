"""One GRPO step on SmolLM2-135M beside TRL's trainer, generation included, in one process, in turns.

    python -m benchmarks.grpo_step [--json] [--rounds N]

A step answers 4 prompts 8 times with 48 tokens, rewards the answers, and updates all weights once, kept in
fp32, with two threads. Both sides have the same prompts, group size, lengths and reward (a function of the
text that costs nothing), no reference model, and multiply in bf16 where the processor is built for it. TRL
generates with transformers and runs without gradient checkpointing, which makes it faster. Answers may end
early on both sides, so what counts is the time of a step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import torch

from benchmarks._common import Row, parser, report, time_both
from biddable.models.base import Sampling
from biddable.models.load import load_model
from biddable.train.grpo import GrpoConfig, grpo_objective, sampled_batch
from biddable.train.learner import Learner
from biddable.types import Response, Task, Verdict, user

PROMPTS, GROUP, TOKENS, THREADS, LR = 4, 8, 48, 2, 1e-7
TOPICS = ("the river", "an old light", "a small garden", "the long winter")
TASKS = [Task(topic, user(f"Write a few sentences about {topic}, with no comma.")) for topic in TOPICS]


def no_commas(tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Any = None) -> list[Verdict]:
    """The share of characters that are no commas."""
    return [Verdict(1 - response.text.count(",") / (len(response.text) + 1), None) for response in responses]


def our_step() -> Callable[[], object]:
    """A function that makes one step of ours."""
    model: Any = load_model("smollm2", device="cpu")
    sampling = Sampling(max_tokens=TOKENS)
    config = GrpoConfig(lr=LR, warmup=0.0, batch_size=PROMPTS, group_size=GROUP, sampling=sampling)
    learner = Learner(model, config, steps=10**4).__enter__()
    asked = [(task, tuple(model.encode_prompt(task.prompt))) for task in TASKS]
    steps = count()

    def step() -> None:
        batch = sampled_batch(learner, asked, no_commas, config, next(steps), None)
        learner.step(batch, grpo_objective(config))

    return step


def trl_step() -> Callable[[], object]:
    """A function that makes one step of TRL's trainer on the same prompts."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    model: Any = load_model("smollm2", device="cpu")
    model.module.requires_grad_(True)

    def reward(completions: list[Any], **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        return [1 - text.count(",") / (len(text) + 1) for text in texts]

    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=PROMPTS * GROUP,
        num_generations=GROUP,
        max_completion_length=TOKENS,
        gradient_checkpointing=False,
        bf16=model.bf16,
        use_cpu=True,
        learning_rate=LR,
        report_to=[],
        disable_tqdm=True,
        max_steps=10**4,
    )
    rows = [{"prompt": [{"role": "user", "content": task.prompt[0].content}]} for task in TASKS]
    trainer = GRPOTrainer(
        model=model.module,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=model.tokenizer,
    )
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1  # what its train() would set

    def step() -> None:
        trainer.model.train()
        trainer._buffered_inputs = None
        trainer.training_step(trainer.model, batch, None)
        trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), 1.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()

    return step


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3)
    arguments = options.parse_args()
    torch.set_num_threads(THREADS)
    ours, peer = our_step(), trl_step()
    ours(), peer()
    seconds = time_both(ours, peer, rounds=arguments.rounds)
    name = f"GRPO step, {PROMPTS} prompts x {GROUP} answers x {TOKENS} tokens"
    report([Row.of_times(name, *seconds)], as_json=arguments.json)


if __name__ == "__main__":
    main()
