"""Tasks of ours in lm-evaluation-harness: its models answer, our judges decide.

::

    import lm_eval
    from biddable.suites.plugins.lm_eval_task import lm_eval_task

    mine = lm_eval_task("mine", "tasks.jsonl", judge="rules")
    lm_eval.simple_evaluate(model="hf", model_args="pretrained=MODEL", tasks=[mine])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biddable.suites.plugins.rows import numbers, row_of, verdict_on
from biddable.tasks.data import read_tasks
from biddable.types import Task, as_chat, last_turn


def lm_eval_task(
    name: str, tasks: str | Path | Sequence[Task], *, judge: str = "rules", max_tokens: int = 1280
) -> dict[str, Any]:
    """A task for ``lm_eval.simple_evaluate(tasks=[…])``, with the metrics ``passed`` and ``score``.

    Args:
        name: what results call it.
        tasks: what is asked: tasks, or a file that ``read_tasks`` reads. Of a chat the turns are joined.
        judge: see ``load_judge``.
        max_tokens: longest response.

    Raises:
        FileError: the tasks cannot be read.
    """
    read = list(tasks) if not isinstance(tasks, str | Path) else read_tasks(tasks)
    rows = [{"prompt": _text(task), "answer": " / ".join(task.references), **row_of(task)} for task in read]

    def data(**_: Any) -> dict[str, Any]:
        from datasets import Dataset

        return {"test": Dataset.from_list(rows)}

    def judged(row: Mapping[str, Any], responses: Sequence[str]) -> dict[str, float]:
        return numbers(verdict_on(judge, row, responses[0]))

    return {
        "task": name,
        "custom_dataset": data,
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{answer}}",
        "num_fewshot": 0,
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": max_tokens},
        "process_results": judged,
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in ("passed", "score")
        ],
        "metadata": {"version": 1, "judge": judge},
    }


def _text(task: Task) -> str:
    turns = as_chat(task.prompt)
    return last_turn(task.prompt) if len(turns) == 1 else "\n\n".join(turn.content for turn in turns)
