"""Compatible demonstrations (Gandhi et al., CoRL 2022, arXiv 2210.08073).

Demonstrators who solve a task equally well in different ways harm each other's demonstrations: a policy that
learns from all of them averages their actions. The paper measures whether a new demonstration is compatible
with a policy trained on one operator's (``compatibility``), filters what is not, and elicits compatible ones
from new demonstrators, with feedback (``elicitation``).

For a pair of state and action, *error* is the mean squared difference between the actions of an ensemble's
members and the demonstrated one; *novelty* is the standard deviation of the members. A pair is incompatible
where the error is high and the novelty low. The feedback on a rejected demonstration is its worst parts, and
the base demonstration nearest by dynamic time warping: by the root of the least sum of squared distances
between states, as in the official code.

Claim: in simulated nut assembly and hammer placement and with a real arm, filtering and eliciting raise
success over taking all demonstrations. The paper's tables were not at hand, so only directions are compared:
all < filtered, all < elicited, and all may be below the base operator's policy alone.

Departures, and why:

* *Tasks* are the two toy tasks of the official code (``envs/reach2d``), and demonstrators are scripts with
  noise on their actions, in place of people and a real arm. After a rejection one changes to another style
  with probability ``style_change_probability``.
* *Thresholds*: the error is the paper's 0.4, for actions in [-1, 1]; the novelty is a quantile of the base
  operator's own demonstrations, each held out from the ensemble that measures it (the paper's numbers are
  its tasks' own).
* *Networks* are 128 wide and have no dropout (the paper: 1024 and 0.5): states have four numbers.
* *The way back*: five of the new demonstrations are of the reverse task, which the base operator never did,
  so that the condition on novelty matters. Every arm with new demonstrations has them.
* *The base operator* gave 20 demonstrations from three quarters of the width of starts and goals. With half
  the width the policy fails so often that any demonstration helps, also one in another style; with all of it
  no demonstration helps.
* An arm of our own, *dropped at random*, loses as many pairs as the filter drops.
"""

from biddable.methods.act.compatible_demos.method import CompatibleDemos, CompatibleDemosConfig

__all__ = ["CompatibleDemos", "CompatibleDemosConfig"]
