"""IFEval: 25 rules that say, without a judge model, whether a response obeys an instruction.

Zhou et al. (2023), "Instruction-Following Evaluation for Large Language Models", arXiv 2311.07911. The
rules decide as the official checkers do, so scores compare with published ones; ``fixed=True`` repairs their
known defects.

>>> check("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "Two words")
True
"""

from biddable.judges.ifeval import (  # noqa: F401 - importing them registers the rules
    ifbench,
    multilingual,
    repaired,
    rules,
)
from biddable.judges.ifeval.conflicts import conflicts
from biddable.judges.ifeval.judge import RuleJudge, check
from biddable.judges.ifeval.loose import loose_variants
from biddable.judges.ifeval.punkt import sentence_splitter_name
from biddable.judges.ifeval.report import Accuracy, IFEvalReport, Outcome, evaluate
from biddable.judges.ifeval.rule import RULES, Arg, Finding, Rule, describe, register, validate
from biddable.judges.ifeval.text import Text

__all__ = [
    "RULES",
    "Accuracy",
    "Arg",
    "Finding",
    "IFEvalReport",
    "Outcome",
    "Rule",
    "RuleJudge",
    "Text",
    "check",
    "conflicts",
    "describe",
    "evaluate",
    "loose_variants",
    "register",
    "sentence_splitter_name",
    "validate",
]
