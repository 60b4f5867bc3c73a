"""``load_judge``: one name for a judge, wherever it lives.

Registered judges (``biddable.registry``, kind ``judges``) are functions that make one. What stands behind the
colon of a name is their argument, what stands behind the question mark their options, converted to the types
that their parameters are annotated with::

    def polite(model: str, strict: bool = False) -> Judge: ...      # polite:smollm2?strict=true
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from biddable import registry
from biddable.errors import InputError, ModelError
from biddable.judges.base import Judge
from biddable.models.precision import Precision

FORMS = (
    "rules, answer, reference:METRIC, code, lm:MODEL, rating:MODEL, hf:DIR, a run folder with a judge in it"
)


def load_judge(spec: str | Path) -> Judge:
    """Load a judge by name.

    Args:
        spec: one of

            * ``rules``: the checks of the tasks (options ``strict``, ``fixed``);
            * ``answer``: rules, and that the text is an answer (the same options);
            * ``reference:METRIC``: the tasks' references (``exact_match``, ``rouge_l``, ``gsm8k_strict`` …,
              see ``judges.reference``; ``extract``, ``ignore``, ``ignore_case``, ``ignore_punctuation``);
            * ``code``: the tasks' tests, run on the code of the response in a sandbox (``reading``,
              ``seconds``, ``memory_mb``, ``workers``, see ``judges.code``);
            * ``lm:MODEL``: a language model by vote (``votes``, ``temperature``, ``max_tokens``);
            * ``rating:MODEL``: a language model's rating from 0 to 1 (``criteria``, ``scale``: the highest
              digit, ``threshold``, ``max_tokens``);
            * ``hf:DIR``: a reward model, in a folder, a run or a hub (``threshold``, ``batch_size``,
              ``precision``);
            * a run folder, for its ``artifacts/judge`` or the reward model in ``artifacts/model`` (the same);
            * the name of a judge that another package brings.

            Options follow a question mark: ``lm:smollm2?votes=5&temperature=0.7``.

    Raises:
        InputError: there is no such judge, or it does not take such an option.
        ModelError: the model behind it cannot be found or read.
    """
    named, options = registry.split_spec("judge", str(spec))
    name, colon, argument = named.partition(":")
    if name in registry.names("judges"):
        make = registry.find("judges", name)
    elif name == "pairwise":
        raise InputError("judge", str(spec), "a judge of single responses: pairwise is shown two")
    elif named and Path(named).is_dir():
        name, colon, argument, make = "a run folder", ":", named, run_judge
    else:
        others = sorted({*registry.names("judges")} - {*registry.BUILTIN["judges"]})
        raise InputError("judge", str(spec), ", ".join([FORMS, *others]))
    try:
        judge: Judge = registry.made(make, [argument] if colon else [], options)
        return judge
    except InputError as error:
        raise error.at(f"judge {name}") from None


def judge_identity(spec: str | Path) -> str:
    """What tells the weights behind a judge's name from others under it; the name where it has none here.

    Raises:
        ModelError: there is no model in the folder.
    """
    from biddable.models.load import model_identity

    named, _ = registry.split_spec("judge", str(spec))
    name, _, argument = named.partition(":")
    model: str | Path | None = argument if name in ("lm", "rating", "pairwise", "hf") else None
    if model is None and Path(named).is_dir():
        model = _left_judge(named)
    identity = model_identity(model) if model else ""
    return str(spec) if identity == str(model or "") else identity


def rule_judge(strict: bool = True, fixed: bool = False) -> Judge:
    """The checks of the tasks (see ``RuleJudge``)."""
    from biddable.judges.ifeval.judge import RuleJudge

    return RuleJudge(strict=strict, fixed=fixed)


def answer_judge(strict: bool = True, fixed: bool = False) -> Judge:
    """The checks of the tasks, and that the text is an answer (see ``AnswerJudge``)."""
    from biddable.judges.answer import AnswerJudge

    return AnswerJudge(rule_judge(strict, fixed))


def lm_judge(model: str, votes: int = 5, temperature: float = 0.7, max_tokens: int = 512) -> Judge:
    """A language model by vote (see ``LMJudge``); ``model`` is what ``load_model`` takes."""
    from biddable.judges.lm_judge import JUDGE_SAMPLING, LMJudge
    from biddable.models.load import load_model

    sampling = replace(JUDGE_SAMPLING, temperature=temperature, max_tokens=max_tokens)
    return LMJudge(load_model(model), votes, sampling)


def rating_judge(
    model: str, criteria: str | None = None, scale: int = 5, threshold: float = 0.5, max_tokens: int = 16
) -> Judge:
    """A language model's rating on a scale from 1 (see ``RatingJudge``); ``model`` as of ``lm``."""
    from biddable.judges.rating import CRITERIA, RatingJudge
    from biddable.models.load import load_model

    if not 2 <= scale <= 9:
        raise InputError("scale", scale, "the highest rating, from 2 to 9 (the lowest is 1)")
    what = CRITERIA if criteria is None else criteria
    return RatingJudge(load_model(model), what, (1, scale), threshold, max_tokens)


def reward_judge(
    folder: str, threshold: float | None = None, batch_size: int = 16, precision: Precision = "auto"
) -> Judge:
    """A reward model (see ``RewardJudge``): a folder, a run that left one, or a hub name."""
    from biddable.judges.reward import RewardJudge
    from biddable.models.load import locate

    return RewardJudge(locate(folder)[0], threshold, batch_size, precision=precision)


def run_judge(
    folder: str, threshold: float | None = None, batch_size: int = 16, precision: Precision = "auto"
) -> Judge:
    """The judge that a run left, in ``artifacts/judge`` or as a reward model in ``artifacts/model``."""
    from biddable.judges.reward import RewardJudge

    if left := _left_judge(folder):
        return RewardJudge(left, threshold, batch_size, precision=precision)
    raise ModelError(
        f"{folder}: no judge in it (expected a sequence classifier of one label in artifacts/judge or "
        f"artifacts/model; a language model judges as lm:{folder}, a classifier's own folder as hf:{folder})"
    )


def _left_judge(folder: str) -> Path | None:
    inner = (Path(folder, name) for name in ("artifacts/judge", "judge", "artifacts/model", "model"))
    return next(filter(_is_reward_model, inner), None)


def _is_reward_model(folder: Path) -> bool:
    """Whether a folder says of itself that it holds a sequence classifier."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        architectures = config.get("architectures") or []
        return any(str(each).endswith("ForSequenceClassification") for each in architectures)
    except (OSError, ValueError, AttributeError, TypeError):
        return False
