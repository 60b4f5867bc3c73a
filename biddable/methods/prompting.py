"""What methods that look for prompts have in common: tasks, a layout, who is asked, what they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from biddable.config import Count, settings
from biddable.experiments.prompts import Outputs, Scoring, chosen_note, prompt_tasks
from biddable.methods.base import Method
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.run import Run
from biddable.tasks.induction import InductionTask, composed_induction
from biddable.tasks.templates import PROMPT_FILE, PromptTemplate, Template, read_prompt, write_prompt

USE = "biddable generate {model} --prompt {{run}} --prompts FILE --out FILE"


@settings
class PromptSettings:
    """What all methods that look for prompts have to be told."""

    model: str = "smollm2"
    """Whose prompt is looked for."""
    proposer_model: str = ""
    """Who proposes instructions; empty: the model itself."""
    data: tuple[str, ...] = ()
    """Inputs with outputs: a CSV or JSON lines file, or a folder of Instruction Induction, BIG-bench or
    Super-NaturalInstructions, options behind a question mark (tasks, metric, test); composed where none."""
    prompt: Path | None = None
    """The prompt that you use today: a text file, a prompt.json or a run."""
    demos: Count = 5
    """Examples that an instruction is proposed from."""
    sampling: Sampling = Sampling(max_tokens=50, temperature=0.9, top_p=0.9)
    """How proposals are drawn."""
    template: Template = "none"
    """Prompts as raw text (none, as in the papers), a user's turn (chat), or as the model has one (auto); of
    --prompt a text file is auto, and a prompt.json says it itself."""
    outputs: Outputs = "auto"
    """Outputs are written, or the likeliest of few labels or of an example's choices (auto: if there are)."""
    test: Count = 50
    """Held-out examples of each task that are scored, once (papers: 100 and more)."""
    max_tokens: Count = 16
    """Longest output."""


class PromptMethod(Method):
    """A method that looks for the prompt of each of some tasks. Its configuration extends ``PromptSettings``.

    Attributes:
        composed: names of the composed tasks that stand in for data; empty: all.
        tasks: what prompts are looked for, after ``check``.
        template: the layout of prompts, and the instruction and exemplars in use today where they are given.
        model, proposer: who is asked, and who proposes.
    """

    config: Any
    composed: Sequence[str] = ()

    def check(self) -> None:
        """See ``Method.check``: the data and the prompt."""
        config = self.config
        layout = PromptTemplate(template=config.template)
        self.template = read_prompt(config.prompt) if config.prompt else layout
        of = composed_induction()
        composed = [task for task in of if task.name in (self.composed or [each.name for each in of])]
        self.tasks = prompt_tasks(config.data, composed, config.outputs)
        self.model = LazyModel(config.model)
        self.proposer = LazyModel(config.proposer_model) if config.proposer_model else self.model

    def how(self, task: InductionTask) -> Scoring:
        """How prompts for a task are scored."""
        config = self.config
        return Scoring.of(self.model, task, config.outputs, self.template.template, config.max_tokens)

    def begin(self, run: Run) -> None:
        """Note in the run who is asked."""
        run.describe(model=self.config.model, proposer=self.config.proposer_model or self.config.model)

    def leave(self, run: Run, prompts: Mapping[str, PromptTemplate]) -> list[str]:
        """Write the prompt of each task, that of the first as the run's. Returns what to know of them.

        Where outputs were chosen from the same labels for every example, the prompt holds them.
        """
        left = {
            task.name: replace(prompts[task.name], choices=() if self.how(task).metric else task.labels)
            for task in self.tasks
        }
        for name, prompt in left.items():
            write_prompt(run.artifact("prompts", f"{name}.json"), prompt)
        first = next(iter(left))
        write_prompt(run.artifact(PROMPT_FILE), left[first])
        notes = chosen_note([(task, self.how(task)) for task in self.tasks])
        if len(prompts) > 1:
            notes.append(f"prompt.json is that of {first}; those of all tasks are in artifacts/prompts.")
        return notes

    def next_steps(self) -> tuple[str, ...]:
        """What to type next; written outputs are asked for as they were measured."""
        use = USE.format(model=self.config.model)
        if self.how(self.tasks[0]).metric:
            use += f" --temperature 0 --max-tokens {self.config.max_tokens} --stop $'\\n'"
        return (use,)
