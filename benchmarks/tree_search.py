"""Growing many refinement trees at once, beside growing them one after the other on the same engine.

Both sides search with SmolLM2-135M as refiner and with rules as judge, from the same failed answers,
with the same seeds and settings; the trees that come out are the same. What differs is that ours sends
a level of every tree to the model in one batch. The ceiling is not known: it depends on how many trees
there are. Untrained, SmolLM2 does not write the markers, so its whole text is taken as the repair.
"""

from __future__ import annotations

import os
from typing import Any

from benchmarks._common import Row, parser, report, time_both
from biddable.judges.ifeval import RuleJudge
from biddable.judges.lm_judge import refine_chat
from biddable.models.base import Sampling
from biddable.models.load import load_model
from biddable.search.nodes import RefinementNode
from biddable.search.refiners import Refinement
from biddable.search.tree import SearchSettings, tree_search
from biddable.tasks.compose import Composer

SETTINGS = SearchSettings(branching=3, beam_width=2, max_depth=2, refine_tries=1)
SAMPLING = Sampling(max_tokens=48, temperature=0.7)


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("--trees", type=int, default=12)
    arguments.add_argument("--rounds", type=int, default=2)
    options = arguments.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    model = load_model("smollm2")
    types = ("change_case:english_lowercase", "startend:quotation")
    tasks = Composer("train", types=types, rules=(1, 1), seed=1).sample(options.trees)
    roots = [
        RefinementNode("I Am Not Sure What To Write.", "- Missed: the rule.\nFinal Judgement: No")
    ] * len(tasks)

    def refine(tasks: Any, responses: Any, critiques: Any, *, seeds: Any = None) -> list[Refinement]:
        chats = [refine_chat(*row) for row in zip(tasks, responses, critiques, strict=True)]
        return [Refinement(rs[0].text) for rs in model.generate(chats, sampling=SAMPLING, seeds=seeds)]

    def together() -> Any:
        return tree_search(tasks, roots, refine, RuleJudge(), SETTINGS)

    def one_by_one() -> Any:
        return [
            tree_search([task], [root], refine, RuleJudge(), SETTINGS, seeds=[i])[0]
            for i, (task, root) in enumerate(zip(tasks, roots, strict=True))
        ]

    made = sum(result.expansions for result in together())
    ours, peer = time_both(together, one_by_one, rounds=options.rounds)
    name = f"{options.trees} trees, beside one tree after the other"
    report([Row.of_rates(name, made / ours, made / peer, "repairs/s")], as_json=options.json)


if __name__ == "__main__":
    main()
