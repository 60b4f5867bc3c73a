"""Every setting of SPaR; the docstring of each is the command line's help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from biddable.config import Count, Natural, NonNegative, Positive, settings
from biddable.errors import InputError
from biddable.search.tree import SearchSettings

Arm = Literal[
    "independent",
    "no-tree-search",
    "no-iterating",
    "self-rewarding",
    "meta-rewarding",
    "self",
    "humpback",
]
"""What SPaR is compared with, beside the untrained model; each has the same tasks and training settings."""

Rate = Annotated[float, Field(gt=0, lt=1)]

EASY_TYPES = (
    "change_case:english_lowercase",
    "startend:quotation",
    "startend:end_checker",
    "punctuation:no_comma",
)
"""Rules that a first refiner of a hundred lessons can repair; the untrained model rarely follows most."""

TYPES = (
    "change_case:english_lowercase",
    "change_case:english_capital",
    "startend:quotation",
    "startend:end_checker",
    "punctuation:no_comma",
    "detectable_content:number_placeholders",
    "detectable_format:number_highlighted_sections",
    "keywords:existence",
)
"""Rules that two sentences can be repaired for, most of which the untrained model rarely follows."""

HELD_OUT = (
    "detectable_format:title",
    "detectable_content:postscript",
    "detectable_format:number_bullet_lists",
    "keywords:forbidden_words",
)


@settings
class SparConfig:
    """Settings of SPaR; the paper's values are named where 2 cores ask for others."""

    model: str = "smollm2"
    """The model to improve; it is the first actor and, once taught to repair, the first refiner."""
    judge: Literal["rules", "self"] = "rules"
    """Who says whether an answer passes: the tasks' own rules, or the refiner by vote (the paper)."""
    arms: tuple[Arm, ...] = ()
    """What to compare SPaR with on the same data."""
    seeds: Count = 1
    """Repetitions with other tasks, samples and orders."""

    iterations: Count = 1
    """Rounds of self-play (paper: 3)."""
    prompts: Count = 44
    """New training tasks per iteration (paper: 10,000)."""
    rules: Annotated[int, Field(ge=1, le=3)] = 1
    """The most rules a composed task has."""
    brief: bool = True
    """Ask for answers of two sentences, so that they are whole within ``max_tokens``."""
    types: tuple[str, ...] = EASY_TYPES
    """The rule types that tasks are composed of."""
    held_out_types: tuple[str, ...] = HELD_OUT
    """Rule types that training never sees."""

    bootstrap: Count = 130
    """Tasks whose failed answers, repaired by rule, teach the first refiner, the same for all seeds."""
    bootstrap_samples: Count = 1
    """Answers to each of them."""
    bootstrap_epochs: Count = 1
    """How often the first refiner sees the repairs."""
    bootstrap_lr: Positive = 5e-4
    """Highest learning rate of the first refiner."""

    samples: Annotated[int, Field(ge=2)] = 5
    """Answers the actor gives to each training task (paper: 5)."""
    temperature: Positive = 0.9
    """Temperature of those answers (paper: 0.9)."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Nucleus of those answers (paper: 0.9)."""
    max_tokens: Count = 80
    """Longest answer (paper: 2048)."""
    votes: Count = 5
    """Judgements of each answer when the model judges (paper: 5); odd, or ties are many."""

    search: Literal["bfs", "dfs"] = "bfs"
    """Order in which the tree of repairs grows (paper: bfs)."""
    branch: Count = 3
    """Repairs made of each node (paper: 3)."""
    keep: Count = 1
    """Nodes of a level, or of a node's children, that are repaired further (paper: 2)."""
    max_depth: Count = 2
    """Depth of the tree (paper: 3)."""
    gate: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """A repair above this value ends the search (paper: 0.5)."""
    budget: Count = 1000
    """Most repairs in one tree (paper: 1000, so that depth and branch bind first)."""
    select: Literal["greedy", "sample"] = "greedy"
    """How kept nodes are chosen (paper: greedy)."""
    refine_tries: Count = 2
    """Attempts at one repair before its place stays empty (the official code: 9)."""
    refine_tokens: Count = 160
    """Longest text of the refiner, reflection included (paper: 3072)."""
    refine_temperature: Positive = 0.7
    """Temperature of repairs (paper: 0.7)."""

    beta: Positive = 0.1
    """DPO: how strongly the actor is held to where it started (paper: 0.1)."""
    alpha: NonNegative = 2.0
    """DPO: weight of the chosen answer's negative log-likelihood (paper: 0.1)."""
    actor_lr: Positive = 1e-4
    """Highest learning rate of the actor (paper: 2e-7, for 8B parameters)."""
    actor_epochs: Count = 3
    """Epochs over the pairs (paper: 1)."""
    refiner_lr: Positive = 5e-5
    """Highest learning rate of the refiner in an iteration (paper: 2e-6)."""
    refiner_epochs: Count = 1
    """Epochs over the refiner's data of one iteration (paper: 5)."""
    batch_size: Count = 8
    """Pairs in an optimizer step of the actor."""
    refiner_batch_size: Count = 4
    """Chats in an optimizer step of the refiner."""
    lora_rank: Natural = 0
    """Rank of LoRA adapters; 0 trains all weights (the paper)."""

    test_tasks: Count = 100
    """Held-out composed tasks of the trained rule types."""
    test_held_out: Natural = 30
    """Held-out composed tasks whose rules are all of the held-out types."""
    ifeval: Path | None = None
    """The official IFEval prompts (input_data.jsonl), to score on them too."""
    ifeval_tokens: Count = 320
    """Longest answer to an IFEval prompt."""
    ifeval_arms: tuple[str, ...] = ("base", "independent", "refined", "spar-1", "spar-2", "spar-3")
    """Which models are scored on IFEval: it takes most of an evaluation's time."""
    inference_search: Natural = 0
    """Held-out tasks of each suite on which tree search also repairs what the last actor failed."""
    curve: Natural = 0
    """Failed answers on which the four searches are compared by number of generations (figure 5)."""

    @model_validator(mode="after")
    def _consistent(self) -> SparConfig:
        self.search_settings()
        if len({*self.arms}) < len(self.arms):
            raise InputError("arms", self.arms, "each arm once")
        if self.judge == "rules" and "meta-rewarding" in self.arms:
            raise InputError("arms", "meta-rewarding", "judge=self with it: rules have nothing to learn")
        if self.judge == "self" and self.votes % 2 == 0:
            raise InputError("votes", self.votes, "an odd number, so that votes can be settled")
        if not set(self.types) - set(self.held_out_types):
            raise InputError("held_out_types", self.held_out_types, "fewer than all of the rule types")
        return self

    def search_settings(self) -> SearchSettings:
        """The tree's part of the settings."""
        return SearchSettings(
            strategy=self.search,
            branching=self.branch,
            beam_width=self.keep,
            max_depth=self.max_depth,
            threshold=self.gate,
            budget=self.budget,
            select=self.select,
            refine_tries=self.refine_tries,
        )
