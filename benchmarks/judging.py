"""Scoring a file of IFEval responses, strict and loose, beside lm-evaluation-harness.

    python -m benchmarks.judging [--json] [--tasks input_data.jsonl --responses responses.jsonl]

The peer's own functions are called on the same prompts, with the same Punkt data and langdetect's seed set
to 0; both sides give the same booleans, or the benchmark stops. Language profiles and sentence parameters are
loaded before the clock starts, and what either side remembers of texts and patterns is forgotten before every
round. Needs ``pip install biddable[peers]`` and, for Punkt, ``pip install --no-deps llama-index-core``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence

from benchmarks._common import Row, parser, report, time_both
from benchmarks._ifeval_responses import made_responses, made_tasks
from biddable.errors import BiddableError, InputError, MissingDependency
from biddable.judges.ifeval import evaluate, language, punkt
from biddable.tasks.ifeval import load_ifeval
from biddable.tasks.responses import load_responses, match
from biddable.types import Task

Outcomes = list[tuple[list[bool], list[bool]]]


def load_peer() -> None:
    """Import lm-eval's checkers without downloads: they look for Punkt in NLTK's data folders.

    Raises:
        MissingDependency: lm-eval or what its checkers need is not installed.
    """
    try:
        import langdetect
        import nltk

        nltk.data.path[:0] = [str(root) for root in punkt.data_roots() if root.is_dir()]
        import lm_eval.tasks.ifeval.utils  # noqa: F401 - here, where its import finds the data
    except ImportError as error:
        raise MissingDependency("lm-eval", "pip install 'biddable[peers]'") from error
    langdetect.DetectorFactory.seed = 0
    langdetect.detect("load the profiles")
    logging.getLogger("lm_eval").setLevel(logging.CRITICAL)


def peer_outcomes(tasks: Sequence[Task], responses: Mapping[str, str]) -> Outcomes:
    """What lm-eval finds: for each task its instructions strictly and loosely."""
    from lm_eval.tasks.ifeval import utils

    outcomes = []
    for task in tasks:
        prompt = task.prompt[-1].content
        ids, kwargs = [check.id for check in task.checks], [check.args for check in task.checks]
        example = utils.InputExample(0, ids, prompt, kwargs)
        strict = utils.test_instruction_following_strict(example, responses[prompt])
        loose = utils.test_instruction_following_loose(example, responses[prompt])
        outcomes.append((strict.follow_instruction_list, loose.follow_instruction_list))
    return outcomes


def decided_by_chance(task: Task) -> bool:
    """Whether lm-eval, unlike the official code, would count a random letter instead of the one asked for."""
    letters = [check.args["letter"] for check in task.checks if check.id == "keywords:letter_frequency"]
    return any(not re.fullmatch("[A-Za-z]", letter) for letter in letters)


def forget() -> None:
    """Empty every cache that speaks of texts or patterns, on both sides."""
    language._word_grams.cache_clear()
    language._most_likely.cache_clear()
    punkt._breaks.cache_clear()
    re.purge()


def compare(tasks: Sequence[Task], responses: Mapping[str, str], *, rounds: int) -> Row:
    """Time both, after checking that they agree."""
    ours = [(list(outcome.strict), list(outcome.loose)) for outcome in evaluate(tasks, responses).outcomes]
    peer = peer_outcomes(tasks, responses)
    wrong = [task.id for task, a, b in zip(tasks, ours, peer, strict=True) if a != b]
    if wrong:
        raise InputError("outcomes", wrong, "the same as lm-eval's for every task")
    return Row.of_times(
        f"score {len(tasks)} responses, strict and loose",
        *time_both(
            lambda: evaluate(tasks, responses),
            lambda: peer_outcomes(tasks, responses),
            rounds=rounds,
            reset=forget,
        ),
    )


def _read(tasks: Sequence[Task], path: str) -> dict[str, str]:
    matched = match(tasks, load_responses(path), path).responses
    return {task.prompt[-1].content: response.text for task, response in zip(tasks, matched, strict=True)}


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--tasks", metavar="FILE", help="the official input_data.jsonl (default: made tasks)"
    )
    arguments.add_argument("--responses", metavar="FILE", help="responses to it (default: made ones)")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    try:
        load_peer()
        tasks = load_ifeval(options.tasks) if options.tasks else made_tasks()
        tasks = [task for task in tasks if not decided_by_chance(task)]
        responses = _read(tasks, options.responses) if options.responses else made_responses(tasks)
        row = compare(tasks, responses, rounds=options.rounds)
    except BiddableError as error:
        raise SystemExit(f"error: {error}") from None
    report([row], as_json=options.json)


if __name__ == "__main__":
    main()
